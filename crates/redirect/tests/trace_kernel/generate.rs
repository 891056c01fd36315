//! Rule sets and packets from a small world in which most of them have to do with each other.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use meshward_redirect::builder::{Builder, RuleStart, rule};
use meshward_redirect::net::{Family, IdRange, InterfaceName, MaskedMark, PortRange, Protocol};
use meshward_redirect::trace::{Direction, Owner, Packet};
use meshward_redirect::{
    Action, ChainName, CtState, Hook, Match, Mesh, PolicyRouting, Rule, RuleSet, TableKind,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Ports with a listener on both sides.
pub(crate) const PORTS: [u16; 6] = [53, 80, 443, 8080, 8600, 15008];
/// Ports with a listener in the pod.
pub(crate) const PROXY_PORTS: [u16; 3] = [15001, 15006, 15053];
/// The transparent listener's port, and one where nobody listens.
pub(crate) const TPROXY_PORT: u16 = 15007;
pub(crate) const SILENT_PORT: u16 = 15009;
/// The mark that policy routing looks for, and its table.
pub(crate) const ROUTING: PolicyRouting = PolicyRouting { mark: 1337, table: 133 };

const MARKS: [u32; 4] = [0, 1, 7, ROUTING.mark];
const IDS: [u32; 3] = [0, 1000, 1337];

/// What a case may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) protocol: Protocol,
    /// Only rules that treat every packet of a connection as its first, and leave the replies alone: traces are
    /// about one packet, and a handshake takes three. Zones and connection marks are for single packets.
    pub(crate) whole_connections: bool,
    pub(crate) users: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) rules: RuleSet,
    pub(crate) transparent_listener: bool,
    pub(crate) packets: Vec<Packet>,
}

pub(crate) fn case(world: World, packets: usize) -> impl Strategy<Value = Case> {
    (any::<bool>(), any::<bool>(), prop::bool::weighted(0.8)).prop_flat_map(move |(listens, routed, ipv6)| {
        let chains = vec(chain_rules(world, listens), CHAINS.len());
        (chains, vec(packet(world), packets)).prop_map(move |(chains, packets)| Case {
            rules: assemble(world, chains, ipv6, routed),
            transparent_listener: listens,
            packets,
        })
    })
}

/// Every chain: its table, its name, the hook it is attached to, and the chains it may jump to.
const CHAINS: [(TableKind, &str, Option<Hook>, &[&str]); 15] = {
    use Hook::{Output, Prerouting};
    use TableKind::{Mangle, Nat, Raw};
    [
        (Raw, "prerouting", Some(Prerouting), &["in_sub", "shared"]),
        (Raw, "output", Some(Output), &["out_sub", "shared"]),
        (Raw, "in_sub", None, &["shared"]),
        (Raw, "out_sub", None, &["shared"]),
        (Raw, "shared", None, &[]),
        (Mangle, "prerouting", Some(Prerouting), &["in_sub", "shared"]),
        (Mangle, "output", Some(Output), &["out_sub", "shared"]),
        (Mangle, "in_sub", None, &["shared"]),
        (Mangle, "out_sub", None, &["shared"]),
        (Mangle, "shared", None, &[]),
        (Nat, "prerouting", Some(Prerouting), &["in_sub", "shared"]),
        (Nat, "output", Some(Output), &["out_sub", "shared"]),
        (Nat, "in_sub", None, &["shared"]),
        (Nat, "out_sub", None, &["shared"]),
        (Nat, "shared", None, &[]),
    ]
};

/// A rule before it is known which chain it stands in: an action for each kind of chain.
#[derive(Debug, Clone)]
struct Draft {
    matches: Vec<Match>,
    anywhere: Action,
    jump: Option<usize>,
    raw: Action,
    mangle: Action,
    tproxy: Option<Action>,
    nat: Action,
}

fn assemble(world: World, chains: Vec<Vec<Draft>>, ipv6: bool, routed: bool) -> RuleSet {
    let mut builder = Builder::new(Mesh::Istio, ipv6);
    if routed {
        builder.routing(ROUTING);
    }
    for ((kind, name, hook, jumps), drafts) in CHAINS.into_iter().zip(chains) {
        for mut draft in drafts {
            // Owner matches are for output. After TPROXY a packet that arrives has a socket, the listener's, whose
            // owner nat prerouting would see; no mesh asks for it and no evaluator can know it.
            if kind == TableKind::Nat && !matches!(name, "output" | "out_sub") {
                draft.matches.retain(|one| !matches!(one, Match::Uid { .. } | Match::Gid { .. }));
            }
            let rule = finished(world, kind, name, jumps, draft);
            match hook {
                Some(hook) => builder.base(kind, hook, rule),
                None => builder.chain(kind, ChainName::new(name), rule),
            };
        }
    }
    builder.finish()
}

