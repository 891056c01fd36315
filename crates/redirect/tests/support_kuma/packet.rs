//! What rules do with packets, by iptables' semantics, and enough packets to tell two rule sets apart.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, Chain, CtState, Hook, Match, Rule, RuleSet, Table, TableKind};

#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) hook: Hook,
    pub(crate) protocol: Protocol,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// Where it came in (prerouting) or leaves (output).
    pub(crate) interface: String,
    /// Whose socket sent it; only in output.
    pub(crate) uid: Option<u32>,
    pub(crate) state: CtState,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    zone: Option<u16>,
    dropped: bool,
    logged: Vec<String>,
    /// The redirect or DNAT that decided; none: untouched.
    nat: Option<Action>,
}

pub(crate) fn outcome(rules: &RuleSet, packet: &Packet) -> Outcome {
    let mut outcome = Outcome::default();
    for kind in [TableKind::Raw, TableKind::Mangle, TableKind::Nat] {
        if let Some(table) = rules.table(kind)
            && let Some(chain) = table.base_chain(packet.hook)
        {
            walk(table, chain, packet, &mut outcome);
        }
        if outcome.dropped {
            break;
        }
    }
    outcome
}

/// Whether the packet is done with this table.
fn walk(table: &Table, chain: &Chain, packet: &Packet, outcome: &mut Outcome) -> bool {
    for rule in chain.rules.iter().filter(|rule| rule.matches.iter().all(|one| fits(one, packet))) {
        match &rule.action {
            Action::Return => return false,
            Action::Accept => return true,
            Action::Drop => {
                outcome.dropped = true;
                return true;
            }
            Action::Jump(to) => {
                let next = table.chain(to).expect("a jump leads to a chain");
                if walk(table, next, packet, outcome) {
                    return true;
                }
            }
            Action::Redirect(_) | Action::Dnat { .. } => {
                outcome.nat = Some(rule.action.clone());
                return true;
            }
            // A packet that has a zone already is passed over (xt_ct_target, nft_ct_set_zone_eval).
            Action::CtZone(zone) => outcome.zone = outcome.zone.or(Some(*zone)),
            Action::Log { prefix, .. } => outcome.logged.push(prefix.to_string()),
            other => unreachable!("{other:?} is not of these meshes"),
        }
    }
    false
}

fn fits(one: &Match, packet: &Packet) -> bool {
    match one {
        Match::Family(family) => Family::of(packet.destination) == *family,
        Match::Protocol(protocol) => packet.protocol == *protocol,
        Match::Port { protocol, side, ports, negate } => {
            let port = match side {
                Side::Source => packet.source_port,
                Side::Destination => packet.destination_port,
            };
            packet.protocol == *protocol && ports.iter().any(|range| range.contains(port)) != *negate
        }
        Match::Address { side, net, negate } => {
            let address = match side {
                Side::Source => packet.source,
                Side::Destination => packet.destination,
            };
            Family::of(address) == Family::of_net(net) && net.contains(&address) != *negate
        }
        Match::InInterface(name) => packet.hook == Hook::Prerouting && name.matches(&packet.interface),
        Match::OutInterface(name) => packet.hook == Hook::Output && name.matches(&packet.interface),
        Match::Uid { ids, negate } => packet.uid.is_some_and(|uid| ids.contains(uid) != *negate),
        Match::CtState(states) => states.contains(&packet.state),
        other => unreachable!("{other:?} is not of these meshes"),
    }
}

/// Every combination of the values that the rules name, their neighbours, and a few that they do not.
pub(crate) fn lattice<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Packet> {
    let mut ports = BTreeSet::from([8080]);
    let mut source_ports = BTreeSet::from([40000]);
    let mut uids = BTreeSet::from([0, 1000]);
    let mut interfaces = BTreeSet::from(["lo".to_string(), "eth0".to_string()]);
    let mut sources: BTreeSet<IpAddr> = ["10.0.0.9", "fd00::9"].map(address).into();
    let mut destinations: BTreeSet<IpAddr> =
        ["10.0.0.7", "203.0.113.5", "fd00::7", "2001:db8::5"].map(address).into();
    for one in rules.into_iter().flat_map(|rule| &rule.matches) {
        match one {
            Match::Port { side: Side::Destination, ports: named, .. } => ports.extend(
                named.iter().flat_map(|range| [range.start(), range.end(), range.end().saturating_add(1)]),
            ),
            Match::Port { ports: named, .. } => source_ports.extend(named.iter().map(|range| range.start())),
            Match::Uid { ids, .. } => uids.extend([ids.start(), ids.end(), ids.end() + 1]),
            Match::InInterface(name) => {
                interfaces.insert(format!("{}0", name.name().trim_end_matches('0')));
            }
            Match::Address { side: Side::Source, net, .. } => sources.extend(inside(net)),
            Match::Address { net, .. } => destinations.extend(inside(net)),
            _ => {}
        }
    }
    let mut packets = Vec::new();
    for (source, destination) in pairs(&sources, &destinations) {
        for interface in &interfaces {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                for (source_port, destination_port) in pairs(&source_ports, &ports) {
                    let packet = |hook, uid| Packet {
                        hook,
                        protocol,
                        source: *source,
                        destination: *destination,
                        source_port: *source_port,
                        destination_port: *destination_port,
                        interface: interface.clone(),
                        uid,
                        state: CtState::New,
                    };
                    packets.push(packet(Hook::Prerouting, None));
                    packets.push(Packet { state: CtState::Invalid, ..packet(Hook::Prerouting, None) });
                    packets.extend(uids.iter().map(|uid| packet(Hook::Output, Some(*uid))));
                }
            }
        }
    }
    packets.retain(|packet| Family::of(packet.source) == Family::of(packet.destination));
    packets
}

fn pairs<'a, A, B>(left: &'a BTreeSet<A>, right: &'a BTreeSet<B>) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter().flat_map(move |one| right.iter().map(move |other| (one, other)))
}

fn inside(net: &IpNet) -> [IpAddr; 2] {
    [net.network(), net.broadcast()]
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
