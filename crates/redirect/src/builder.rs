//! Collects rules into a [`RuleSet`]: dialects say what goes where in peer order; what is the same for all of them
//! (chain order, IPv6 that must be left alone, chains nothing jumps to) is settled here once.

use std::collections::BTreeSet;

use crate::net::Family;
use crate::ruleset::{
    Action, Chain, ChainName, Hook, Match, Mesh, PolicyRouting, Rule, RuleSet, Table, TableKind,
};

/// Name of the rule that lets IPv6 pass when it is not captured.
pub const IPV6_GUARD: &str = "family.ipv6-untouched";

/// Rules as they are collected.
#[derive(Debug)]
pub struct Builder {
    rules: RuleSet,
}

impl Builder {
    /// An empty set for `mesh`; without `ipv6`, rules of that family are dropped and its packets are let through.
    pub fn new(mesh: Mesh, ipv6: bool) -> Self {
        let rules = RuleSet { mesh, ipv6, tables: Vec::new(), routing: None, loopback_addresses: Vec::new() };
        Self { rules }
    }

    /// Appends a rule to a base chain.
    pub fn base(&mut self, kind: TableKind, hook: Hook, rule: Rule) -> &mut Self {
        self.push(kind, ChainName::new(hook.name()), Some(hook), rule)
    }

    /// Appends a rule to a chain that is jumped to.
    pub fn chain(&mut self, kind: TableKind, name: ChainName, rule: Rule) -> &mut Self {
        self.push(kind, name, None, rule)
    }

    /// The policy routing that TPROXY needs.
    pub fn routing(&mut self, routing: PolicyRouting) -> &mut Self {
        self.rules.routing = Some(routing);
        self
    }

    /// An address the loopback interface has to have; only when IPv6 is captured.
    pub fn loopback_address(&mut self, address: std::net::Ipv6Addr) -> &mut Self {
        if self.rules.ipv6 {
            self.rules.loopback_addresses.push(address);
        }
        self
    }

    fn push(&mut self, kind: TableKind, name: ChainName, hook: Option<Hook>, rule: Rule) -> &mut Self {
        if !self.rules.ipv6 && rule.family() == Some(Family::Ipv6) {
            return self;
        }
        let tables = &mut self.rules.tables;
        let at = tables.iter().position(|table| table.kind == kind).unwrap_or_else(|| {
            tables.push(Table { kind, chains: Vec::new() });
            tables.len() - 1
        });
        let chains = &mut tables[at].chains;
        match chains.iter_mut().find(|chain| chain.name == name) {
            Some(chain) => chain.rules.push(rule),
            None => chains.push(Chain { name, hook, rules: vec![rule] }),
        }
        self
    }

    /// The finished set: tables in packet order, base chains first, no chain without a way in, no jump to a chain
    /// without rules.
    pub fn finish(self) -> RuleSet {
        let mut rules = self.rules;
        rules.tables.sort_by_key(|table| table.kind);
        for table in &mut rules.tables {
            drop_dead_jumps(table);
            drop_unreachable(table);
            // Base chains in packet order, then the others as they were first mentioned.
            table.chains.sort_by_key(|chain| chain.hook.map_or(u8::MAX, |hook| hook as u8));
            if !rules.ipv6 {
                table.chains.iter_mut().filter(|chain| chain.hook.is_some()).for_each(guard_ipv6);
            }
        }
        rules.tables.retain(|table| !table.chains.is_empty());
        rules
    }
}

fn guard_ipv6(chain: &mut Chain) {
    let guard = Rule {
        name: IPV6_GUARD.into(),
        option: None,
        matches: vec![Match::Family(Family::Ipv6)],
        action: Action::Return,
    };
    chain.rules.insert(0, guard);
}

/// A jump to a chain without rules does nothing.
fn drop_dead_jumps(table: &mut Table) {
    let known: BTreeSet<ChainName> = table.chains.iter().map(|chain| chain.name.clone()).collect();
    for chain in &mut table.chains {
        chain.rules.retain(|rule| !matches!(&rule.action, Action::Jump(to) if !known.contains(to)));
    }
    let before = table.chains.len();
    table.chains.retain(|chain| !chain.rules.is_empty());
    if table.chains.len() < before {
        drop_dead_jumps(table);
    }
}

fn drop_unreachable(table: &mut Table) {
    let mut reached: BTreeSet<ChainName> = BTreeSet::new();
    let mut open: Vec<ChainName> =
        table.chains.iter().filter(|chain| chain.hook.is_some()).map(|chain| chain.name.clone()).collect();
    while let Some(name) = open.pop() {
        if let (true, Some(chain)) = (reached.insert(name.clone()), table.chain(&name)) {
            open.extend(chain.rules.iter().filter_map(|rule| match &rule.action {
                Action::Jump(to) => Some(to.clone()),
                _ => None,
            }));
        }
    }
    table.chains.retain(|chain| reached.contains(&chain.name));
}

/// Starts a rule; matches and the action follow: `rule("out.exclude-port").option("…").matching(…).then(…)`.
pub fn rule(name: &'static str) -> RuleStart {
    RuleStart { name, option: None, matches: Vec::new() }
}

/// A rule without its action.
#[derive(Debug, Clone)]
pub struct RuleStart {
    name: &'static str,
    option: Option<&'static str>,
    matches: Vec<Match>,
}

impl RuleStart {
    /// The option (long flag name) the rule comes from.
    pub fn option(mut self, option: &'static str) -> Self {
        self.option = Some(option);
        self
    }

    /// One more match.
    pub fn matching(mut self, one: Match) -> Self {
        self.matches.push(one);
        self
    }

    /// The action, which completes the rule.
    pub fn then(self, action: Action) -> Rule {
        Rule { name: self.name.into(), option: self.option.map(Into::into), matches: self.matches, action }
    }
}