fn finished(
    world: World,
    kind: TableKind,
    chain: &'static str,
    jumps: &[&'static str],
    mut draft: Draft,
) -> Rule {
    let jump = draft.jump.and_then(|n| jumps.get(n)).map(|to| Action::Jump(ChainName::new(to)));
    let prerouting_only = matches!(chain, "prerouting" | "in_sub");
    let own = match kind {
        TableKind::Raw => draft.raw,
        TableKind::Mangle => draft.tproxy.filter(|_| prerouting_only).unwrap_or(draft.mangle),
        TableKind::Nat => draft.nat,
    };
    let action = match (jump, draft.anywhere) {
        (Some(jump), _) => jump,
        // A stand-in for "the action of this kind of chain".
        (None, Action::Log { level: 0, .. }) => own,
        (None, anywhere) => anywhere,
    };
    let names_one = |one: &Match| matches!(one, Match::Protocol(_) | Match::Port { .. });
    if action.needs_protocol() && !draft.matches.iter().any(names_one) {
        draft.matches.push(Match::Protocol(world.protocol));
    }
    let start = draft.matches.into_iter().fold(rule("generated"), RuleStart::matching);
    start.then(action)
}

fn chain_rules(world: World, listens: bool) -> impl Strategy<Value = Vec<Draft>> {
    vec(draft(world, listens), 0..5)
}

fn draft(world: World, listens: bool) -> impl Strategy<Value = Draft> {
    let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
    family.prop_flat_map(move |family| {
        let marks = prop_oneof![
            select(&MARKS[..]).prop_map(Action::SetMark),
            Just(Action::SaveMark),
            Just(Action::RestoreMark)
        ];
        let port = if listens { TPROXY_PORT } else { SILENT_PORT };
        let tproxy = select(&MARKS[1..]).prop_map(move |mark| Action::Tproxy { port, mark });
        (
            matches(world, family),
            anywhere(),
            prop::option::weighted(0.35, 0..2_usize),
            select(&[1, 2][..]).prop_map(Action::CtZone),
            marks,
            prop::option::weighted(0.3, tproxy),
            nat(family),
        )
            .prop_map(move |(mut matches, anywhere, jump, raw, mangle, tproxy, nat)| {
                let (raw, mangle) = if world.whole_connections {
                    matches.retain(|one| !matches!(one, Match::CtState(_) | Match::ConnMark(_)));
                    if anywhere == Action::Drop || tproxy.is_some() {
                        matches.push(Match::CtState(vec![CtState::New]));
                    }
                    let log = Action::Log { prefix: "generated ".into(), level: 6 };
                    let steady = matches!(mangle, Action::SetMark(mark) if mark != ROUTING.mark);
                    (log.clone(), if steady { mangle } else { log })
                } else {
                    (raw, mangle)
                };
                if matches!(&nat, Action::Dnat { .. }) {
                    matches.retain(|one| !matches!(one, Match::Family(_)));
                    matches.insert(0, Match::Family(family));
                }
                Draft { matches, anywhere, jump, raw, mangle, tproxy, nat }
            })
    })
}

fn anywhere() -> impl Strategy<Value = Action> {
    let log = |level| Action::Log { prefix: "generated ".into(), level };
    prop_oneof![
        6 => Just(log(0)),
        2 => Just(Action::Return),
        1 => Just(Action::Accept),
        1 => Just(Action::Drop),
        1 => Just(log(6)),
    ]
}

fn nat(family: Family) -> impl Strategy<Value = Action> {
    let addresses: &[&str] = match family {
        Family::Ipv4 => &["127.0.0.1", "10.77.0.2", "203.0.113.5"],
        Family::Ipv6 => &["::1", "fd77::2", "2001:db8:5::5"],
    };
    let dnat = (select(addresses), prop::option::of(Just(8600)))
        .prop_map(|(address, port)| Action::Dnat { address: address.parse().expect("an address"), port });
    prop_oneof![4 => select(&PROXY_PORTS[..]).prop_map(Action::Redirect), 1 => dnat]
}

fn matches(world: World, family: Family) -> impl Strategy<Value = Vec<Match>> {
    let one = prop_oneof![
        4 => ports(world.protocol),
        1 => ports(other(world.protocol)),
        2 => Just(Match::Protocol(world.protocol)),
        1 => Just(Match::Protocol(other(world.protocol))),
        2 => Just(Match::Family(family)),
        5 => addresses(family),
        2 => select(&["lo", "eth0", "eth+"][..]).prop_map(|name| Match::InInterface(interface(name))),
        2 => select(&["lo", "eth0", "eth+"][..]).prop_map(|name| Match::OutInterface(interface(name))),
        4 => (ids(), any::<bool>()).prop_map(|(ids, negate)| Match::Uid { ids, negate }),
        2 => (ids(), any::<bool>()).prop_map(|(ids, negate)| Match::Gid { ids, negate }),
        3 => (mark(), any::<bool>()).prop_map(|(mark, negate)| Match::Mark { mark, negate }),
        2 => mark().prop_map(Match::ConnMark),
        2 => select(&[CtState::New, CtState::Invalid, CtState::Established][..])
            .prop_map(|state| Match::CtState(vec![state])),
    ];
    vec(one, 0..3)
}

fn other(protocol: Protocol) -> Protocol {
    if protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp }
}

