//! What the evaluator says without a kernel at hand: words, defaults, bad input, rule sets that cannot be.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{Direction, Ending, Environment, Error, PacketSpec, Trace, Verdict};
use crate::builder::{Builder, rule};
use crate::net::{InterfaceName, Protocol};
use crate::ruleset::{Action, ChainName, CtState, Hook, Match, Mesh, PolicyRouting, RuleSet, TableKind};

const IN: ChainName = ChainName::new("inbound");
const OUT: ChainName = ChainName::new("outbound");

/// A sidecar's usual rules in small.
fn sidecar(ipv6: bool) -> RuleSet {
    let tcp = || Match::Protocol(Protocol::Tcp);
    let mut b = Builder::new(Mesh::Istio, ipv6);
    let zone = rule("dns.zone").option("redirect-dns").matching(Match::dport(Protocol::Udp, 53));
    b.base(TableKind::Raw, Hook::Output, zone.then(Action::CtZone(1)));
    b.base(TableKind::Nat, Hook::Prerouting, rule("in.jump").matching(tcp()).then(Action::Jump(IN)));
    b.base(TableKind::Nat, Hook::Output, rule("out.jump").then(Action::Jump(OUT)));
    let excluded = rule("in.exclude-port").option("istio-local-exclude-ports");
    b.chain(TableKind::Nat, IN, excluded.matching(Match::dport(Protocol::Tcp, 15020)).then(Action::Return));
    let all = rule("in.capture").option("istio-inbound-ports").matching(tcp());
    b.chain(TableKind::Nat, IN, all.then(Action::Redirect(15006)));
    let own =
        rule("out.self-call").option("proxy-uid").matching(Match::OutInterface(InterfaceName::loopback()));
    let own = own.matching(tcp()).matching(Match::uid(1337, false));
    b.chain(TableKind::Nat, OUT, own.then(Action::Redirect(15006)));
    let proxy = rule("out.proxy-uid").option("proxy-uid").matching(Match::uid(1337, false));
    b.chain(TableKind::Nat, OUT, proxy.then(Action::Return));
    let all = rule("out.capture").option("istio-service-cidr").matching(tcp());
    b.chain(TableKind::Nat, OUT, all.then(Action::Redirect(15001)));
    b.finish()
}

fn pod() -> Environment {
    let addresses = ["10.1.2.3", "fd00::3"].map(|a| a.parse::<IpAddr>().unwrap()).to_vec();
    Environment { addresses, ..Environment::default() }
}

fn out(protocol: &str, to: &str) -> PacketSpec {
    PacketSpec::new(Direction::Out, protocol, to).unwrap()
}

fn traced(spec: &PacketSpec) -> Trace {
    spec.trace(&sidecar(false), &pod()).unwrap()
}

#[test]
fn an_application_is_captured() {
    insta::assert_snapshot!(traced(&out("TCP", "10.0.0.7:443")).explain(false));
}

#[test]
fn the_proxy_passes_and_verbose_says_what_did_not_match() {
    insta::assert_snapshot!(traced(&out("tcp", "10.0.0.7:443").uid("1337").unwrap()).explain(true));
}

#[test]
fn the_proxy_calls_its_own_pod() {
    insta::assert_snapshot!(traced(&out("tcp", "10.1.2.3:8080").uid("1337").unwrap()).explain(false));
}

#[test]
fn ipv6_that_is_not_captured_is_said_to_be() {
    insta::assert_snapshot!(traced(&out("tcp", "[2001:db8::7]:443")).explain(false));
}

#[test]
fn dns_leaves_a_zone_behind() {
    insta::assert_snapshot!(traced(&out("udp", "10.96.0.10:53").uid("none").unwrap()).explain(false));
}

#[test]
fn an_arrival_is_captured_and_its_json_is_stable() {
    let spec = PacketSpec::new(Direction::In, "tcp", "10.1.2.3:8080").unwrap().from("10.9.9.9:5555").unwrap();
    insta::assert_snapshot!(traced(&spec).explain(false));
    insta::assert_snapshot!(serde_json::to_string_pretty(&traced(&spec)).unwrap());
}

#[test]
fn later_packets_pass_nat_by() {
    for (state, asked) in [("new", true), ("related", true), ("established", false), ("invalid", false)] {
        let trace = traced(&out("tcp", "10.0.0.7:443").state(state).unwrap());
        let redirected = matches!(trace.verdict, Verdict::Redirected { port: 15001, .. });
        assert_eq!(redirected, asked, "{state}");
    }
}

#[test]
fn a_zone_rule_reads_as_new_before_tracking_but_has_no_mark() {
    let mut b = Builder::new(Mesh::Kuma, true);
    let state = |state| rule("state").matching(Match::CtState(vec![state])).then(Action::CtZone(9));
    b.base(TableKind::Raw, Hook::Output, state(CtState::Invalid));
    b.base(TableKind::Raw, Hook::Output, state(CtState::New));
    b.base(TableKind::Raw, Hook::Output, state(CtState::Invalid));
    let mark = rule("mark").matching(Match::ConnMark(crate::net::MaskedMark::exact(0)));
    b.base(TableKind::Raw, Hook::Output, mark.then(Action::Drop));
    let trace = out("udp", "10.0.0.7:53").trace(&b.finish(), &pod()).unwrap();
    let matched: Vec<bool> = trace.rules().map(|rule| rule.matched).collect();
    assert_eq!(matched, [true, true, false, false]);
    assert_eq!(trace.effects.zone, Some(9));
}

