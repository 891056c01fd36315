//! One rule by itself: its names, the shape of its matches, and whether its action can stand in this table.

use std::net::IpAddr;

use super::{Wrong, at_most};
use crate::net::PortRange;
use crate::ruleset::{Action, CtState, Match, Rule, TableKind};

/// The longest name of a rule or option.
const LONGEST_NAME: usize = 64;
/// The most matches of one rule. A rule of nf_tables holds 128 expressions (`NFT_RULE_MAXEXPRS`).
const MOST_MATCHES: usize = 128;
/// `XT_MULTI_PORTS`, linux/netfilter/xt_multiport.h; a range takes two.
const MOST_SLOTS: usize = 15;
/// `prefix[30]` of linux/netfilter/xt_LOG.h, with its final zero.
const LONGEST_PREFIX: usize = 29;

pub(super) fn check(table: TableKind, rule: &Rule) -> Result<(), Wrong> {
    const NAME: &str = "1 to 64 lower-case letters, digits, dots and dashes";
    for name in [Some(&rule.name), rule.option.as_ref()].into_iter().flatten() {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
            let short: String = name.chars().take(LONGEST_NAME).collect();
            return Err(Wrong::new(format!("name {short:?}"), NAME));
        }
    }
    at_most(rule.matches.len(), MOST_MATCHES, "matches", "at most 128 matches in a rule")?;
    rule.matches.iter().try_for_each(check_match)?;
    if rule.action.needs_protocol() && rule.matches.iter().all(|one| one.protocol().is_none()) {
        return Err(Wrong::new("a new port for any protocol", "a match of tcp or udp beside it"));
    }
    check_place(table, &rule.action)?;
    check_action(&rule.action)
}

fn check_match(one: &Match) -> Result<(), Wrong> {
    match one {
        Match::Port { ports, .. } => {
            let slots: usize = ports.iter().map(|range: &PortRange| 2 - usize::from(range.is_single())).sum();
            let accepted = "1 to 15 ports in a match, a range counted twice";
            if ports.is_empty() {
                return Err(Wrong::new("no port", accepted));
            }
            at_most(slots, MOST_SLOTS, "ports", accepted)
        }
        Match::CtState(states) => {
            let repeats = |(index, state): (usize, &CtState)| states[..index].contains(state);
            if states.is_empty() || states.iter().enumerate().any(repeats) {
                let accepted = "at least one connection state, each once";
                return Err(Wrong::new(format!("{} states", states.len()), accepted));
            }
            Ok(())
        }
        Match::Uid { ids, .. } | Match::Gid { ids, .. } if ids.end() == u32::MAX => {
            // -1 is "no id" to the kernel, and iptables takes no such number.
            Err(Wrong::new("id 4294967295", "ids 0 to 4294967294"))
        }
        _ => Ok(()),
    }
}

/// What iptables and nf_tables refuse outside of one table.
fn check_place(table: TableKind, action: &Action) -> Result<(), Wrong> {
    let (wanted, accepted) = match action {
        Action::Redirect(_) | Action::Dnat { .. } => (TableKind::Nat, "redirect and dnat in table nat only"),
        Action::Tproxy { .. } => (TableKind::Mangle, "tproxy in table mangle only"),
        Action::SetMark(_) | Action::SaveMark | Action::RestoreMark => {
            (TableKind::Mangle, "marks in table mangle only")
        }
        Action::CtZone(_) => (TableKind::Raw, "connection tracking zones in table raw only"),
        // nat sees only the first packet of a connection (iptables refuses it too).
        Action::Drop if table == TableKind::Nat => {
            return Err(Wrong::new("drop in table nat", "drop in raw and mangle only"));
        }
        _ => return Ok(()),
    };
    if table == wanted { Ok(()) } else { Err(Wrong::new(format!("it in table {}", table.name()), accepted)) }
}

fn check_action(action: &Action) -> Result<(), Wrong> {
    match action {
        Action::Redirect(0) | Action::Dnat { port: Some(0), .. } | Action::Tproxy { port: 0, .. } => {
            Err(Wrong::new("port 0 as a destination", "a port, 1 to 65535"))
        }
        Action::Tproxy { mark: 0, .. } => Err(Wrong::new("tproxy mark 0", "a mark, 1 to 4294967295")),
        Action::Dnat { address, .. } if !is_host(*address) => {
            Err(Wrong::new(format!("destination {address}"), "the address of one host"))
        }
        Action::Log { level, .. } if *level > 7 => {
            Err(Wrong::new(format!("log level {level}"), "a syslog level, 0 to 7"))
        }
        Action::Log { prefix, .. } => {
            // nft's quotes know no escapes and expand `$`.
            let plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '"' | '\\' | '$');
            if prefix.len() > LONGEST_PREFIX || !prefix.chars().all(plain) {
                let short: String = prefix.chars().take(LONGEST_PREFIX).collect();
                let accepted = "a log prefix of at most 29 visible ASCII characters without \" \\ $";
                return Err(Wrong::new(format!("prefix {short:?}"), accepted));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}
