//! Rule sets as nft text with a counter in every rule: written apart from the product's renderers, so that a mistake
//! in those cannot hide one in the evaluator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use meshward_redirect::net::{Family, IdRange, InterfaceName, MaskedMark};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, CtState, Hook, Match, Rule, RuleSet, Table, TableKind};

/// Replaces everything nft holds by `rules`.
pub(crate) fn text(rules: &RuleSet) -> String {
    let mut text = String::from("flush ruleset\ntable inet t {\n");
    for table in &rules.tables {
        // nft resolves jumps while it reads: chains that are jumped to come first.
        for chain in table.chains.iter().rev() {
            writeln!(text, "chain {}_{} {{", table.kind.name(), chain.name).unwrap();
            if let Some(hook) = chain.hook {
                let (kind, priority) = priority(table.kind, hook);
                writeln!(text, "type {kind} hook {} priority {priority};", hook.name()).unwrap();
                // What neither renderer nor evaluator is about: ICMP errors, neighbour discovery.
                text.push_str("meta l4proto != { tcp, udp } accept\n");
            }
            for (index, rule) in chain.rules.iter().enumerate() {
                let key = key(table.kind, chain.name.as_str(), index + 1);
                writeln!(text, "{} comment \"{key}\"", line(table, rule)).unwrap();
            }
            text.push_str("}\n");
        }
    }
    text.push_str("}\n");
    // The kernel tracks connections of a family only while some rule needs it, and visits nat chains only with
    // tracking. The evaluator takes tracking for granted, so it has to be on when a generated nat table rewrites
    // nothing.
    text.push_str("table inet tracking {\nchain unused {\nct state new accept\n}\n}\n");
    text
}

pub(crate) fn key(kind: TableKind, chain: &str, position: usize) -> String {
    format!("{} {chain} {position}", kind.name())
}

/// How many packets each rule matched, from `nft -j list ruleset`.
pub(crate) fn counters(json: &str) -> BTreeMap<String, u64> {
    let document: serde_json::Value = serde_json::from_str(json).expect("JSON of nft");
    let rules = document["nftables"].as_array().expect("a list").iter().filter_map(|entry| entry.get("rule"));
    rules
        .filter_map(|rule| {
            let key = rule["comment"].as_str()?.to_string();
            let counter = rule["expr"].as_array()?.iter().find_map(|expr| expr.get("counter"))?;
            Some((key, counter["packets"].as_u64()?))
        })
        .collect()
}

fn priority(kind: TableKind, hook: Hook) -> (&'static str, i32) {
    match (kind, hook) {
        (TableKind::Raw, _) => ("filter", -300),
        (TableKind::Mangle, Hook::Output) => ("route", -150),
        (TableKind::Mangle, Hook::Prerouting) => ("filter", -150),
        (TableKind::Nat, _) => ("nat", -100),
    }
}

fn line(table: &Table, rule: &Rule) -> String {
    let mut parts: Vec<String> = rule.matches.iter().map(one).collect();
    let needs_transport =
        matches!(rule.action, Action::Redirect(_) | Action::Dnat { .. } | Action::Tproxy { .. });
    let has_transport = rule.matches.iter().any(|m| matches!(m, Match::Port { .. } | Match::Protocol(_)));
    if needs_transport && !has_transport {
        parts.push("meta l4proto { tcp, udp }".into());
    }
    parts.push("counter".into());
    parts.push(action(table, rule));
    parts.join(" ")
}

fn action(table: &Table, rule: &Rule) -> String {
    match &rule.action {
        Action::Return => "return".into(),
        Action::Accept => "accept".into(),
        Action::Drop => "drop".into(),
        Action::Jump(to) => format!("jump {}_{to}", table.kind.name()),
        Action::Redirect(port) => format!("redirect to :{port}"),
        Action::Dnat { address, port } => {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            match port {
                Some(port) => format!("dnat {family} to {}", std::net::SocketAddr::new(*address, *port)),
                None => format!("dnat {family} to {address}"),
            }
        }
        Action::Tproxy { port, mark } => {
            // nft wants the family said again where the rule already says it.
            let family = match rule.family() {
                Some(Family::Ipv4) => "ip ",
                Some(Family::Ipv6) => "ip6 ",
                None => "",
            };
            format!("tproxy {family}to :{port} meta mark set {mark} accept")
        }
        Action::SetMark(mark) => format!("meta mark set {mark}"),
        Action::SaveMark => "ct mark set meta mark".into(),
        Action::RestoreMark => "meta mark set ct mark".into(),
        Action::CtZone(zone) => format!("ct zone set {zone}"),
        Action::Log { prefix, .. } => format!("log prefix \"{prefix}\" level info"),
    }
}

fn one(one: &Match) -> String {
    match one {
        Match::Family(Family::Ipv4) => "meta nfproto ipv4".into(),
        Match::Family(Family::Ipv6) => "meta nfproto ipv6".into(),
        Match::Protocol(protocol) => format!("meta l4proto {protocol}"),
        Match::Port { protocol, side, ports, negate } => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let side = if *side == Side::Source { "sport" } else { "dport" };
            format!("{protocol} {side} {}{{ {} }}", not(*negate), ports.join(", "))
        }
        Match::Address { side, net, negate } => {
            let family = if net.addr().is_ipv4() { "ip" } else { "ip6" };
            let side = if *side == Side::Source { "saddr" } else { "daddr" };
            format!("{family} {side} {}{net}", not(*negate))
        }
        Match::InInterface(name) => format!("iifname \"{}\"", wildcard(name)),
        Match::OutInterface(name) => format!("oifname \"{}\"", wildcard(name)),
        Match::Uid { ids, negate } => format!("meta skuid {}{}", not(*negate), range(*ids)),
        Match::Gid { ids, negate } => format!("meta skgid {}{}", not(*negate), range(*ids)),
        Match::Mark { mark, negate } => format!("meta mark {}", masked(*mark, *negate)),
        Match::ConnMark(mark) => format!("ct mark {}", masked(*mark, false)),
        Match::CtState(states) => {
            let names: Vec<&str> = states.iter().map(|state| state_name(*state)).collect();
            format!("ct state {}", names.join(","))
        }
    }
}

fn state_name(state: CtState) -> &'static str {
    match state {
        CtState::Invalid => "invalid",
        CtState::Established => "established",
        CtState::Related => "related",
        CtState::New => "new",
    }
}

fn masked(mark: MaskedMark, negate: bool) -> String {
    format!("& {:#x} {} {:#x}", mark.mask, if negate { "!=" } else { "==" }, mark.value)
}

fn not(negate: bool) -> &'static str {
    if negate { "!= " } else { "" }
}

fn wildcard(name: &InterfaceName) -> String {
    if name.is_prefix() { format!("{}*", name.name()) } else { name.name().into() }
}

fn range(ids: IdRange) -> String {
    if ids.is_single() { ids.start().to_string() } else { format!("{}-{}", ids.start(), ids.end()) }
}
