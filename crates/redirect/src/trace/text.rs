//! Rules in words, for people who do not read nft.

use std::fmt::Display;

use crate::net::MaskedMark;
use crate::ruleset::{Action, CtState, Match, Rule, Side};

/// A whole rule: what it asks for and what it does.
pub(super) fn rule(rule: &Rule) -> String {
    let matches: Vec<String> = rule.matches.iter().map(one).collect();
    let asks = if matches.is_empty() { "every packet".into() } else { matches.join(", ") };
    format!("{asks}: {}", action(&rule.action))
}

/// One match.
pub(super) fn one(one: &Match) -> String {
    match one {
        Match::Family(family) => family.to_string(),
        Match::Protocol(protocol) => protocol.to_string(),
        Match::Port { protocol, side, ports, negate } => {
            let word = if *side == Side::Source { "from" } else { "to" };
            let plural = if ports.len() == 1 && ports[0].is_single() { "port" } else { "ports" };
            format!("{protocol} {word} {}{plural} {}", except(*negate), list(ports))
        }
        Match::Address { side, net, negate } => {
            let word = if *side == Side::Source { "from" } else { "to" };
            let net = if net.prefix_len() == net.max_prefix_len() {
                net.addr().to_string()
            } else {
                net.to_string()
            };
            format!("{word} {}{net}", except(*negate))
        }
        Match::InInterface(name) => format!("in by {name}"),
        Match::OutInterface(name) => format!("out by {name}"),
        Match::Uid { ids, negate } => format!("{}uid {ids}", except(*negate)),
        Match::Gid { ids, negate } => format!("{}gid {ids}", except(*negate)),
        Match::Mark { mark, negate } => format!("{}mark {}", except(*negate), masked(*mark)),
        Match::ConnMark(mark) => format!("connection mark {}", masked(*mark)),
        Match::CtState(states) => {
            let names: Vec<&str> = states.iter().map(|one| state(*one)).collect();
            format!("state {}", names.join(" or "))
        }
    }
}

/// A connection state's usual name.
pub(super) fn state(state: CtState) -> &'static str {
    match state {
        CtState::Invalid => "invalid",
        CtState::Established => "established",
        CtState::Related => "related",
        CtState::New => "new",
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Return => "return".into(),
        Action::Accept => "accept".into(),
        Action::Drop => "drop".into(),
        Action::Jump(to) => format!("go through {to}"),
        Action::Redirect(port) => format!("redirect to port {port}"),
        Action::Dnat { address, port: Some(port) } => {
            format!("send to {}", std::net::SocketAddr::new(*address, *port))
        }
        Action::Dnat { address, port: None } => format!("send to {address}"),
        Action::Tproxy { port, mark } => {
            format!("hand to the transparent socket on port {port}, mark {mark:#x}")
        }
        Action::SetMark(mark) => format!("set mark {mark:#x}"),
        Action::SaveMark => "copy the mark to the connection".into(),
        Action::RestoreMark => "copy the connection's mark to the packet".into(),
        Action::CtZone(zone) => format!("track in zone {zone}"),
        Action::Log { prefix, level } => format!("log {prefix:?} at level {level}"),
    }
}

fn except(negate: bool) -> &'static str {
    if negate { "other than " } else { "" }
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn masked(mark: MaskedMark) -> String {
    if mark.mask == u32::MAX {
        format!("{:#x}", mark.value)
    } else {
        format!("{:#x}/{:#x}", mark.value, mark.mask)
    }
}
