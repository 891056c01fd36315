//! Renders a rule set as iptables-restore text, for people and for the iptables backend. Our rules stand in chains
//! of our own, the copies of the built-in chains included, and each built-in chain has one jump to its copy: so
//! replacing and removing never touches a rule of somebody else.

use std::fmt::Write;
use std::net::IpAddr;

use crate::net::{Family, MaskedMark, PortRange, Protocol};
use crate::ruleset::{Action, Chain, ChainName, CtState, Hook, Match, Mesh, Rule, RuleSet, Side, Table};

/// The line between the IPv4 and the IPv6 part.
pub const SEPARATOR: &str = "# ip6tables\n";

/// Start of every rule's comment; the rule's name follows.
pub const COMMENT_PREFIX: &str = "meshward:";

/// Longest comment that xt_comment keeps (`XT_MAX_COMMENT_LEN`, linux/netfilter/xt_comment.h, with the final zero).
const COMMENT_MAX: usize = 255;
/// Longest prefix of a LOG rule (`prefix[30]`, linux/netfilter/xt_LOG.h, with the final zero).
const LOG_PREFIX_MAX: usize = 29;

/// The IPv4 part, a line `# ip6tables`, and the IPv6 part, which is empty when IPv6 is not captured.
pub fn render(rules: &RuleSet) -> String {
    format!("{}{SEPARATOR}{}", render_family(rules, Family::Ipv4), render_family(rules, Family::Ipv6))
}

/// Input for one family's restore program (`--noflush`), empty when that family is not captured.
pub fn render_family(rules: &RuleSet, family: Family) -> String {
    let mut text = String::new();
    if rules.families().contains(&family) {
        for table in &rules.tables {
            render_table(&mut text, rules.mesh, table, family);
        }
    }
    text
}

/// The start of this mesh's chain names.
pub fn chain_prefix(mesh: Mesh) -> String {
    format!("MESHWARD_{}_", mesh.name().to_ascii_uppercase())
}

fn render_table(text: &mut String, mesh: Mesh, table: &Table, family: Family) {
    let mut chains: Vec<Rendered> =
        table.chains.iter().map(|chain| Rendered::of(mesh, chain, family)).collect();
    // Without rules in this family a base chain needs no jump; a chain that others jump to must be there.
    chains.retain(|chain| chain.hook.is_none() || !chain.rules.is_empty());
    if chains.iter().all(|chain| chain.rules.is_empty()) {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "*{}", table.kind.name());
    for chain in &chains {
        let _ = writeln!(text, ":{} - [0:0]", chain.name);
    }
    for chain in &chains {
        chain.rules.iter().for_each(|rule| {
            let _ = writeln!(text, "-A {} {rule}", chain.name);
        });
    }
    for chain in &chains {
        if let Some(hook) = chain.hook {
            let _ = writeln!(text, "-A {} -j {}", builtin(hook), chain.name);
        }
    }
    text.push_str("COMMIT\n");
}

struct Rendered {
    name: String,
    hook: Option<Hook>,
    rules: Vec<String>,
}

impl Rendered {
    fn of(mesh: Mesh, chain: &Chain, family: Family) -> Self {
        let fitting = chain.rules.iter().filter(|rule| fits(rule, family));
        Self {
            name: chain_name(mesh, &chain.name),
            hook: chain.hook,
            rules: fitting.map(|rule| render_rule(mesh, rule)).collect(),
        }
    }
}

/// Whether a rule can be written for `family`: it can match at all, and everything in it that has a family agrees.
fn fits(rule: &Rule, family: Family) -> bool {
    let target = match rule.action {
        Action::Dnat { address, .. } => Some(Family::of(address)),
        _ => None,
    };
    rule.can_match() && rule.applies_to(family) && target.is_none_or(|own| own == family)
}

/// The kernel's name of a base chain.
pub(crate) fn builtin(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Output => "OUTPUT",
    }
}

fn chain_name(mesh: Mesh, name: &ChainName) -> String {
    format!("{}{}", chain_prefix(mesh), name.as_str().to_ascii_uppercase())
}

/// A rule without its chain, in the order in which iptables-save writes: what belongs to every packet, then matches
/// by module, comment, target.
fn render_rule(mesh: Mesh, rule: &Rule) -> String {
    let mut text = Parts::default();
    for side in [Side::Source, Side::Destination] {
        text.addresses(side, &rule.matches);
    }
    for one in &rule.matches {
        match one {
            Match::InInterface(name) => text.push(format_args!("-i {name}")),
            Match::OutInterface(name) => text.push(format_args!("-o {name}")),
            _ => {}
        }
    }
    if let Some(protocol) = rule.matches.iter().find_map(Match::protocol) {
        text.push(format_args!("-p {protocol}"));
    }
    rule.matches.iter().for_each(|one| text.module(one));
    text.push(format_args!(
        "-m comment --comment {}",
        quoted(&format!("{COMMENT_PREFIX}{}", rule.name), COMMENT_MAX)
    ));
    text.target(mesh, &rule.action);
    text.text
}

/// A rule's text as it grows, its parts separated by spaces.
#[derive(Default)]
struct Parts {
    text: String,
}

impl Parts {
    fn push(&mut self, part: std::fmt::Arguments<'_>) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let _ = self.text.write_fmt(part);
    }

