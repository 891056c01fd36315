//! From a rule set to what nf_tables runs: chains with their full names and rules as expressions. It follows nft's
//! own compiler expression by expression (a test compares the two), so that `nft list` shows what we render and a
//! rule read back equals the rule that was sent.

mod matches;

use std::borrow::Cow;
use std::net::IpAddr;

use super::batch::ELEMENTS_AT_ONCE;
use super::error::NftError;
use super::expr::{CtKey, Expr, MetaKey, Register, Value, Verdict};
use super::uapi::{family, hook};
use crate::net::Family;
use crate::render::nft as text;
use crate::{Action, Chain, Hook, Rule, RuleSet, Table, TableKind};

/// Most expressions one rule holds (`NFT_RULE_MAXEXPRS`, net/netfilter/nf_tables_api.c).
const MOST_EXPRESSIONS: usize = 128;

/// One mesh's table as nf_tables holds it.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) table: String,
    pub(crate) comment: String,
    pub(crate) chains: Vec<ProgramChain<'a>>,
}

/// A chain and its rules.
#[derive(Debug)]
pub(crate) struct ProgramChain<'a> {
    pub(crate) name: String,
    pub(crate) base: Option<Base<'a>>,
    pub(crate) comment: Option<&'static str>,
    pub(crate) rules: Vec<ProgramRule<'a>>,
}

/// Where and how a base chain is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base<'a> {
    pub(crate) kind: Cow<'a, str>,
    pub(crate) hook: u32,
    pub(crate) priority: i32,
    /// `NF_ACCEPT` or `NF_DROP`
    pub(crate) policy: u32,
}

/// A rule, with the source it was made from.
#[derive(Debug)]
pub(crate) struct ProgramRule<'a> {
    pub(crate) kind: TableKind,
    pub(crate) rule: &'a Rule,
    pub(crate) comment: Cow<'a, str>,
    pub(crate) exprs: Vec<Expr<'a>>,
    pub(crate) sets: Vec<Set>,
}

/// An anonymous set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Set {
    /// `NFT_SET_*`
    pub(crate) flags: u32,
    /// Ascending.
    pub(crate) elements: Vec<Element>,
}

/// An element; in a set of intervals each stands for everything up to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(crate) key: Value,
    /// Whether an interval ends before it, not starts at it.
    pub(crate) end: bool,
}

/// Type of a base chain: what may be done in it.
pub(crate) fn chain_type(kind: TableKind, hook: Hook) -> &'static str {
    match (kind, hook) {
        (TableKind::Nat, _) => "nat",
        // A mark that is changed on the way out must be followed by a new route lookup.
        (TableKind::Mangle, Hook::Output) => "route",
        _ => "filter",
    }
}

/// Priority of a base chain: where iptables has the table of this name (linux/netfilter_ipv4.h).
pub(crate) fn priority(kind: TableKind) -> i32 {
    match kind {
        TableKind::Raw => -300,
        TableKind::Mangle => -150,
        TableKind::Nat => -100,
    }
}

impl<'a> Program<'a> {
    /// Lowers a rule set.
    pub(crate) fn new(rules: &'a RuleSet) -> Result<Self, NftError> {
        let mut chains = Vec::with_capacity(rules.tables.iter().map(|table| table.chains.len()).sum());
        for table in &rules.tables {
            for chain in &table.chains {
                chains.push(lower_chain(table, chain)?);
            }
        }
        Ok(Self { table: rules.mesh.table_name(), comment: rules.fingerprint(), chains })
    }

    /// At least as many messages as a batch of it has.
    pub(crate) fn messages(&self) -> u32 {
        let sets = |rule: &ProgramRule<'_>| -> usize {
            rule.sets.iter().map(|set| 2 + set.elements.len() / ELEMENTS_AT_ONCE).sum()
        };
        let rules = self.chains.iter().flat_map(|chain| &chain.rules).map(|rule| 1 + sets(rule));
        (5 + self.chains.len() + rules.sum::<usize>()) as u32
    }
}

fn lower_chain<'a>(table: &'a Table, chain: &'a Chain) -> Result<ProgramChain<'a>, NftError> {
    let name = text::chain_name(table.kind, &chain.name);
    let base = chain.hook.map(|hook| Base {
        kind: chain_type(table.kind, hook).into(),
        hook: match hook {
            Hook::Prerouting => hook::PREROUTING,
            Hook::Output => hook::OUTPUT,
        },
        priority: priority(table.kind),
        policy: 1,
    });
    let mut rules = Vec::with_capacity(chain.rules.len());
    for rule in chain.rules.iter().filter(|rule| rule.can_match()) {
        match lower_rule(table, rule) {
            Ok(lowered) => rules.push(lowered),
            Err(problem) => {
                let rule = rule.name.to_string();
                return Err(NftError::Inexpressible { chain: name, rule, problem });
            }
        }
    }
    Ok(ProgramChain { name, base, comment: chain.hook.map(text::hook_comment), rules })
}

