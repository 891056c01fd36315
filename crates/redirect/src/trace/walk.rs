//! A packet's way through the hooks, as the kernel takes it: raw, connection tracking, mangle, nat; and for packets
//! to an address of the pod itself, out by `lo` and in again.
//!
//! ```text
//! out: raw ─► conntrack ─► mangle ─► route again? ─► nat (first packet) ─► route again? ─┬─► by eth0
//!                                                                                  by lo │
//!  in: raw ─► conntrack ─► mangle ─► nat (first packet, not by lo) ─► socket   ◄─────────┘
//! ```
//!
//! Connection tracking is taken for granted, as any rule that rewrites or asks for a state turns it on
//! (`nf_ct_netns_get`). Beside a nat table that rewrites nothing the kernel may not track, and then skips that
//! table; the packet goes the same way.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::chain::Fate;
use super::packet::{Direction, Environment, Packet};
use super::{Effects, Ending, Error, Step, Trace, Verdict};
use crate::net::{Family, Protocol};
use crate::ruleset::{CtState, Hook, RuleSet, TableKind};

/// The loopback interface.
const LO: &str = "lo";

/// What rules can see of the packet at one moment.
#[derive(Debug, Clone)]
pub(super) struct Passage<'a> {
    pub(super) rules: &'a RuleSet,
    pub(super) environment: &'a Environment,
    pub(super) packet: &'a Packet,
    pub(super) destination: SocketAddr,
    /// The interface the current hook was entered with. Routing again does not change it before the next hook
    /// (`nf_hook_state::out` is set once, net/ipv4/ip_output.c).
    pub(super) interface: String,
    /// Whether connection tracking has seen it.
    pub(super) tracked: bool,
    pub(super) effects: Effects,
    pub(super) rewritten: Option<Verdict>,
    pub(super) tproxy: Option<u16>,
    pub(super) steps: Vec<Step>,
}

impl<'a> Passage<'a> {
    fn new(rules: &'a RuleSet, environment: &'a Environment, packet: &'a Packet) -> Self {
        let (mark, connection_mark) = (packet.mark, packet.connection_mark);
        Self {
            rules,
            environment,
            packet,
            destination: packet.destination,
            interface: String::new(),
            tracked: false,
            effects: Effects { mark, connection_mark, zone: None, logged: vec![] },
            rewritten: None,
            tproxy: None,
            steps: Vec::new(),
        }
    }

    /// The connection's state as a rule sees it. Before tracking there is no connection, which reads as invalid
    /// (`nft_ct_get_eval`, net/netfilter/nft_ct.c), unless a zone rule attached its template, which reads as new.
    pub(super) fn state(&self) -> CtState {
        match (self.tracked, self.effects.zone) {
            (true, _) => self.packet.state,
            (false, Some(_)) => CtState::New,
            (false, None) => CtState::Invalid,
        }
    }

    /// The connection's mark; none where there is no connection (a zone rule's template is none).
    pub(super) fn connection_mark(&self) -> Option<u32> {
        (self.tracked && self.packet.state != CtState::Invalid).then_some(self.effects.connection_mark)
    }

    fn note(&mut self, text: impl Into<Cow<'static, str>>) {
        self.steps.push(Step::Way { text: text.into() });
    }

    /// Whether an address is the pod's own.
    fn is_local(&self, address: IpAddr) -> bool {
        address.is_loopback()
            || self.environment.addresses.contains(&address)
            || self.rules.loopback_addresses.iter().any(|own| IpAddr::V6(*own) == address)
            // Without being told the pod's addresses, a packet that arrives is for the pod.
            || (self.packet.direction == Direction::In
                && address == self.packet.destination.ip()
                && self.environment.address(self.packet.family()).is_none())
    }

    /// The interface that routing chooses for the packet as it is now.
    fn route(&self) -> String {
        if self.stays() { LO.into() } else { self.environment.interface.clone() }
    }

    /// Whether routing keeps the packet, as it is now, in the pod.
    fn stays(&self) -> bool {
        let marked = self.rules.routing.is_some_and(|routing| routing.mark == self.effects.mark)
            && self.rules.families().contains(&self.packet.family());
        marked || self.is_local(self.destination.ip())
    }

