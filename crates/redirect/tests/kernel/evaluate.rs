//! What the evaluator makes of a case's packets, in the same words in which the kernel's answer is told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use meshward_netlab::Layout;
use meshward_redirect::net::Family;
use meshward_redirect::trace::{Direction, Ending, Environment, Owner, Packet, Trace, trace};
use meshward_redirect::{CtState, RuleSet};

use crate::case::{Case, End, Expected, Sent};

/// What became of a packet, everything told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) end: End,
    pub(crate) zone: u16,
    pub(crate) connmark: u32,
    pub(crate) logs: Vec<String>,
}

impl Seen {
    /// What the case says and this is not.
    pub(crate) fn objection(&self, expected: &Expected) -> Option<String> {
        let mut problems = Vec::new();
        if self.end != expected.end {
            problems.push(format!("reaches {}, not {}", self.end, expected.end));
        }
        if let Some(zone) = expected.zone.filter(|zone| *zone != self.zone) {
            problems.push(format!("in zone {}, not {zone}", self.zone));
        }
        if let Some(mark) = expected.connmark.filter(|mark| *mark != self.connmark) {
            problems.push(format!("with connection mark {}, not {mark}", self.connmark));
        }
        if let Some(logs) = expected.logs.as_ref().filter(|logs| **logs != self.logs) {
            problems.push(format!("logs {:?}, not {logs:?}", self.logs));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

/// The source port of packets that have none of their own.
const SOURCE_PORT: u16 = 40_000;

/// The pod that a layout describes.
pub(crate) fn environment(layout: &Layout) -> Environment {
    let both = |host: u8| {
        layout.links.iter().flat_map(move |l| [Some(l.ipv4(host).into()), l.ipv6(host).map(IpAddr::V6)])
    };
    Environment { addresses: both(2).flatten().collect(), ..Environment::default() }
}

/// The packet as it enters the rules.
pub(crate) fn packet(sent: &Sent, layout: &Layout) -> Packet {
    let to = sent.destination.ip();
    let host = if sent.direction == Direction::Out { 2 } else { 1 };
    let on_link = layout.links.iter().position(|link| {
        let same4 = |to: Ipv4Addr| to.octets()[..3] == link.ipv4.octets()[..3];
        let same6 = |to: Ipv6Addr| link.ipv6.is_some_and(|net| net.segments()[..4] == to.segments()[..4]);
        match to {
            IpAddr::V4(to) => same4(to),
            IpAddr::V6(to) => same6(to),
        }
    });
    let link = &layout.links[sent.cable.or(on_link).unwrap_or(0)];
    let own = match to {
        IpAddr::V4(to) if to.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(to) if to.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => link.ipv4(host).into(),
        IpAddr::V6(_) => IpAddr::V6(link.ipv6(host).unwrap_or(Ipv6Addr::LOCALHOST)),
    };
    let own_address = environment(layout).addresses.contains(&to) || to.is_loopback();
    let outside = sent.direction == Direction::Out && !own_address;
    Packet {
        direction: sent.direction,
        protocol: sent.protocol,
        source: SocketAddr::new(sent.source.unwrap_or(own), sent.source_port.unwrap_or(SOURCE_PORT)),
        destination: sent.destination,
        owner: (sent.direction == Direction::Out).then_some(Owner { uid: sent.uid, gid: sent.gid }),
        interface: (outside || sent.direction == Direction::In).then(|| link.name.clone()),
        mark: sent.mark,
        connection_mark: 0,
        state: if sent.stray { CtState::Invalid } else { CtState::New },
    }
}

/// Whether the packet comes from the pod with an address that is not the pod's.
pub(crate) fn borrows(sent: &Sent, layout: &Layout) -> bool {
    let loopback = |address: IpAddr| match Family::of(address) {
        Family::Ipv4 => address.is_loopback(),
        Family::Ipv6 => address.is_loopback() || address == IpAddr::V6(Ipv6Addr::from_bits(6)),
    };
    let own = environment(layout).addresses;
    sent.direction == Direction::Out && sent.source.is_some_and(|s| !loopback(s) && !own.contains(&s))
}

/// What `rules` make of a packet.
pub(crate) fn seen(rules: &RuleSet, sent: &Sent, case: &Case) -> Seen {
    let layout = &case.layout;
    let environment = Environment { transparent_listener: case.proxy_listens, ..environment(layout) };
    let packet = packet(sent, layout);
    let first = trace(rules, &packet, &environment).unwrap();
    let mut end = end(&first, sent.stray);
    if borrows(sent, layout) && matches!(end, End::Pod(_)) {
        let answer = Packet {
            source: packet.destination,
            destination: packet.source,
            owner: Some(Owner { uid: 0, gid: 0 }),
            interface: None,
            mark: 0,
            connection_mark: first.effects.connection_mark,
            state: CtState::Established,
            ..packet
        };
        let answer = trace(rules, &answer, &environment).unwrap();
        if !matches!(answer.ending, Ending::Local { .. }) {
            end = End::Nothing;
        }
    }
    Seen {
        end,
        zone: first.effects.zone.unwrap_or(0),
        connmark: first.effects.connection_mark,
        logs: first.effects.logged,
    }
}

fn end(trace: &Trace, stray: bool) -> End {
    match &trace.ending {
        Ending::Local { .. } if stray => End::Refused,
        Ending::Local { port, .. } => End::Pod(*port),
        Ending::Leaves { to, .. } => End::Peer(*to),
        Ending::Forwarded { .. } | Ending::Discarded { .. } | Ending::Dropped => End::Nothing,
    }
}

impl Case {
    /// What the evaluator makes of every packet of the case under these rules.
    pub(crate) fn seen(&self, rules: &RuleSet) -> Vec<Seen> {
        self.packets.iter().map(|sent| seen(rules, sent, self)).collect()
    }
}
