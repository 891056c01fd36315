//! The bed itself: packets get where they are sent when there are no rules, senders are who they say they are, and
//! nothing is left behind.

use std::net::{IpAddr, SocketAddr};

use meshward_netlab::{
    Bed, Error, Layout, Namespace, Outcome, Place, Probe, Protocol, Stray, can_switch_users,
};

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn every_address_answers() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack().with_link("net1"))? else { return Ok(()) };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        bed.listen(Place::Peer, protocol, 443)?;
        bed.listen(Place::Pod, protocol, 8080)?;
        let probes = [
            (Probe::out(protocol, address("192.0.2.7:443")), Place::Peer),
            (Probe::out(protocol, address("[2001:db8::7]:443")), Place::Peer),
            (Probe::out(protocol, address("127.0.0.1:8080")), Place::Pod),
            (
                Probe::out(protocol, address("10.77.0.2:8080"))
                    .source("127.0.0.6".parse::<IpAddr>().unwrap()),
                Place::Pod,
            ),
            (Probe::inbound(protocol, address("10.77.0.2:8080")), Place::Pod),
            (Probe::inbound(protocol, address("10.77.1.2:8080")), Place::Pod),
            (Probe::inbound(protocol, address("[fd77::2]:8080")), Place::Pod),
            (
                Probe::inbound(protocol, address("10.77.0.2:8080"))
                    .source("198.51.100.9".parse::<IpAddr>().unwrap()),
                Place::Pod,
            ),
        ];
        let outcomes = bed.probe_all(&probes.clone().map(|(probe, _)| probe))?;
        for ((probe, place), outcome) in probes.iter().zip(&outcomes) {
            let Outcome::Reached(arrival) = outcome else { panic!("{probe:?}: {outcome:?}") };
            assert_eq!((arrival.place, arrival.port), (*place, probe.destination.port()), "{probe:?}");
            assert!(
                probe.source.is_none_or(|source| source == arrival.source.ip()),
                "{probe:?}: {arrival:?}"
            );
            assert!(arrival.local.is_none_or(|local| local == probe.destination), "{probe:?}: {arrival:?}");
        }
        assert_eq!(bed.probe(&Probe::out(protocol, address("192.0.2.7:444")))?, Outcome::Refused);
    }
    Ok(())
}

#[test]
fn rules_see_the_owner_and_the_mark() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::ipv4())? else { return Ok(()) };
    if !can_switch_users() {
        meshward_netlab::skipped("one mapped user id only");
        return Ok(());
    }
    let rules = "table inet t {
        chain out { type nat hook output priority -100;
            meta l4proto tcp meta skuid 1000 redirect to :15001
            meta l4proto tcp meta skgid 2000 redirect to :15002
            meta l4proto tcp meta mark 7 redirect to :15003
        }
    }";
    bed.pod.command("nft", &["-f", "-"], rules)?;
    for port in 15001..=15003 {
        bed.listen(Place::Pod, Protocol::Tcp, port)?;
    }
    bed.listen(Place::Peer, Protocol::Tcp, 80)?;
    let probe = Probe::out(Protocol::Tcp, address("192.0.2.7:80"));
    let outcomes = bed.probe_all(&[
        probe.clone().owner(1000, 1),
        probe.clone().owner(1, 2000),
        probe.clone().mark(7),
        probe.clone().owner(1, 1),
    ])?;
    let reached: Vec<_> = outcomes.iter().map(Outcome::reached).collect();
    let expected = [(Place::Pod, 15001), (Place::Pod, 15002), (Place::Pod, 15003), (Place::Peer, 80)];
    assert_eq!(reached, expected.map(Some));
    assert!(
        outcomes[..3].iter().all(|outcome| outcome.original() == Some(probe.destination)),
        "{outcomes:?}"
    );
    Ok(())
}