    /// Whether nat is asked about this packet, else why not.
    fn reaches_nat(&self, hook: Hook) -> Result<(), &'static str> {
        match (hook, self.packet.state) {
            (_, CtState::Invalid) => Err("nat is not asked: an invalid packet belongs to no connection"),
            (_, CtState::Established) => {
                Err("nat is not asked: what it decided for the connection's first packet stays in force")
            }
            // Every nat hook settles its half of the mapping, rules or not, so output has settled the destination
            // (`nf_nat_inet_fn`, net/netfilter/nf_nat_core.c).
            (Hook::Prerouting, _) if self.interface == LO => {
                Err("nat is not asked: for packets by lo it was asked when they were sent")
            }
            _ => Ok(()),
        }
    }
}

/// Runs `packet` through `rules`.
///
/// # Errors
/// [`Error`] when the kernel would not load the rules: a jump into nowhere, or too deep.
pub fn trace(rules: &RuleSet, packet: &Packet, environment: &Environment) -> Result<Trace, Error> {
    let mut passage = Passage::new(rules, environment, packet);
    let ending = match packet.direction {
        Direction::Out => output(&mut passage)?,
        Direction::In => {
            let interface = packet.interface.clone().unwrap_or_else(|| environment.interface.clone());
            // What arrives by lo was tracked when it was sent.
            passage.tracked = interface == LO;
            input(&mut passage, interface)?
        }
    };
    Ok(finish(passage, ending))
}

fn finish(passage: Passage<'_>, ending: Ending) -> Trace {
    let verdict = match (&ending, passage.tproxy, passage.rewritten) {
        (Ending::Dropped, ..) => Verdict::Dropped,
        (Ending::Local { .. }, Some(port), _) | (_, Some(port), None) => Verdict::Tproxied { port },
        (_, _, Some(rewritten)) => rewritten,
        (_, None, None) => Verdict::Untouched,
    };
    Trace {
        packet: passage.packet.clone(),
        assumed: Vec::new(),
        verdict,
        ending,
        effects: passage.effects,
        steps: passage.steps,
    }
}

/// One hook's base chains in priority order, until the packet is dropped.
fn hook_of(passage: &mut Passage<'_>, hook: Hook, kind: TableKind) -> Result<Fate, Error> {
    let rules = passage.rules;
    match rules.table(kind).and_then(|table| table.base_chain(hook).map(|base| (table, base))) {
        Some((table, base)) => super::chain::run(passage, hook, table, base),
        None => Ok(Fate::On),
    }
}

fn output(passage: &mut Passage<'_>) -> Result<Ending, Error> {
    passage.interface = passage.packet.interface.clone().unwrap_or_else(|| passage.route());
    let mut leaves = passage.interface.clone();
    if hook_of(passage, Hook::Output, TableKind::Raw)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    track(passage);
    let mark = passage.effects.mark;
    if hook_of(passage, Hook::Output, TableKind::Mangle)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    if passage.effects.mark != mark {
        leaves = passage.route();
        passage.note(format!("mark is now {:#x}: routed again, to {leaves}", passage.effects.mark));
    }
    if let Err(why) = passage.reaches_nat(Hook::Output) {
        skip_nat(passage, Hook::Output, why);
    } else if hook_of(passage, Hook::Output, TableKind::Nat)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    if passage.rewritten.is_some() {
        leaves = passage.route();
        passage.note(format!("destination is now {}: routed again, to {leaves}", passage.destination));
    }
    if leaves != LO {
        return Ok(leave(passage, leaves));
    }
    passage.note("leaves by lo and comes back in");
    input(passage, LO.into())
}

fn input(passage: &mut Passage<'_>, interface: String) -> Result<Ending, Error> {
    passage.interface = interface;
    if hook_of(passage, Hook::Prerouting, TableKind::Raw)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    track(passage);
    if hook_of(passage, Hook::Prerouting, TableKind::Mangle)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    let rewritten = passage.rewritten.is_some();
    if let Err(why) = passage.reaches_nat(Hook::Prerouting) {
        skip_nat(passage, Hook::Prerouting, why);
    } else if hook_of(passage, Hook::Prerouting, TableKind::Nat)? == Fate::Dropped {
        return Ok(Ending::Dropped);
    }
    let rewritten_here = !rewritten && passage.rewritten.is_some();
    if rewritten_here && passage.tproxy.is_some() && loses_the_rest(passage)? {
        let reason = "TPROXY and nat disagree about the connection: its first packet reaches the transparent \
                      socket, the others do not, so it never comes about";
        return Ok(Ending::Discarded { reason: reason.into() });
    }
    Ok(arrive(passage, rewritten_here))
}

