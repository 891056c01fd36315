//! Connections that prove rules: found by walking the rules themselves, so that exclusions, lists of networks and lists
//! of ports are heeded whatever mesh they are of. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::trace::{self, Direction, Ending, Environment, Owner, Packet, Verdict, trace};
use meshward_redirect::{CtState, Match, RuleSet};

/// Addresses that are nobody's (RFC 5737, RFC 3849): tried first, since a connection to them harms nobody even where
/// the rules turn out not to be in force.
const NOBODYS: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];
/// Addresses that Istio's proxy calls the pod's own ports by (its inbound pass-through, `InboundPassthroughBindIpv4`).
const OWN: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6)), IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))];
/// A port that no known program uses, then some that lists name.
const PORTS: [u16; 4] = [1404, 80, 443, 8080];
/// How many addresses, ports and users of a rule set are tried in each family.
const MOST: usize = 12;
/// The port that a trace's packet comes from.
const FROM: u16 = 41404;

/// A connection, and where it has to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Where it is made to.
    pub to: SocketAddr,
    /// The pod's port it arrives at.
    pub port: u16,
    /// The only user who can make it, for inbound rules; none for outbound ones.
    pub user: Option<u32>,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            None => write!(f, "out={}>{}", self.to, self.port),
            Some(user) => write!(f, "in={}>{}@{user}", self.to, self.port),
        }
    }
}

/// The proofs of `rules` in a pod with these addresses, for a wait container of this user and group: at most one of each
/// direction and family, none where the rules have no such connection.
pub fn proofs(rules: &RuleSet, addresses: &[IpAddr], wait: (u32, u32)) -> Vec<Proof> {
    let environment = Environment { addresses: addresses.to_vec(), ..Environment::default() };
    let families = rules.families().iter();
    let outbound = families.clone().filter_map(|family| outbound(rules, &environment, *family, wait));
    let inbound = families.filter_map(|family| inbound(rules, &environment, *family));
    outbound.chain(inbound).collect()
}

fn outbound(
    rules: &RuleSet,
    environment: &Environment,
    family: Family,
    (uid, gid): (u32, u32),
) -> Option<Proof> {
    let owner = Owner { uid, gid };
    let targets = targets(rules, family);
    ports(rules).into_iter().find_map(|port| {
        targets.iter().find_map(|address| {
            let to = SocketAddr::new(*address, port);
            let port = redirected(rules, environment, to, owner)?;
            Some(Proof { to, port, user: None })
        })
    })
}

/// Calls of the proxy to its own pod, which some meshes send through their inbound rules.
fn inbound(rules: &RuleSet, environment: &Environment, family: Family) -> Option<Proof> {
    let to = OWN.into_iter().find(|address| Family::of(*address) == family)?;
    users(rules).into_iter().find_map(|user| {
        PORTS.into_iter().find_map(|port| {
            let to = SocketAddr::new(to, port);
            let port = redirected(rules, environment, to, Owner { uid: user, gid: user })?;
            Some(Proof { to, port, user: Some(user) })
        })
    })
}

/// The port of the pod that a connection arrives at instead of where it is made to.
fn redirected(rules: &RuleSet, environment: &Environment, to: SocketAddr, owner: Owner) -> Option<u16> {
    let from = match to.ip() {
        ip if is_own(ip) => match ip {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => ip,
        },
        ip => environment.address(Family::of(ip)).unwrap_or(match ip {
            IpAddr::V4(_) => Ipv4Addr::new(10, 77, 0, 2).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2).into(),
        }),
    };
    let packet = Packet {
        direction: Direction::Out,
        protocol: Protocol::Tcp,
        source: SocketAddr::new(from, FROM),
        destination: to,
        owner: Some(owner),
        interface: None,
        mark: 0,
        connection_mark: 0,
        state: CtState::New,
    };
    let trace: trace::Trace = trace(rules, &packet, environment).ok()?;
    match (trace.verdict, trace.ending) {
        (Verdict::Redirected { port, original }, Ending::Local { to: end, .. })
            if original == to && end.port() == port =>
        {
            Some(port)
        }
        _ => None,
    }
}

fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || OWN.contains(&ip)
}

fn matches(rules: &RuleSet) -> impl Iterator<Item = &Match> {
    rules.rules().flat_map(|(_, _, rule)| &rule.matches)
}

/// Nobody's addresses, then one of each network that the rules name.
fn targets(rules: &RuleSet, family: Family) -> Vec<IpAddr> {
    let named = matches(rules).filter_map(|one| match one {
        Match::Address { side: Side::Destination, net, negate: false } => inside(net),
        _ => None,
    });
    let all = NOBODYS.into_iter().chain(named).filter(|address| Family::of(*address) == family);
    let mut seen = BTreeSet::new();
    all.filter(|address| !is_own(*address) && !address.is_unspecified())
        .filter(|address| seen.insert(*address))
        .take(MOST)
        .collect()
}

/// The first address of a network that could be somebody's.
fn inside(net: &IpNet) -> Option<IpAddr> {
    net.hosts().next()
}

fn ports(rules: &RuleSet) -> Vec<u16> {
    let named = matches(rules).flat_map(|one| match one {
        Match::Port { protocol: Protocol::Tcp, side: Side::Destination, ports, negate: false } => {
            ports.iter().map(|range| range.start()).collect()
        }
        _ => Vec::new(),
    });
    let mut seen = BTreeSet::new();
    PORTS.into_iter().chain(named).filter(|port| *port != 0 && seen.insert(*port)).take(MOST).collect()
}

fn users(rules: &RuleSet) -> Vec<u32> {
    let named = matches(rules).filter_map(|one| match one {
        Match::Uid { ids, negate: false } => Some(ids.start()),
        _ => None,
    });
    let mut seen = BTreeSet::new();
    named.filter(|user| seen.insert(*user)).take(MOST).collect()
}