    /// `-s` and `-d` can be given once; further networks of that side go to the iprange module.
    fn addresses(&mut self, side: Side, matches: &[Match]) {
        let (option, range) = match side {
            Side::Source => ("-s", "--src-range"),
            Side::Destination => ("-d", "--dst-range"),
        };
        let nets = matches.iter().filter_map(|one| match one {
            Match::Address { side: own, net, negate } if *own == side => Some((net, not(*negate))),
            _ => None,
        });
        for (at, (net, not)) in nets.enumerate() {
            if at == 0 {
                self.push(format_args!("{not}{option} {}", net.trunc()));
            } else {
                self.push(format_args!("-m iprange {not}{range} {}-{}", net.network(), net.broadcast()));
            }
        }
    }

    fn module(&mut self, one: &Match) {
        match one {
            Match::Port { protocol, side, ports, negate } => self.ports(*protocol, *side, ports, *negate),
            Match::Uid { ids, negate } => {
                self.push(format_args!("-m owner {}--uid-owner {ids}", not(*negate)))
            }
            Match::Gid { ids, negate } => {
                self.push(format_args!("-m owner {}--gid-owner {ids}", not(*negate)))
            }
            Match::Mark { mark: own, negate } => {
                self.push(format_args!("-m mark {}--mark {}", not(*negate), mark(*own)));
            }
            Match::ConnMark(own) => self.push(format_args!("-m connmark --mark {}", mark(*own))),
            Match::CtState(states) => {
                self.push(format_args!("-m conntrack --ctstate {}", state_list(states)))
            }
            Match::Family(_)
            | Match::Protocol(_)
            | Match::Address { .. }
            | Match::InInterface(_)
            | Match::OutInterface(_) => {}
        }
    }

    fn ports(&mut self, protocol: Protocol, side: Side, ports: &[PortRange], negate: bool) {
        let (one, many) = match side {
            Side::Source => ("sport", "sports"),
            Side::Destination => ("dport", "dports"),
        };
        let not = not(negate);
        match ports {
            [port] => self.push(format_args!("-m {protocol} {not}--{one} {}", colon(*port))),
            ports => {
                let list: Vec<String> = ports.iter().map(|port| colon(*port)).collect();
                self.push(format_args!("-m multiport {not}--{many} {}", list.join(",")));
            }
        }
    }

    fn target(&mut self, mesh: Mesh, action: &Action) {
        match action {
            Action::Return => self.push(format_args!("-j RETURN")),
            Action::Accept => self.push(format_args!("-j ACCEPT")),
            Action::Drop => self.push(format_args!("-j DROP")),
            Action::Jump(chain) => self.push(format_args!("-j {}", chain_name(mesh, chain))),
            Action::Redirect(port) => self.push(format_args!("-j REDIRECT --to-ports {port}")),
            Action::Dnat { address, port } => {
                self.push(format_args!("-j DNAT --to-destination {}", destination(*address, *port)));
            }
            Action::Tproxy { port, mark } => {
                self.push(format_args!("-j TPROXY --on-port {port} --tproxy-mark {mark:#x}/0xffffffff"));
            }
            Action::SetMark(mark) => self.push(format_args!("-j MARK --set-mark {mark:#x}")),
            Action::SaveMark => self.push(format_args!("-j CONNMARK --save-mark")),
            Action::RestoreMark => self.push(format_args!("-j CONNMARK --restore-mark")),
            Action::CtZone(zone) => self.push(format_args!("-j CT --zone {zone}")),
            Action::Log { prefix, level } => {
                let prefix = quoted(prefix, LOG_PREFIX_MAX);
                self.push(format_args!("-j LOG --log-prefix {prefix} --log-level {level}"));
            }
        }
    }
}

fn not(negate: bool) -> &'static str {
    if negate { "! " } else { "" }
}

fn colon(ports: PortRange) -> String {
    if ports.is_single() { ports.to_string() } else { format!("{}:{}", ports.start(), ports.end()) }
}

fn mark(mark: MaskedMark) -> String {
    match mark.mask {
        u32::MAX => format!("{:#x}", mark.value),
        mask => format!("{:#x}/{mask:#x}", mark.value),
    }
}

/// In the order in which iptables-save writes them.
fn state_list(states: &[CtState]) -> String {
    let names = [
        (CtState::Invalid, "INVALID"),
        (CtState::New, "NEW"),
        (CtState::Related, "RELATED"),
        (CtState::Established, "ESTABLISHED"),
    ];
    let given: Vec<&str> =
        names.iter().filter(|(state, _)| states.contains(state)).map(|(_, name)| *name).collect();
    given.join(",")
}

fn destination(address: IpAddr, port: Option<u16>) -> String {
    match (address, port) {
        (address, None) => address.to_string(),
        (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
        (IpAddr::V6(address), Some(port)) => format!("[{address}]:{port}"),
    }
}

/// Text in quotes, as the restore programs read it. Rule names and log prefixes can come from data: whatever is not
/// a printable ASCII character, a line end above all, becomes a question mark.
fn quoted(text: &str, longest: usize) -> String {
    let mut quoted = String::from('"');
    for c in text.chars().take(longest) {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}