/// Whether a TCP connection ends with its first packet, which a TPROXY rule took and a nat rule rewrote all the same.
/// The socket answers under the new address, by which alone its connection is known from then on. So a later packet
/// that meets TPROXY again, before nat has rewritten it, finds the listener in place of the connection
/// (`nft_tproxy_eval_v4`, net/netfilter/nft_tproxy.c); and one that does not has to come to the pod by the new address.
fn loses_the_rest(passage: &Passage<'_>) -> Result<bool, Error> {
    if passage.packet.protocol != Protocol::Tcp || passage.packet.state != CtState::New {
        return Ok(false);
    }
    let connection_mark = passage.effects.connection_mark;
    let packet = Packet { state: CtState::Established, connection_mark, ..passage.packet.clone() };
    let mut later = Passage::new(passage.rules, passage.environment, &packet);
    later.interface.clone_from(&passage.interface);
    let raw = hook_of(&mut later, Hook::Prerouting, TableKind::Raw)?;
    track(&mut later);
    let mangle = hook_of(&mut later, Hook::Prerouting, TableKind::Mangle)?;
    if [raw, mangle].contains(&Fate::Dropped) || later.tproxy.is_some() {
        return Ok(true);
    }
    later.destination = passage.destination;
    Ok(!later.stays())
}

fn track(passage: &mut Passage<'_>) {
    // A packet without a connection stays without one, and without the zone its rule gave it.
    if !passage.tracked && passage.packet.state == CtState::Invalid {
        passage.effects.zone = None;
    }
    passage.tracked = true;
}

/// Only worth a word where there would have been rules.
fn skip_nat(passage: &mut Passage<'_>, hook: Hook, why: &'static str) {
    let nat = passage.rules.table(TableKind::Nat);
    if nat.is_some_and(|table| table.base_chain(hook).is_some()) {
        passage.note(why);
    }
}

fn leave(passage: &Passage<'_>, interface: String) -> Ending {
    // Loopback addresses do not leave the machine (`__mkroute_output`, net/ipv4/route.c).
    if passage.packet.source.ip().is_loopback() {
        return Ending::Discarded { reason: "a loopback source address cannot leave the pod".into() };
    }
    Ending::Leaves { interface, to: passage.destination }
}

fn arrive(passage: &Passage<'_>, rewritten_here: bool) -> Ending {
    let to = passage.destination;
    let by_lo = passage.interface == LO;
    if rewritten_here && !by_lo && to.ip().is_loopback() {
        return Ending::Discarded {
            reason: "a packet from the network cannot go to a loopback address (route_localnet is off)"
                .into(),
        };
    }
    // TPROXY only chooses the socket: routing has to bring the packet to it.
    match by_lo || passage.stays() {
        true => Ending::Local { to, port: passage.tproxy.unwrap_or(to.port()) },
        false => Ending::Forwarded { to },
    }
}

/// Where `redirect` sends a packet (`nf_nat_redirect_ipv4`, net/netfilter/nf_nat_redirect.c): loopback for what the
/// pod sends, else the interface's own address, which is the packet's destination wherever we know of no other.
pub(super) fn redirect_address(passage: &Passage<'_>, hook: Hook) -> IpAddr {
    let family = passage.packet.family();
    match (hook, family) {
        (Hook::Output, Family::Ipv4) => Ipv4Addr::LOCALHOST.into(),
        (Hook::Output, Family::Ipv6) => Ipv6Addr::LOCALHOST.into(),
        (Hook::Prerouting, _) if passage.is_local(passage.destination.ip()) => passage.destination.ip(),
        (Hook::Prerouting, _) => passage.environment.address(family).unwrap_or(passage.destination.ip()),
    }
}