fn lower_rule<'a>(table: &'a Table, rule: &'a Rule) -> Result<ProgramRule<'a>, &'static str> {
    let mut lowering = Lowering::default();
    for one in &rule.matches {
        lowering.push_match(one);
    }
    lowering.push_action(table, rule)?;
    let Lowering { exprs, sets, .. } = lowering;
    if exprs.len() > MOST_EXPRESSIONS {
        return Err("it has more matches than a rule of nf_tables holds");
    }
    Ok(ProgramRule { kind: table.kind, rule, comment: text::printable(&rule.name), exprs, sets })
}

/// A rule on its way; what it already knows of the packet need not be asked again.
#[derive(Debug, Default)]
struct Lowering<'a> {
    exprs: Vec<Expr<'a>>,
    sets: Vec<Set>,
    family: Option<Family>,
    protocol: Option<u8>,
}

impl<'a> Lowering<'a> {
    fn push_action(&mut self, table: &'a Table, rule: &'a Rule) -> Result<(), &'static str> {
        if rule.action.needs_protocol() && self.protocol.is_none() {
            return Err("to change or take a port it must match a protocol (tcp or udp)");
        }
        if let Action::Dnat { address, .. } = &rule.action {
            self.need_family(Family::of(*address));
        }
        self.exprs.push(Expr::Counter);
        match &rule.action {
            Action::Return => self.verdict(Verdict::Return),
            Action::Accept => self.verdict(Verdict::Accept),
            Action::Drop => self.verdict(Verdict::Drop),
            Action::Jump(chain) => {
                if table.chain(chain).is_none() {
                    return Err("it jumps to a chain that is not there");
                }
                self.verdict(Verdict::Jump(text::chain_name(table.kind, chain).into()));
            }
            Action::Redirect(port) => {
                self.immediate(Register::FIRST, Value::of(port.to_be_bytes()));
                self.exprs.push(Expr::Redirect { port: Some(Register::FIRST) });
            }
            Action::Dnat { address, port } => self.dnat(*address, *port),
            Action::Tproxy { port, mark } => self.tproxy(rule.family(), *port, *mark),
            Action::SetMark(mark) => self.set_mark(*mark),
            Action::SaveMark => {
                self.exprs.push(Expr::MetaLoad { key: MetaKey::MARK, to: Register::FIRST });
                self.exprs.push(Expr::CtSet { key: CtKey::MARK, from: Register::FIRST });
            }
            Action::RestoreMark => {
                self.exprs.push(Expr::CtLoad { key: CtKey::MARK, to: Register::FIRST });
                self.exprs.push(Expr::MetaSet { key: MetaKey::MARK, from: Register::FIRST });
            }
            Action::CtZone(zone) => {
                self.immediate(Register::FIRST, Value::of(zone.to_ne_bytes()));
                self.exprs.push(Expr::CtSet { key: CtKey::ZONE, from: Register::FIRST });
            }
            Action::Log { prefix, level } => {
                self.exprs
                    .push(Expr::Log { prefix: text::printable(prefix), level: u32::from((*level).min(7)) });
            }
        }
        Ok(())
    }

    fn tproxy(&mut self, family: Option<Family>, port: u16, mark: u32) {
        let family = family.map_or(family::UNSPEC, number);
        self.immediate(Register::FIRST, Value::of(port.to_be_bytes()));
        self.exprs.push(Expr::Tproxy { family, port: Register::FIRST });
        // The mark comes last: without a listener tproxy ends the rule, and a packet that falls through must be as
        // it came.
        self.set_mark(mark);
        self.verdict(Verdict::Accept);
    }

    fn dnat(&mut self, address: IpAddr, port: Option<u16>) {
        let value = match address {
            IpAddr::V4(address) => Value::of(address.octets()),
            IpAddr::V6(address) => Value::of(address.octets()),
        };
        self.immediate(Register::FIRST, value);
        if let Some(port) = port {
            self.immediate(Register::SECOND, Value::of(port.to_be_bytes()));
        }
        self.exprs.push(Expr::Dnat {
            family: number(Family::of(address)),
            address: Some(Register::FIRST),
            port: port.map(|_| Register::SECOND),
        });
    }

    fn set_mark(&mut self, mark: u32) {
        self.immediate(Register::FIRST, Value::of(mark.to_ne_bytes()));
        self.exprs.push(Expr::MetaSet { key: MetaKey::MARK, from: Register::FIRST });
    }

    fn immediate(&mut self, to: Register, value: Value) {
        self.exprs.push(Expr::Immediate { to, value });
    }

    fn verdict(&mut self, verdict: Verdict<'a>) {
        self.exprs.push(Expr::Verdict(verdict));
    }
}

/// The kernel's number of a family.
pub(crate) fn number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => family::IPV4,
        Family::Ipv6 => family::IPV6,
    }
}
