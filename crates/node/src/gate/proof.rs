//! Connections that prove rules: found by walking the rules themselves, so that exclusions, lists of networks and lists
//! of ports are heeded whatever mesh they are of. Pure.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

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
/// The address that Istio's proxy calls the pod's own ports by (`InboundPassthroughBindIpv4`). Its IPv6 one proves
/// nothing: such a call comes from that address too, which the rules let pass.
const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
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

/// The families in which the calling thread's namespace has a way out. Without one a call fails before any rule sees
/// it, and would prove nothing. Nothing is sent: a UDP socket only looks its route up.
pub fn ways_out() -> Vec<Family> {
    let ways = NOBODYS.into_iter().filter(|address| {
        let own: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        UdpSocket::bind((own, 0)).and_then(|socket| socket.connect((*address, PORTS[0]))).is_ok()
    });
    let families: BTreeSet<Family> = ways.map(Family::of).collect();
    families.into_iter().collect()
}

/// What is known of the pod that the rules are tried in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its addresses, as far as they are known.
    pub addresses: &'a [IpAddr],
    /// As [`ways_out`] found them.
    pub ways_out: &'a [Family],
    /// User and group of whoever tries.
    pub wait: (u32, u32),
}

/// The proofs of `rules` there: at most one outbound of each family and one inbound, none where the rules have no such
/// connection.
pub fn proofs(rules: &RuleSet, place: Place<'_>) -> Vec<Proof> {
    let environment = Environment { addresses: place.addresses.to_vec(), ..Environment::default() };
    let families = rules.families().iter().filter(|family| place.ways_out.contains(family));
    let outbound = families.filter_map(|family| outbound(rules, &environment, *family, place.wait));
    let inbound = inbound(rules, &environment);
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
fn inbound(rules: &RuleSet, environment: &Environment) -> Option<Proof> {
    users(rules).into_iter().find_map(|user| {
        PORTS.into_iter().find_map(|port| {
            let to = SocketAddr::new(OWN.into(), port);
            let port = redirected(rules, environment, to, Owner { uid: user, gid: user })?;
            Some(Proof { to, port, user: Some(user) })
        })
    })
}

/// The port of the pod that a connection arrives at instead of where it is made to.
fn redirected(rules: &RuleSet, environment: &Environment, to: SocketAddr, owner: Owner) -> Option<u16> {
    let from = match to.ip() {
        ip if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
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
    all.filter(|address| !address.is_loopback() && !address.is_unspecified())
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

#[cfg(test)]
mod tests {
    use meshward_redirect::Mesh;
    use meshward_redirect::dialect::{self, Origin, Settings, Surroundings};

    use super::*;

    fn words(mesh: Mesh, options: &[(&str, &str)], wait: u32) -> String {
        let mut settings = Settings::new(dialect::flags_of(mesh));
        for (option, value) in options {
            settings.set(option, *value, Origin::Default);
        }
        let rules = dialect::build(
            mesh,
            &settings,
            Surroundings { global_ipv4: Some(true), global_ipv6: Some(false) },
        )
        .unwrap()
        .rules;
        let place = Place {
            addresses: &["10.244.0.7".parse().unwrap()],
            ways_out: &[Family::Ipv4],
            wait: (wait, wait),
        };
        let proofs = proofs(&rules, place);
        proofs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn proofs_are_what_the_rules_capture() {
        let all = ("istio-service-cidr", "*");
        let inbound = "in=127.0.0.6:1404>15006@1337";
        let istio: &[(&[(&str, &str)], String)] = &[
            (&[all, ("istio-inbound-ports", "*")], format!("out=192.0.2.2:1404>15001 {inbound}")),
            // Without an inbound list the proxy's calls to itself are still sent through the inbound rules.
            (&[all], format!("out=192.0.2.2:1404>15001 {inbound}")),
            (
                &[all, ("istio-local-outbound-ports-exclude", "1404")],
                "out=192.0.2.2:80>15001 in=127.0.0.6:80>15006@1337".into(),
            ),
            (&[("istio-service-cidr", "10.96.0.0/16")], format!("out=10.96.0.1:1404>15001 {inbound}")),
            (
                &[all, ("istio-service-exclude-cidr", "192.0.2.0/24")],
                format!("out=198.51.100.2:1404>15001 {inbound}"),
            ),
            (
                &[("istio-service-cidr", ""), ("istio-outbound-ports", "9000")],
                format!("out=192.0.2.2:9000>15001 {inbound}"),
            ),
            (&[("istio-service-cidr", "")], inbound.to_string()),
        ];
        for (options, expected) in istio {
            assert_eq!(&words(Mesh::Istio, options, 65532), expected, "{options:?}");
        }
        // Whoever is exempt cannot prove anything.
        assert_eq!(words(Mesh::Istio, &[all], 1337), inbound);
    }

    #[test]
    fn every_mesh_has_its_proof() {
        let linkerd = words(Mesh::Linkerd, &[("proxy-uid", "2102")], 65532);
        assert_eq!(linkerd, "out=192.0.2.2:1404>4140");
        assert_eq!(words(Mesh::Linkerd, &[("proxy-uid", "2102")], 2102), "");
        for mesh in [Mesh::Kuma, Mesh::Consul] {
            let text = words(mesh, &[], 65532);
            assert!(text.starts_with("out=192.0.2.2:1404>15001"), "{mesh}: {text}");
        }
    }
}
