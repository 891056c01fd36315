//! The text that kumactl prints (and iptables-restore reads), parsed into our types.

use std::borrow::Cow;

use meshward_redirect::builder::IPV6_GUARD;
use meshward_redirect::net::{Family, IdRange, PortRange, Protocol, parse_net};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{
    Action, Chain, ChainName, CtState, Hook, Match, Mesh, Rule, RuleSet, Table, TableKind,
};

/// The rules of one family's text.
pub(crate) fn parse(text: &str, family: Family) -> RuleSet {
    let mut rules = RuleSet {
        mesh: Mesh::Kuma,
        ipv6: false,
        tables: Vec::new(),
        routing: None,
        loopback_addresses: Vec::new(),
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["COMMIT"] => {}
            ["*", name] => rules.tables.push(Table { kind: kind(name), chains: Vec::new() }),
            ["-N", name] => drop(chain(&mut rules, name)),
            ["-A", name, rest @ ..] => chain(&mut rules, name).rules.push(rule(rest)),
            ["-I", name, position, rest @ ..] => {
                let index = position.parse::<usize>().expect("a position") - 1;
                chain(&mut rules, name).rules.insert(index, rule(rest));
            }
            other => unreachable!("cannot read {other:?}"),
        }
    }
    let other = if family == Family::Ipv4 { Family::Ipv6 } else { Family::Ipv4 };
    let guard = Rule {
        name: IPV6_GUARD.into(),
        option: None,
        matches: vec![Match::Family(other)],
        action: Action::Return,
    };
    for chain in
        rules.tables.iter_mut().flat_map(|table| &mut table.chains).filter(|chain| chain.hook.is_some())
    {
        chain.rules.insert(0, guard.clone());
    }
    rules
}

fn kind(name: &str) -> TableKind {
    match name {
        "raw" => TableKind::Raw,
        "mangle" => TableKind::Mangle,
        "nat" => TableKind::Nat,
        other => unreachable!("no table {other}"),
    }
}

fn chain_name(name: &str) -> ChainName {
    match name {
        "PREROUTING" => ChainName::new("prerouting"),
        "OUTPUT" => ChainName::new("output"),
        "KUMA_MESH_INBOUND" => ChainName::new("inbound"),
        "KUMA_MESH_OUTBOUND" => ChainName::new("outbound"),
        "KUMA_MESH_INBOUND_REDIRECT" => ChainName::new("to_inbound"),
        "KUMA_MESH_OUTBOUND_REDIRECT" => ChainName::new("to_outbound"),
        other => unreachable!("no chain {other}"),
    }
}

fn chain<'a>(rules: &'a mut RuleSet, name: &str) -> &'a mut Chain {
    let hook = match name {
        "PREROUTING" => Some(Hook::Prerouting),
        "OUTPUT" => Some(Hook::Output),
        _ => None,
    };
    let chains = &mut rules.tables.last_mut().expect("a table").chains;
    let name = chain_name(name);
    if !chains.iter().any(|chain| chain.name == name) {
        chains.push(Chain { name: name.clone(), hook, rules: Vec::new() });
    }
    chains.iter_mut().find(|chain| chain.name == name).expect("just made")
}

fn rule(words: &[&str]) -> Rule {
    let mut rest = words.iter().copied();
    let mut next = || rest.next();
    let mut protocol = None;
    let mut negate = false;
    let mut matches = Vec::new();
    let mut action = None;
    while let Some(word) = next() {
        let mut value = || next().expect("a value");
        match word {
            "!" => {
                negate = true;
                continue;
            }
            "-m" => drop(value()),
            "-p" => protocol = Some(value().parse::<Protocol>().expect("a protocol")),
            "--sport" | "--dport" => {
                let side = if word == "--sport" { Side::Source } else { Side::Destination };
                let ports =
                    value().split(',').map(|one| PortRange::parse(one, ':').expect("a port")).collect();
                matches.push(Match::ports(protocol.expect("-p comes first"), side, ports, negate));
            }
            "-s" => matches.push(Match::source(parse_net(value()).expect("a net"), negate)),
            "-d" => matches.push(Match::destination(parse_net(value()).expect("a net"), negate)),
            "-i" => matches.push(Match::InInterface(value().parse().expect("an interface"))),
            "-o" => matches.push(Match::OutInterface(value().parse().expect("an interface"))),
            "--uid-owner" => {
                let ids = value();
                let (first, last) = ids.split_once(':').unwrap_or((ids, ids));
                let id = |text: &str| text.parse().expect("an id");
                let ids = IdRange::new(id(first), id(last)).expect("a range");
                matches.push(Match::Uid { ids, negate });
            }
            "--ctstate" => {
                assert_eq!(value(), "INVALID");
                matches.push(Match::CtState(vec![CtState::Invalid]));
            }
            "-j" => action = Some(target(value())),
            "--to-ports" => action = Some(Action::Redirect(value().parse().expect("a port"))),
            "--zone" => action = Some(Action::CtZone(value().parse().expect("a zone"))),
            "--log-prefix" => {
                action = Some(Action::Log { prefix: Cow::Owned(value().to_string()), level: 7 });
            }
            "--log-level" => drop(value()),
            other => unreachable!("cannot read {other} in {words:?}"),
        }
        negate = false;
    }
    matches.extend(protocol.map(Match::Protocol));
    Rule { name: "peer".into(), option: None, matches, action: action.expect("a target") }
}

fn target(name: &str) -> Action {
    match name {
        "RETURN" => Action::Return,
        "DROP" => Action::Drop,
        // Their arguments follow and make the action.
        "REDIRECT" | "CT" | "LOG" => Action::Accept,
        chain => Action::Jump(chain_name(chain)),
    }
}
