//! The rule set as nft text: what `nft -f` takes to the same state as our netlink batch, and what people read. It
//! starts with an idempotent replace of the one table it is about.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::net::{Family, InterfaceName, MaskedMark, PortRange, Protocol};
use crate::nft::lower::{chain_type, priority};
use crate::nft::ports::PortSet;
use crate::ruleset::{CtState, Match, Side};
use crate::{Action, Chain, ChainName, Hook, Rule, RuleSet, TableKind};

/// Longest comment nft takes, without its NUL (`NFTNL_UDATA_COMMENT_MAXLEN`, nftables src/parser_bison.y).
const LONGEST_TEXT: usize = 127;

/// The whole table, as `nft -f` takes it.
pub fn render(rules: &RuleSet) -> String {
    let table = rules.mesh.table_name();
    // Adding before deleting makes the deletion good whether the table was there or not; `destroy` needs Linux 6.3.
    let mut out = format!("table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
    let _ = writeln!(out, "\tcomment \"{}\"", rules.fingerprint());
    for table in &rules.tables {
        for chain in &table.chains {
            out.push('\n');
            render_chain(&mut out, table.kind, chain);
        }
    }
    out.push_str("}\n");
    out
}

fn render_chain(out: &mut String, kind: TableKind, chain: &Chain) {
    let _ = writeln!(out, "\tchain {} {{", chain_name(kind, &chain.name));
    if let Some(hook) = chain.hook {
        let _ = writeln!(out, "\t\tcomment \"{}\"", hook_comment(hook));
        let _ = writeln!(out, "\t\t{}", base(chain_type(kind, hook), hook.name(), priority(kind), "accept"));
    }
    for rule in chain.rules.iter().filter(|rule| rule.can_match()) {
        let _ = writeln!(out, "\t\t{} comment \"{}\"", rule_text(kind, rule), printable(&rule.name));
    }
    out.push_str("\t}\n");
}

/// The line that attaches a base chain.
pub(crate) fn base(kind: &str, hook: &str, priority: i32, policy: &str) -> String {
    format!("type {kind} hook {hook} priority {priority}; policy {policy};")
}

/// A chain's name within our one table: `nat_output`.
pub(crate) fn chain_name(kind: TableKind, name: &ChainName) -> String {
    format!("{}_{name}", kind.name())
}

/// The comment of a base chain.
pub(crate) fn hook_comment(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "packets that arrive",
        Hook::Output => "packets that are sent from here",
    }
}

/// Text that can stand between nft's quotes, which know no escapes and expand `$`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '"' | '$');
    if text.len() <= LONGEST_TEXT && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(LONGEST_TEXT).map(|c| if plain(c) { c } else { '?' }).collect())
}

/// One rule as nft writes it, without its comment.
pub fn rule_text(kind: TableKind, rule: &Rule) -> String {
    let mut words: Vec<String> =
        (0..rule.matches.len()).filter_map(|place| match_text(rule, place)).collect();
    if let (Action::Dnat { address, .. }, None) = (&rule.action, rule.family()) {
        words.push(format!("meta nfproto {}", Family::of(*address)));
    }
    words.push("counter".into());
    words.push(action_text(kind, rule));
    words.join(" ")
}

fn match_text(rule: &Rule, place: usize) -> Option<String> {
    Some(match rule.matches.get(place)? {
        Match::Family(family) => format!("meta nfproto {family}"),
        Match::Protocol(protocol) => format!("meta l4proto {protocol}"),
        Match::Port { protocol, ports, .. } if ports.is_empty() => {
            // Only the protocol is left of a match that excludes no port, and one time is enough.
            let known = rule.matches[..place].iter().any(|one| one.protocol() == Some(*protocol));
            return (!known).then(|| format!("meta l4proto {protocol}"));
        }
        Match::Port { protocol, side, ports, negate } => ports_text(rule, *protocol, *side, ports, *negate),
        Match::Address { side, net, negate } => {
            let word = if Family::of_net(net) == Family::Ipv4 { "ip" } else { "ip6" };
            let address = match *side {
                Side::Source => "saddr",
                Side::Destination => "daddr",
            };
            format!("{word} {address} {}{}", not(*negate), net.trunc())
        }
        Match::InInterface(name) => format!("iifname {}", interface(name)),
        Match::OutInterface(name) => format!("oifname {}", interface(name)),
        Match::Uid { ids, negate } => format!("meta skuid {}{ids}", not(*negate)),
        Match::Gid { ids, negate } => format!("meta skgid {}{ids}", not(*negate)),
        Match::Mark { mark, negate } => format!("meta mark {}", mark_text(*mark, *negate)),
        Match::ConnMark(mark) => format!("ct mark {}", mark_text(*mark, false)),
        Match::CtState(states) => {
            let names: Vec<&str> = states.iter().map(|state| state_name(*state)).collect();
            format!("ct state {}", names.join(","))
        }
    })
}