#[test]
fn tproxy_needs_a_listener_and_a_route() {
    let mut b = Builder::new(Mesh::Istio, true);
    let tcp = rule("in.tproxy").matching(Match::Protocol(Protocol::Tcp));
    b.base(TableKind::Mangle, Hook::Prerouting, tcp.then(Action::Tproxy { port: 15006, mark: 1337 }));
    let rules = b.finish();
    let packet = PacketSpec::new(Direction::In, "tcp", "10.1.2.3:80").unwrap();
    let trace = packet.trace(&rules, &pod()).unwrap();
    assert_eq!(trace.verdict, Verdict::Tproxied { port: 15006 });
    assert!(matches!(trace.ending, Ending::Local { port: 15006, .. }));
    let elsewhere = PacketSpec::new(Direction::In, "tcp", "10.5.5.5:80").unwrap();
    let trace = elsewhere.trace(&rules, &pod()).unwrap();
    assert!(matches!(trace.ending, Ending::Forwarded { .. }), "{}", trace.explain(true));
    let routed = RuleSet { routing: Some(PolicyRouting { mark: 1337, table: 133 }), ..rules.clone() };
    let trace = elsewhere.trace(&routed, &pod()).unwrap();
    assert!(matches!(trace.ending, Ending::Local { port: 15006, .. }), "{}", trace.explain(true));
    let deaf = Environment { transparent_listener: false, ..pod() };
    let trace = packet.trace(&rules, &deaf).unwrap();
    assert_eq!(trace.verdict, Verdict::Untouched);
    assert_eq!(
        trace.rules().next().and_then(|rule| rule.passed_by.as_deref()),
        Some("no transparent socket listens there")
    );
}

#[test]
fn rule_sets_that_cannot_be_loaded_are_errors() {
    let mut rules = sidecar(true);
    let chain = rules.tables.iter_mut().find(|table| table.kind == TableKind::Nat).unwrap();
    chain.chains.iter_mut().find(|chain| chain.name == OUT).unwrap().rules[0].matches.clear();
    let first = |rules: &mut RuleSet, action| {
        let table = rules.tables.iter_mut().find(|table| table.kind == TableKind::Nat).unwrap();
        table.chains.iter_mut().find(|chain| chain.name == OUT).unwrap().rules[0].action = action;
    };
    first(&mut rules, Action::Jump(ChainName::new("nowhere")));
    let error = out("tcp", "10.0.0.7:443").trace(&rules, &pod()).unwrap_err();
    assert_eq!(error.to_string(), "rule out.self-call jumps to chain nowhere, which is not in table nat");
    first(&mut rules, Action::Jump(OUT));
    let error = out("tcp", "10.0.0.7:443").trace(&rules, &pod()).unwrap_err();
    assert!(matches!(error, Error::TooDeep { .. }), "{error}");
}

#[test]
fn bad_descriptions_say_what_is_accepted() {
    let new = |direction, protocol, to: &str| PacketSpec::new(direction, protocol, to);
    let spec = || out("tcp", "10.0.0.7:443");
    let errors = [
        new(Direction::Out, "icmp", "10.0.0.7:1").unwrap_err(),
        new(Direction::Out, "tcp", "10.0.0.7").unwrap_err(),
        new(Direction::Out, "tcp", "10.0.0.7:0").unwrap_err(),
        new(Direction::Out, "tcp", "10.0.0.7:65536").unwrap_err(),
        new(Direction::Out, "tcp", "web.shop:80").unwrap_err(),
        new(Direction::Out, "tcp", "2001:db8::7:443").unwrap_err(),
        new(Direction::Out, "tcp", "[::ffff:10.0.0.7]:443").unwrap_err(),
        new(Direction::Out, "tcp", "[10.0.0.7]:443").unwrap_err(),
        spec().from("fd00::3").unwrap_err(),
        spec().from("10.9.9.9:x").unwrap_err(),
        spec().uid("root").unwrap_err(),
        new(Direction::In, "tcp", "10.0.0.7:443").unwrap().uid("1").unwrap_err(),
        spec().interface("eth+").unwrap_err(),
        spec().interface("eth0/1").unwrap_err(),
        spec().mark("0xg").unwrap_err(),
        spec().mark("4294967296").unwrap_err(),
        spec().state("fresh").unwrap_err(),
    ];
    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));
}

#[test]
fn both_forms_of_a_mark_are_read() {
    let mark = |text: &str| out("tcp", "10.0.0.7:443").mark(text).unwrap().resolve(&pod()).0.mark;
    assert_eq!((mark("1337"), mark("0x539")), (1337, 1337));
}

proptest! {
    #[test]
    fn no_text_panics(a in ".{0,40}", b in ".{0,40}", d in any::<bool>()) {
        let direction = if d { Direction::In } else { Direction::Out };
        if let Ok(spec) = PacketSpec::new(direction, "tcp", &a) {
            prop_assert!(spec.trace(&sidecar(d), &pod()).is_ok());
        }
        for try_one in [PacketSpec::from, PacketSpec::uid, PacketSpec::gid, PacketSpec::interface,
            PacketSpec::mark, PacketSpec::connection_mark, PacketSpec::state] {
            let _ = try_one(out("tcp", "10.0.0.7:443"), &b);
        }
    }

    #[test]
    fn every_address_is_read_back(address in any::<std::net::SocketAddr>(), port in 1_u16..) {
        let address = std::net::SocketAddr::new(address.ip().to_canonical(), port);
        let (packet, _) = out("udp", &address.to_string()).resolve(&pod());
        prop_assert_eq!(packet.destination.ip(), address.ip());
        prop_assert_eq!(packet.destination.port(), port);
    }
}
