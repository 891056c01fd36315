//! Rule sets to test with: one by hand that uses every match and every action, and generated ones.

use ipnet::IpNet;
use meshward_redirect::net::{Family, IdRange, InterfaceName, MaskedMark, PortRange, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{
    Action, Chain, ChainName, CtState, Hook, Match, Mesh, Rule, RuleSet, Table, TableKind,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn rule(name: &str, matches: Vec<Match>, action: Action) -> Rule {
    Rule { name: name.to_string().into(), option: None, matches, action }
}

pub(crate) fn chain(name: &str, hook: Option<Hook>, rules: Vec<Rule>) -> Chain {
    Chain { name: ChainName::try_from(name.to_string()).unwrap(), hook, rules }
}

pub(crate) fn rule_set(tables: Vec<Table>) -> RuleSet {
    RuleSet { mesh: Mesh::Istio, ipv6: true, tables, routing: None, loopback_addresses: Vec::new() }
}

pub(crate) fn jump(name: &str) -> Action {
    Action::Jump(ChainName::try_from(name.to_string()).unwrap())
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn tcp(ports: &[(u16, u16)], negate: bool) -> Match {
    let ports = ports.iter().map(|(start, end)| PortRange::new(*start, *end).unwrap()).collect();
    Match::ports(Protocol::Tcp, Side::Destination, ports, negate)
}

fn sport(port: u16, negate: bool) -> Match {
    Match::ports(Protocol::Tcp, Side::Source, vec![port.into()], negate)
}

/// The rules Istio's sidecar gets by default, in both families.
pub(crate) fn istio() -> RuleSet {
    let lo = || Match::OutInterface(InterfaceName::loopback());
    let not_lo4 = || Match::destination(net("127.0.0.1/32"), true);
    let tcp_all = || Match::Protocol(Protocol::Tcp);
    let exclude = |port| rule("in.exclude-port", vec![Match::dport(Protocol::Tcp, port)], Action::Return);
    let inbound = vec![
        exclude(15008),
        exclude(15090),
        exclude(15021),
        exclude(15020),
        rule("in.redirect", vec![tcp_all()], jump("in_redirect")),
    ];
    let back = |owner: Match| vec![lo(), not_lo4(), tcp(&[(15008, 15008)], true), owner];
    let output = vec![
        rule("out.passthrough", vec![lo(), Match::source(net("127.0.0.6/32"), false)], Action::Return),
        rule("out.passthrough6", vec![lo(), Match::source(net("::6/128"), false)], Action::Return),
        rule("out.proxy-to-self", back(Match::uid(1337, false)), jump("in_redirect")),
        rule("out.app-to-self", vec![lo(), Match::uid(1337, true)], Action::Return),
        rule("out.proxy", vec![Match::uid(1337, false)], Action::Return),
        rule("out.proxy-to-self-gid", back(Match::gid(1337, false)), jump("in_redirect")),
        rule("out.app-to-self-gid", vec![lo(), Match::gid(1337, true)], Action::Return),
        rule("out.proxy-gid", vec![Match::gid(1337, false)], Action::Return),
        rule("out.loopback", vec![Match::destination(net("127.0.0.1/32"), false)], Action::Return),
        rule("out.loopback6", vec![Match::destination(net("::1/128"), false)], Action::Return),
        rule("out.dns-udp", vec![Match::dport(Protocol::Udp, 53)], Action::Redirect(15053)),
        rule("out.dns-tcp", vec![Match::dport(Protocol::Tcp, 53)], Action::Redirect(15053)),
        rule("out.redirect", vec![tcp_all()], jump("redirect")),
    ];
    rule_set(vec![Table {
        kind: TableKind::Nat,
        chains: vec![
            chain("prerouting", Some(Hook::Prerouting), vec![rule("in", vec![tcp_all()], jump("inbound"))]),
            chain("output", Some(Hook::Output), vec![rule("out", vec![], jump("outbound"))]),
            chain("inbound", None, inbound),
            chain("outbound", None, output),
            chain("redirect", None, vec![rule("redirect", vec![tcp_all()], Action::Redirect(15001))]),
            chain("in_redirect", None, vec![rule("in-redirect", vec![tcp_all()], Action::Redirect(15006))]),
        ],
    }])
}

fn every_match() -> Vec<Rule> {
    let one = |one: Match| rule("match", vec![one], Action::Return);
    let ids = |start, end, negate| Match::Uid { ids: IdRange::new(start, end).unwrap(), negate };
    let mark = |value, mask, negate| Match::Mark { mark: MaskedMark { value, mask }, negate };
    let mut matches: Vec<Rule> = vec![
        rule("no-match", vec![], Action::Return),
        one(Match::Family(Family::Ipv4)),
        one(Match::Family(Family::Ipv6)),
        one(Match::Protocol(Protocol::Udp)),
        one(tcp(&[(0, 65535)], false)),
        one(tcp(&[(0, 65535)], true)),
        one(tcp(&[(90, 100)], false)),
        one(tcp(&[(90, 100)], true)),
        one(tcp(&[(80, 80), (79, 79)], false)),
        one(tcp(&[(80, 80), (80, 80)], false)),
        one(tcp(&[(80, 80), (443, 443)], true)),
        one(tcp(&[(80, 80), (90, 100)], false)),
        one(tcp(&[(0, 5), (80, 80), (65530, 65535)], true)),
        one(tcp(&[(10, 20), (15, 30), (31, 40)], false)),
        one(tcp(&[], true)),
        one(tcp(&[], false)),
        rule("both-sides", vec![tcp(&[(80, 80)], true), sport(90, true)], Action::Return),
        rule("both-sides-equal", vec![sport(90, false), tcp(&[(80, 80)], false)], Action::Return),
        rule("protocol-twice", vec![Match::Protocol(Protocol::Tcp), tcp(&[(80, 80)], false)], Action::Return),
        rule("protocol-after", vec![tcp(&[(80, 80)], false), Match::Protocol(Protocol::Tcp)], Action::Return),
        rule("never", vec![Match::Protocol(Protocol::Udp), tcp(&[(80, 80)], false)], Action::Return),
        rule(
            "never-either",
            vec![Match::Family(Family::Ipv4), Match::source(net("::1/128"), false)],
            Action::Drop,
        ),
        one(Match::InInterface(InterfaceName::loopback())),
        one(Match::InInterface("veth+".parse().unwrap())),
        one(Match::OutInterface("eth0.100@x-y_z".parse().unwrap())),
        one(ids(0, 0, false)),
        one(ids(5, 1000, false)),
        one(ids(5, 1000, true)),
        one(ids(0, u32::MAX - 1, true)),
        one(Match::gid(1337, true)),
        one(mark(0x539, u32::MAX, false)),
        one(mark(0x539, 0xfff, true)),
        one(mark(0, 0, false)),
        one(Match::ConnMark(MaskedMark::exact(1337))),
        one(Match::ConnMark(MaskedMark { value: 1, mask: 0xff })),
        one(Match::CtState(vec![CtState::Invalid])),
        one(Match::CtState(vec![CtState::New, CtState::Established, CtState::Related])),
        one(Match::CtState(vec![])),
    ];
    for text in
        ["0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "10.1.0.0/16", "10.1.2.0/31", "10.1.2.3/32", "::/0"]
    {
        matches.push(one(Match::destination(net(text), false)));
        matches.push(one(Match::source(net(text), true)));
    }
    for text in ["fe80::/10", "fd00::/8", "2001:db8::/64", "2001:db8::/127", "::1/128"] {
        matches.push(one(Match::destination(net(text), true)));
        matches.push(one(Match::source(net(text), false)));
    }
    matches
}

/// Every match and every action there is, with their edges.
pub(crate) fn everything() -> RuleSet {
    rule_set(vec![
        Table {
            kind: TableKind::Raw,
            chains: vec![
                chain("prerouting", Some(Hook::Prerouting), every_match()),
                chain(
                    "output",
                    Some(Hook::Output),
                    vec![rule("zone", vec![Match::dport(Protocol::Udp, 53)], Action::CtZone(1))],
                ),
            ],
        },
        Table { kind: TableKind::Mangle, chains: mangle() },
        Table { kind: TableKind::Nat, chains: nat() },
    ])
}

fn mangle() -> Vec<Chain> {
    let tproxy = Action::Tproxy { port: 15006, mark: 0x539 };
    let tcp = || Match::Protocol(Protocol::Tcp);
    let log = |prefix: &'static str, level| Action::Log { prefix: prefix.into(), level };
    vec![
        chain(
            "prerouting",
            Some(Hook::Prerouting),
            vec![
                rule("tproxy", vec![tcp()], tproxy.clone()),
                rule("tproxy4", vec![Match::Family(Family::Ipv4), tcp()], tproxy.clone()),
                rule("tproxy6", vec![tcp(), Match::destination(net("fd00::/8"), true)], tproxy),
                rule("mark", vec![], Action::SetMark(0x539)),
                rule("drop", vec![Match::CtState(vec![CtState::Invalid])], Action::Drop),
                rule("accept", vec![], Action::Accept),
            ],
        ),
        chain(
            "output",
            Some(Hook::Output),
            vec![
                rule("save", vec![], Action::SaveMark),
                rule("restore", vec![], Action::RestoreMark),
                rule("jump", vec![], jump("logs")),
            ],
        ),
        chain(
            "logs",
            None,
            vec![
                rule("log", vec![], log("mesh: ", 6)),
                rule("log-warn", vec![], log("mesh: ", 4)),
                rule("log-plain", vec![], log("", 7)),
                rule("a \"quoted\" $name\n", vec![], log("\"$x\"\t", 9)),
            ],
        ),
        chain("empty", None, vec![]),
    ]
}

fn nat() -> Vec<Chain> {
    let dns = || Match::dport(Protocol::Udp, 53);
    let dnat = |address: &str, port| Action::Dnat { address: address.parse().unwrap(), port };
    vec![
        chain("prerouting", Some(Hook::Prerouting), vec![rule("go", vec![], jump("redirect"))]),
        chain(
            "output",
            Some(Hook::Output),
            vec![
                rule("dnat4", vec![dns()], dnat("127.0.0.1", Some(8600))),
                rule(
                    "dnat4-known",
                    vec![dns(), Match::destination(net("10.0.0.2/32"), false)],
                    dnat("127.0.0.1", Some(1)),
                ),
                rule("dnat6", vec![dns()], dnat("::1", Some(8600))),
                rule("dnat6-address", vec![], dnat("::1", None)),
                rule("dnat4-address", vec![Match::Family(Family::Ipv4)], dnat("10.0.0.1", None)),
                rule("dnat-never", vec![Match::Family(Family::Ipv6)], dnat("10.0.0.1", None)),
            ],
        ),
        chain(
            "redirect",
            None,
            vec![rule("redirect", vec![Match::Protocol(Protocol::Tcp)], Action::Redirect(15001))],
        ),
    ]
}

fn any_ports() -> impl Strategy<Value = Vec<PortRange>> {
    let port = prop_oneof![any::<u16>(), 0u16..20, 65520u16..=65535];
    let range = (port.clone(), port, any::<bool>()).prop_map(|(a, b, single)| {
        if single { PortRange::one(a) } else { PortRange::new(a.min(b), a.max(b)).unwrap() }
    });
    vec(range, 1..8)
}

fn any_match() -> impl Strategy<Value = Match> {
    let side = || select(vec![Side::Source, Side::Destination]);
    let protocol = || select(vec![Protocol::Tcp, Protocol::Udp]);
    let ids = (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(a, b, one)| {
        if one { IdRange::one(a) } else { IdRange::new(a.min(b), a.max(b)).unwrap() }
    });
    let ids = || ids.clone();
    let v4 = (any::<[u8; 4]>(), 0u8..=32).prop_map(|(a, bits)| IpNet::new(a.into(), bits).unwrap().trunc());
    let v6 = (any::<[u8; 16]>(), 0u8..=128).prop_map(|(a, bits)| IpNet::new(a.into(), bits).unwrap().trunc());
    let mark = (any::<u32>(), prop_oneof![Just(u32::MAX), any::<u32>()])
        .prop_map(|(value, mask)| MaskedMark { value, mask });
    let states = vec![CtState::Invalid, CtState::Established, CtState::Related, CtState::New];
    prop_oneof![
        select(Family::BOTH.to_vec()).prop_map(Match::Family),
        protocol().prop_map(Match::Protocol),
        (protocol(), side(), any_ports(), any::<bool>())
            .prop_map(|(protocol, side, ports, negate)| Match::Port { protocol, side, ports, negate }),
        (side(), prop_oneof![v4, v6], any::<bool>()).prop_map(|(side, net, negate)| Match::Address {
            side,
            net,
            negate
        }),
        "[a-z]{1,8}[0-9]{0,3}[+]?".prop_map(|name| Match::OutInterface(name.parse().unwrap())),
        "[a-z]{1,8}[0-9]{0,3}[+]?".prop_map(|name| Match::InInterface(name.parse().unwrap())),
        (ids(), any::<bool>()).prop_map(|(ids, negate)| Match::Uid { ids, negate }),
        (ids(), any::<bool>()).prop_map(|(ids, negate)| Match::Gid { ids, negate }),
        (mark.clone(), any::<bool>()).prop_map(|(mark, negate)| Match::Mark { mark, negate }),
        mark.prop_map(Match::ConnMark),
        proptest::sample::subsequence(states, 1..4).prop_map(Match::CtState),
    ]
}

/// An action that its table and hook allow; chains that are jumped to can be reached from every hook.
fn any_action(kind: TableKind, hook: Option<Hook>) -> BoxedStrategy<Action> {
    let common = prop_oneof![
        Just(Action::Return),
        Just(Action::Accept),
        Just(Action::Drop),
        ("[ -~]{0,29}", 0u8..=7).prop_map(|(prefix, level)| Action::Log { prefix: prefix.into(), level }),
    ];
    let address = prop_oneof![any::<[u8; 4]>().prop_map(Into::into), any::<[u8; 16]>().prop_map(Into::into)];
    match (kind, hook) {
        (TableKind::Raw, _) => prop_oneof![common, any::<u16>().prop_map(Action::CtZone)].boxed(),
        (TableKind::Nat, _) => prop_oneof![
            common,
            (1u16..).prop_map(Action::Redirect),
            (address, proptest::option::of(1u16..))
                .prop_map(|(address, port)| Action::Dnat { address, port }),
        ]
        .boxed(),
        (TableKind::Mangle, hook) => {
            let marks = prop_oneof![
                common,
                any::<u32>().prop_map(Action::SetMark),
                Just(Action::SaveMark),
                Just(Action::RestoreMark),
            ];
            let tproxy = (1u16.., any::<u32>()).prop_map(|(port, mark)| Action::Tproxy { port, mark });
            if hook == Some(Hook::Prerouting) {
                prop_oneof![3 => marks, 1 => tproxy].boxed()
            } else {
                marks.boxed()
            }
        }
    }
}

fn any_rule(kind: TableKind, hook: Option<Hook>) -> impl Strategy<Value = Rule> {
    ("[ -~]{1,40}", vec(any_match(), 0..4), any_action(kind, hook)).prop_map(|(name, mut matches, action)| {
        if action.needs_protocol() && !matches.iter().any(|one| one.protocol().is_some()) {
            matches.insert(0, Match::Protocol(Protocol::Tcp));
        }
        rule(&name, matches, action)
    })
}

fn any_table(kind: TableKind) -> impl Strategy<Value = Table> {
    let rules = move |hook| vec(any_rule(kind, hook), 0..6);
    let chains = (rules(Some(Hook::Prerouting)), rules(Some(Hook::Output)), rules(None), rules(None));
    chains.prop_map(move |(mut prerouting, mut output, mut first, second)| {
        prerouting.push(rule("to-first", vec![], jump("first")));
        output.insert(0, rule("to-second", vec![Match::Protocol(Protocol::Tcp)], jump("second")));
        first.push(rule("on", vec![], jump("second")));
        let chains = vec![
            chain("prerouting", Some(Hook::Prerouting), prerouting),
            chain("output", Some(Hook::Output), output),
            chain("first", None, first),
            chain("second", None, second),
        ];
        Table { kind, chains }
    })
}

/// Rule sets that the kernel takes; some of their rules can match nothing.
pub(crate) fn any_rule_set() -> impl Strategy<Value = RuleSet> {
    (any_table(TableKind::Raw), any_table(TableKind::Mangle), any_table(TableKind::Nat))
        .prop_map(|(raw, mangle, nat)| rule_set(vec![raw, mangle, nat]))
}
