//! Rule sets for the tests: one with every match and action, and small ones that differ from each other.

use meshward_redirect::builder::{Builder, rule};
use meshward_redirect::net::{Family, IdRange, MaskedMark, PortRange, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, ChainName, CtState, Hook, Match, Mesh, PolicyRouting, RuleSet, TableKind};

const REDIRECT: ChainName = ChainName::new("redirect");
const TPROXY: ChainName = ChainName::new("tproxy");

fn net(text: &str) -> ipnet::IpNet {
    meshward_redirect::net::parse_net(text).unwrap()
}

fn range(start: u16, end: u16) -> PortRange {
    PortRange::new(start, end).unwrap()
}

/// Every match and every action, plain and negated, in both families.
pub(crate) fn everything() -> RuleSet {
    let mut b = Builder::new(Mesh::Istio, true);
    raw(&mut b);
    mangle(&mut b);
    nat_prerouting(&mut b);
    nat_output(&mut b);
    b.routing(PolicyRouting { mark: 1337, table: 133 });
    b.loopback_address("::6".parse().unwrap());
    b.finish()
}

fn raw(b: &mut Builder) {
    let udp = |side, port| Match::ports(Protocol::Udp, side, vec![PortRange::one(port)], false);
    let zone = |name, one, zone| rule(name).matching(one).then(Action::CtZone(zone));
    b.base(TableKind::Raw, Hook::Output, zone("dns.zone-query", udp(Side::Destination, 53), 1));
    b.base(TableKind::Raw, Hook::Prerouting, zone("dns.zone-answer", udp(Side::Source, 53), 1));
}

fn mangle(b: &mut Builder) {
    use Action::{Accept, Drop, RestoreMark, Return, SaveMark, SetMark};
    let tcp = Match::Protocol(Protocol::Tcp);
    let mark = |value, negate| Match::Mark { mark: MaskedMark::exact(value), negate };
    let pre = [
        rule("in.drop-invalid").matching(Match::CtState(vec![CtState::Invalid])).then(Drop),
        rule("in.marked").matching(mark(1337, false)).then(Return),
        rule("in.save")
            .matching(Match::Mark { mark: MaskedMark { value: 0x539, mask: 0xfff }, negate: false })
            .then(SaveMark),
        rule("in.lo")
            .matching(Match::InInterface("lo".parse().unwrap()))
            .matching(mark(1338, true))
            .then(Return),
        rule("in.old")
            .matching(Match::CtState(vec![CtState::Related, CtState::Established, CtState::New]))
            .then(Accept),
        rule("in.jump").matching(tcp.clone()).then(Action::Jump(TPROXY)),
    ];
    let tproxy = [
        rule("in.log").then(Action::Log { prefix: "mesh \"in\" \\ ".into(), level: 7 }),
        rule("in.tproxy4")
            .matching(Match::destination(net("127.0.0.1/32"), true))
            .matching(tcp.clone())
            .then(Action::Tproxy { port: 15006, mark: 1337 }),
        rule("in.tproxy6")
            .matching(Match::destination(net("::1/128"), true))
            .matching(tcp)
            .then(Action::Tproxy { port: 15006, mark: 1337 }),
    ];
    let out = [
        rule("out.set").matching(Match::uid(1337, false)).then(SetMark(1338)),
        rule("out.restore").matching(Match::ConnMark(MaskedMark::exact(1337))).then(RestoreMark),
    ];
    for one in pre {
        b.base(TableKind::Mangle, Hook::Prerouting, one);
    }
    for one in tproxy {
        b.chain(TableKind::Mangle, TPROXY, one);
    }
    for one in out {
        b.base(TableKind::Mangle, Hook::Output, one);
    }
}

fn nat_prerouting(b: &mut Builder) {
    let ports = |side, ports, negate| Match::ports(Protocol::Tcp, side, ports, negate);
    let many = vec![PortRange::one(22), range(8000, 8010), PortRange::one(15008)];
    let rules = [
        rule("in.source").matching(Match::source(net("10.1.0.0/16"), false)).then(Action::Return),
        rule("in.interface").matching(Match::InInterface("net+".parse().unwrap())).then(Action::Return),
        rule("in.exclude").matching(ports(Side::Destination, many.clone(), false)).then(Action::Return),
        rule("in.only").matching(ports(Side::Destination, vec![range(1, 1024)], true)).then(Action::Return),
        rule("in.sports").matching(ports(Side::Source, many, true)).then(Action::Jump(REDIRECT)),
    ];
    for one in rules {
        b.base(TableKind::Nat, Hook::Prerouting, one);
    }
    b.chain(
        TableKind::Nat,
        REDIRECT,
        rule("in.redirect").matching(Match::Protocol(Protocol::Tcp)).then(Action::Redirect(15006)),
    );
}

fn nat_output(b: &mut Builder) {
    let ids = IdRange::new(5000, 5010).unwrap();
    let dns = Match::dport(Protocol::Udp, 53);
    let to = |address: &str, port| Action::Dnat { address: address.parse().unwrap(), port };
    let rules = [
        rule("out.interface").matching(Match::OutInterface("lo".parse().unwrap())).then(Action::Return),
        rule("out.uid")
            .matching(Match::Uid { ids, negate: true })
            .matching(Match::gid(7, true))
            .matching(Match::gid(8, true))
            .then(Action::Return),
        rule("out.gid").matching(Match::Gid { ids, negate: false }).then(Action::Return),
        rule("out.two-nets")
            .matching(Match::destination(net("10.0.0.0/8"), false))
            .matching(Match::destination(net("10.1.0.0/16"), true))
            .then(Action::Return),
        rule("out.net6").matching(Match::destination(net("fd00::/8"), false)).then(Action::Return),
        rule("out.family6")
            .matching(Match::Family(Family::Ipv6))
            .matching(Match::Protocol(Protocol::Udp))
            .then(Action::Return),
        rule("out.dns4")
            .matching(dns.clone())
            .matching(Match::Family(Family::Ipv4))
            .then(to("127.0.0.1", Some(8600))),
        rule("out.dns6")
            .matching(dns.clone())
            .matching(Match::Family(Family::Ipv6))
            .then(to("::1", Some(8600))),
        rule("out.dns-ip")
            .matching(dns)
            .matching(Match::source(net("10.9.0.0/16"), true))
            .then(to("10.9.0.1", None)),
        rule("out.redirect").matching(Match::Protocol(Protocol::Tcp)).then(Action::Redirect(15001)),
    ];
    for one in rules {
        b.base(TableKind::Nat, Hook::Output, one);
    }
}

/// A small set that sends outgoing TCP to `port`.
pub(crate) fn small(mesh: Mesh, ipv6: bool, port: u16) -> RuleSet {
    let mut b = Builder::new(mesh, ipv6);
    let redirect = rule("out.redirect").matching(Match::Protocol(Protocol::Tcp)).then(Action::Redirect(port));
    b.base(
        TableKind::Nat,
        Hook::Output,
        rule("out.proxy").matching(Match::uid(1337, false)).then(Action::Return),
    )
    .base(
        TableKind::Nat,
        Hook::Output,
        rule("out.exclude").matching(Match::dport(Protocol::Tcp, 9999)).then(Action::Return),
    )
    .base(TableKind::Nat, Hook::Output, rule("out.capture").then(Action::Jump(REDIRECT)))
    .chain(TableKind::Nat, REDIRECT, redirect);
    b.finish()
}