fn interface(name: &str) -> InterfaceName {
    name.parse().expect("an interface name")
}

fn ids() -> impl Strategy<Value = IdRange> {
    prop_oneof![select(&IDS[..]).prop_map(IdRange::one), Just(IdRange::new(1000, 1400).expect("a range"))]
}

fn mark() -> impl Strategy<Value = MaskedMark> {
    (select(&MARKS[..]), select(&[u32::MAX, 1, 0x539][..]))
        .prop_map(|(value, mask)| MaskedMark { value: value & mask, mask })
}

fn ports(protocol: Protocol) -> impl Strategy<Value = Match> {
    let range = prop_oneof![
        select(&PORTS[..]).prop_map(PortRange::one),
        select(&PROXY_PORTS[..]).prop_map(PortRange::one),
        Just(PortRange::new(80, 8080).expect("a range")),
    ];
    (vec(range, 1..3), any::<bool>()).prop_map(move |(ports, negate)| {
        Match::ports(protocol, meshward_redirect::ruleset::Side::Destination, ports, negate)
    })
}

fn addresses(family: Family) -> impl Strategy<Value = Match> {
    let nets: &[&str] = match family {
        Family::Ipv4 => {
            &["192.0.2.0/24", "198.51.100.3/32", "127.0.0.1/32", "127.0.0.0/8", "10.77.0.2/32", "10.0.0.0/8"]
        }
        Family::Ipv6 => &["2001:db8::/32", "::1/128", "fd77::2/128", "fc00::/7"],
    };
    (select(nets), any::<bool>(), any::<bool>()).prop_map(|(net, source, negate)| {
        let net: IpNet = net.parse().expect("a network");
        if source { Match::source(net, negate) } else { Match::destination(net, negate) }
    })
}

fn packet(world: World) -> impl Strategy<Value = Packet> {
    const OUT: [(&str, &str); 11] = [
        ("10.77.0.2", "192.0.2.7"),
        ("10.77.0.2", "198.51.100.3"),
        ("10.77.0.2", "10.77.0.2"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.6", "10.77.0.2"),
        ("10.77.0.2", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.6"),
        ("fd77::2", "2001:db8::7"),
        ("fd77::2", "fd77::2"),
        ("::1", "::1"),
        ("fd77::2", "::1"),
    ];
    const IN: [(&str, &str); 4] = [
        ("10.77.0.1", "10.77.0.2"),
        ("198.51.100.3", "10.77.0.2"),
        ("fd77::1", "fd77::2"),
        ("2001:db8::9", "fd77::2"),
    ];
    let ways = || {
        let out = select(&OUT[..]).prop_map(|ends| (Direction::Out, ends));
        prop_oneof![7 => out, 3 => select(&IN[..]).prop_map(|ends| (Direction::In, ends))]
    };
    let owner = if world.users { (select(&IDS[..]), select(&IDS[..])).boxed() } else { Just((0, 0)).boxed() };
    // The answer to a connection that policy routing brought here needs a transparent listener.
    let marks = if world.whole_connections { &MARKS[..3] } else { &MARKS[..] };
    let marks = prop_oneof![3 => Just(0), 1 => select(marks)];
    (ways(), select(&PORTS[..]), owner, marks).prop_map(
        move |((direction, (source, destination)), port, (uid, gid), mark)| {
            let address = |text: &str| text.parse::<IpAddr>().expect("an address");
            let out = direction == Direction::Out;
            Packet {
                direction,
                protocol: world.protocol,
                // No rule here looks at the source port; the real one is chosen when the packet is sent.
                source: SocketAddr::new(address(source), 1),
                destination: SocketAddr::new(address(destination), port),
                owner: out.then_some(Owner { uid, gid }),
                interface: None,
                mark: if out { mark } else { 0 },
                connection_mark: 0,
                state: CtState::New,
            }
        },
    )
}
