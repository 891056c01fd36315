//! Whether a match holds, and when not, why not in the reader's words.

use std::fmt::Display;

use super::text;
use super::walk::Passage;
use crate::net::{Family, IdRange};
use crate::ruleset::{Hook, Match, Side};

/// Why `one` does not hold; nothing when it does.
pub(super) fn mismatch(one: &Match, passage: &Passage<'_>, hook: Hook) -> Option<String> {
    let packet = passage.packet;
    let unless = |holds: bool, is: String| (!holds).then(|| failed(one, &is));
    match one {
        Match::Family(family) => unless(*family == packet.family(), packet.family().to_string()),
        Match::Protocol(protocol) => unless(*protocol == packet.protocol, packet.protocol.to_string()),
        Match::Port { protocol, side, ports, negate } => {
            if *protocol != packet.protocol {
                return Some(failed(one, &packet.protocol));
            }
            let port = match side {
                Side::Source => packet.source.port(),
                Side::Destination => passage.destination.port(),
            };
            let within = ports.iter().any(|range| range.contains(port));
            unless(within != *negate, format!("{} port is {port}", side_name(*side)))
        }
        Match::Address { side, net, negate } => {
            if Family::of_net(net) != packet.family() {
                return Some(failed(one, &packet.family()));
            }
            let address = match side {
                Side::Source => packet.source.ip(),
                Side::Destination => passage.destination.ip(),
            };
            unless(net.contains(&address) != *negate, format!("{} is {address}", side_name(*side)))
        }
        Match::InInterface(name) => interface(passage, name, hook == Hook::Prerouting, one),
        Match::OutInterface(name) => interface(passage, name, hook == Hook::Output, one),
        Match::Uid { ids, negate } => owner(passage, hook, "uid", *ids, *negate, one),
        Match::Gid { ids, negate } => owner(passage, hook, "gid", *ids, *negate, one),
        Match::Mark { mark, negate } => {
            let current = passage.effects.mark;
            unless(mark.matches(current) != *negate, format!("mark is {current:#x}"))
        }
        Match::ConnMark(mark) => match passage.connection_mark() {
            None => Some(failed(one, &"no connection (yet)")),
            Some(current) => unless(mark.matches(current), format!("connection mark is {current:#x}")),
        },
        Match::CtState(states) => {
            let state = passage.state();
            let tracked = if passage.tracked { "" } else { " (not tracked yet)" };
            unless(states.contains(&state), format!("state is {}{tracked}", text::state(state)))
        }
    }
}

fn failed(one: &Match, because: &dyn Display) -> String {
    format!("not {}: {because}", text::one(one))
}

fn interface(
    passage: &Passage<'_>,
    name: &crate::net::InterfaceName,
    seen_here: bool,
    one: &Match,
) -> Option<String> {
    if !seen_here {
        return Some(failed(one, &"this hook does not know it"));
    }
    let current = &passage.interface;
    (!name.matches(current)).then(|| failed(one, &format!("interface is {current}")))
}

/// A packet without a socket has no owner and fits neither a match on it nor the negation (`nft_meta_get_eval_skugid`,
/// net/netfilter/nft_meta.c). Sockets are let go of at the latest when a packet comes in.
fn owner(
    passage: &Passage<'_>,
    hook: Hook,
    what: &str,
    ids: IdRange,
    negate: bool,
    one: &Match,
) -> Option<String> {
    let Some(owner) = passage.packet.owner.filter(|_| hook == Hook::Output) else {
        return Some(failed(one, &"no sending socket, which fits neither an owner nor its opposite"));
    };
    let id = if what == "uid" { owner.uid } else { owner.gid };
    (ids.contains(id) == negate).then(|| failed(one, &format!("{what} is {id}")))
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Destination => "destination",
    }
}
