//! Rule sets as short lines, for snapshots.

use std::fmt::Write;

use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, Match, RuleSet};

pub(crate) fn listing(rules: &RuleSet) -> String {
    let mut text = String::new();
    for (table, chain, rule) in rules.rules() {
        let matches: String = rule.matches.iter().map(|one| format!(" {}", condition(one))).collect();
        let option = rule.option.as_deref().map(|option| format!("  # {option}")).unwrap_or_default();
        let name = format!("{}.{}", table.kind.name(), chain.name);
        writeln!(text, "{name}: [{}]{matches} -> {}{option}", rule.name, target(&rule.action)).expect("text");
    }
    for address in &rules.loopback_addresses {
        writeln!(text, "lo: {address}").expect("text");
    }
    text
}

fn condition(one: &Match) -> String {
    let not = |negate: &bool| if *negate { "!" } else { "" };
    match one {
        Match::Family(family) => family.to_string(),
        Match::Protocol(protocol) => protocol.to_string(),
        Match::Port { protocol, side, ports, negate } => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let side = if *side == Side::Source { "sport" } else { "dport" };
            format!("{protocol} {side} {}{}", not(negate), ports.join(","))
        }
        Match::Address { side, net, negate } => {
            let side = if *side == Side::Source { "from" } else { "to" };
            format!("{side} {}{net}", not(negate))
        }
        Match::InInterface(name) => format!("in {name}"),
        Match::OutInterface(name) => format!("out {name}"),
        Match::Uid { ids, negate } => format!("uid {}{ids}", not(negate)),
        Match::CtState(states) => format!("ct {states:?}"),
        other => format!("{other:?}"),
    }
}

fn target(action: &Action) -> String {
    match action {
        Action::Jump(to) => format!("{to}"),
        Action::Redirect(port) => format!("redirect {port}"),
        Action::Dnat { address, port: Some(port) } => format!("dnat {address} port {port}"),
        Action::Dnat { address, port: None } => format!("dnat {address}"),
        Action::CtZone(zone) => format!("zone {zone}"),
        Action::Log { prefix, level } => format!("log {prefix:?} level {level}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
