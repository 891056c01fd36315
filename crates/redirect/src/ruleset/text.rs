//! Compact text of rules, close to what `iptables-save` prints, for people: error messages, traces, snapshots in
//! tests. It is never fed to a program; the renderers write what programs read.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use super::{Action, CtState, Match, Rule, RuleSet, Side};
use crate::net::{MaskedMark, PortRange};

fn not(negate: bool) -> &'static str {
    if negate { "! " } else { "" }
}

fn join<T: Display>(items: &[T], separator: &str) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(separator)
}

/// iptables writes ranges with a colon.
fn port_text(range: &PortRange) -> String {
    if range.is_single() { range.start().to_string() } else { format!("{}:{}", range.start(), range.end()) }
}

fn mark_text(mark: &MaskedMark) -> String {
    if mark.mask == u32::MAX { mark.value.to_string() } else { format!("{}/{:#x}", mark.value, mark.mask) }
}

impl Display for CtState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CtState::Invalid => "INVALID",
            CtState::Established => "ESTABLISHED",
            CtState::Related => "RELATED",
            CtState::New => "NEW",
        })
    }
}

impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Match::Family(family) => write!(f, "--{family}"),
            Match::Protocol(protocol) => write!(f, "-p {protocol}"),
            Match::Port { protocol, side, ports, negate } => {
                let letter = if *side == Side::Source { 's' } else { 'd' };
                let not = not(*negate);
                match &ports[..] {
                    [one] => write!(f, "-p {protocol} {not}--{letter}port {}", port_text(one)),
                    many => {
                        let ports: Vec<String> = many.iter().map(port_text).collect();
                        write!(f, "-p {protocol} -m multiport {not}--{letter}ports {}", ports.join(","))
                    }
                }
            }
            Match::Address { side: Side::Source, net, negate } => write!(f, "{}-s {net}", not(*negate)),
            Match::Address { side: Side::Destination, net, negate } => write!(f, "{}-d {net}", not(*negate)),
            Match::InInterface(name) => write!(f, "-i {name}"),
            Match::OutInterface(name) => write!(f, "-o {name}"),
            Match::Uid { ids, negate } => write!(f, "-m owner {}--uid-owner {ids}", not(*negate)),
            Match::Gid { ids, negate } => write!(f, "-m owner {}--gid-owner {ids}", not(*negate)),
            Match::Mark { mark, negate } => {
                write!(f, "-m mark {}--mark {}", not(*negate), mark_text(mark))
            }
            Match::ConnMark(mark) => write!(f, "-m connmark --mark {}", mark_text(mark)),
            Match::CtState(states) => write!(f, "-m conntrack --ctstate {}", join(states, ",")),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Action::Return => f.write_str("-j RETURN"),
            Action::Accept => f.write_str("-j ACCEPT"),
            Action::Drop => f.write_str("-j DROP"),
            Action::Jump(chain) => write!(f, "-j {chain}"),
            Action::Redirect(port) => write!(f, "-j REDIRECT --to-ports {port}"),
            Action::Dnat { address, port } => {
                f.write_str("-j DNAT --to-destination ")?;
                match (address, port) {
                    (address, None) => write!(f, "{address}"),
                    (IpAddr::V4(address), Some(port)) => write!(f, "{address}:{port}"),
                    (IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
                }
            }
            Action::Tproxy { port, mark } => write!(f, "-j TPROXY --on-port {port} --tproxy-mark {mark}"),
            Action::SetMark(mark) => write!(f, "-j MARK --set-mark {mark}"),
            Action::SaveMark => f.write_str("-j CONNMARK --save-mark"),
            Action::RestoreMark => f.write_str("-j CONNMARK --restore-mark"),
            Action::CtZone(zone) => write!(f, "-j CT --zone {zone}"),
            Action::Log { prefix, level } => {
                write!(f, "-j LOG --log-prefix {prefix:?} --log-level {level}")
            }
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for one in &self.matches {
            write!(f, "{one} ")?;
        }
        self.action.fmt(f)
    }
}

impl Display for RuleSet {
    /// Every rule in its place, each with its name and option behind a `#`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {} ipv6 {}", self.mesh.table_name(), if self.ipv6 { "on" } else { "off" })?;
        for address in &self.loopback_addresses {
            writeln!(f, "address {address} dev lo")?;
        }
        if let Some(routing) = &self.routing {
            writeln!(f, "routing mark {} table {}", routing.mark, routing.table)?;
        }
        for table in &self.tables {
            writeln!(f, "*{}", table.kind.name())?;
            for chain in &table.chains {
                for rule in &chain.rules {
                    write!(f, "-A {} {rule} # {}", chain.name, rule.name)?;
                    match &rule.option {
                        Some(option) => writeln!(f, " ({option})")?,
                        None => writeln!(f)?,
                    }
                }
            }
        }
        Ok(())
    }
}