fn not(negate: bool) -> &'static str {
    if negate { "!= " } else { "" }
}

fn ports_text(rule: &Rule, protocol: Protocol, side: Side, ports: &[PortRange], negate: bool) -> String {
    let ports = match PortSet::new(ports) {
        PortSet::Empty => String::new(),
        // nft joins comparisons of neighbouring ports into one of four bytes, and up to 1.0.9 gets negated ones wrong
        // by it. It does not join prefixes, and one of 16 bits is the port.
        PortSet::One(port) if compares_both_sides(rule) => format!("{port}/16"),
        PortSet::One(port) => port.to_string(),
        PortSet::Range(range) => range.to_string(),
        PortSet::Singles(ports) => braces(ports.iter()),
        PortSet::Ranges(ranges) => braces(ranges.iter()),
    };
    let word = match side {
        Side::Source => "sport",
        Side::Destination => "dport",
    };
    format!("{protocol} {word} {}{ports}", not(negate))
}

fn compares_both_sides(rule: &Rule) -> bool {
    let compares = |wanted: Side| {
        rule.matches.iter().any(|one| match one {
            Match::Port { side, ports, .. } => {
                *side == wanted && matches!(PortSet::new(ports), PortSet::One(_))
            }
            _ => false,
        })
    };
    compares(Side::Source) && compares(Side::Destination)
}

fn braces(ports: impl Iterator<Item = impl ToString>) -> String {
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    format!("{{ {} }}", ports.join(", "))
}

fn interface(name: &InterfaceName) -> String {
    format!("\"{}{}\"", name.name(), if name.is_prefix() { "*" } else { "" })
}

fn mark_text(mark: MaskedMark, negate: bool) -> String {
    match mark.mask {
        u32::MAX => format!("{}{:#x}", not(negate), mark.value),
        mask => format!("& {mask:#x} {} {:#x}", if negate { "!=" } else { "==" }, mark.value),
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

fn action_text(kind: TableKind, rule: &Rule) -> String {
    match &rule.action {
        Action::Return => "return".into(),
        Action::Accept => "accept".into(),
        Action::Drop => "drop".into(),
        Action::Jump(chain) => format!("jump {}", chain_name(kind, chain)),
        Action::Redirect(port) => format!("redirect to :{port}"),
        Action::Dnat { address, port } => match (address, port) {
            (IpAddr::V4(address), None) => format!("dnat ip to {address}"),
            (IpAddr::V4(address), Some(port)) => format!("dnat ip to {address}:{port}"),
            (IpAddr::V6(address), None) => format!("dnat ip6 to {address}"),
            (IpAddr::V6(address), Some(port)) => format!("dnat ip6 to [{address}]:{port}"),
        },
        Action::Tproxy { port, mark } => {
            let family = match rule.family() {
                Some(Family::Ipv4) => " ip",
                Some(Family::Ipv6) => " ip6",
                None => "",
            };
            format!("tproxy{family} to :{port} meta mark set {mark:#x} accept")
        }
        Action::SetMark(mark) => format!("meta mark set {mark:#x}"),
        Action::SaveMark => "ct mark set meta mark".into(),
        Action::RestoreMark => "meta mark set ct mark".into(),
        Action::CtZone(zone) => format!("ct zone set {zone}"),
        Action::Log { prefix, level } => {
            const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
            let level = LEVELS[usize::from((*level).min(7))];
            match printable(prefix) {
                prefix if prefix.is_empty() => format!("log level {level}"),
                prefix => format!("log prefix \"{prefix}\" level {level}"),
            }
        }
    }
}