#[test]
fn a_drop_is_silence_or_a_refusal_to_send() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::ipv4())? else { return Ok(()) };
    bed.listen(Place::Peer, Protocol::Udp, 80)?;
    bed.listen(Place::Pod, Protocol::Udp, 80)?;
    let rules = "table inet t {
        chain out { type filter hook output priority 0; meta l4proto udp drop; }
        chain in { type filter hook input priority 0; meta l4proto udp drop; }
    }";
    bed.pod.command("nft", &["-f", "-"], rules)?;
    assert_eq!(bed.probe(&Probe::out(Protocol::Udp, address("192.0.2.7:80")))?, Outcome::Blocked);
    assert_eq!(
        bed.probe(&Probe::inbound(Protocol::Udp, address("10.77.0.2:80")).silent())?,
        Outcome::Silence
    );
    Ok(())
}

#[test]
fn a_namespace_goes_with_its_value() -> Result<(), Error> {
    let (path, inode) = match Namespace::new() {
        Err(Error::NotPermitted) => {
            meshward_netlab::skipped("needs CAP_NET_ADMIN");
            return Ok(());
        }
        other => {
            let namespace = other?;
            let path = namespace.path();
            let own = std::fs::read_link("/proc/self/ns/net").expect("a link");
            let inode = std::fs::read_link(&path).expect("a link");
            assert_ne!(inode, own);
            (path, inode)
        }
    };
    // The descriptor's number may be in use again, by another namespace of a test beside this one.
    assert_ne!(std::fs::read_link(path).ok(), Some(inode));
    Ok(())
}

#[test]
fn a_machine_behind_a_cable_sends_to_anywhere() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack().with_link("net1"))? else { return Ok(()) };
    let rules = "table inet t {
        chain in { type nat hook prerouting priority -100; iifname net1 meta l4proto tcp redirect to :15001; }
    }";
    bed.pod.command("nft", &["-f", "-"], rules)?;
    bed.listen(Place::Pod, Protocol::Tcp, 15001)?;
    for (destination, cable, reached) in [
        ("203.0.113.9:80", 1, true),
        ("[2001:db8::9]:80", 1, true),
        ("10.77.1.2:80", 1, true),
        ("203.0.113.9:80", 0, false),
    ] {
        let probe = Probe::inbound(Protocol::Tcp, address(destination)).by_cable(cable).silent();
        let outcome = bed.probe(&probe)?;
        assert_eq!(outcome.reached(), reached.then_some((Place::Pod, 15001)), "{probe:?}: {outcome:?}");
        assert_eq!(outcome.original(), reached.then_some(probe.destination));
    }
    Ok(())
}

#[test]
fn a_stray_segment_is_answered_unless_it_is_dropped() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack())? else { return Ok(()) };
    bed.listen(Place::Pod, Protocol::Tcp, 8080)?;
    let to = |source_port, destination| Stray { source_port, destination: address(destination) };
    let strays = [to(7001, "10.77.0.2:8080"), to(7002, "10.77.0.2:8081"), to(7003, "[fd77::2]:8080")];
    assert_eq!(bed.stray(&strays)?, [true; 3]);
    let rules = "table inet t {
        chain in { type filter hook prerouting priority -150; ct state invalid tcp dport 8080 drop; }
    }";
    bed.pod.command("nft", &["-f", "-"], rules)?;
    assert_eq!(bed.stray(&strays)?, [false, true, false]);
    Ok(())
}

#[test]
fn zones_and_marks_of_connections_are_told() -> Result<(), Error> {
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack())? else { return Ok(()) };
    bed.listen(Place::Peer, Protocol::Udp, 53)?;
    let rules = "table inet t {
        chain raw { type filter hook output priority -300; udp dport 53 ct zone set 2; }
        chain mangle { type filter hook output priority -150; udp dport 53 ct mark set meta mark; }
    }";
    bed.pod.command("nft", &["-f", "-"], rules)?;
    let probe = Probe::out(Protocol::Udp, address("192.0.2.7:53")).mark(9).source_port(5353);
    assert_eq!(bed.probe(&probe)?.reached(), Some((Place::Peer, 53)));
    let Some(connections) = bed.connections()? else {
        meshward_netlab::skipped("connections are not listed by this kernel");
        return Ok(());
    };
    let found: Vec<_> =
        connections.iter().map(|c| (c.source.port(), c.destination, c.zone, c.mark)).collect();
    assert_eq!(found, [(5353, probe.destination, 2, 9)]);
    Ok(())
}
