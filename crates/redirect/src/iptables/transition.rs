//! From what a family holds to what it should hold: one restore input, or the list of differences. Pure. Foreign
//! chains and rules never appear in the input; the one exception is a rule of theirs that jumps into a chain of ours
//! that goes away, which the kernel would not let go otherwise.

use std::fmt;
use std::fmt::Write;

use super::save::{Saved, SavedRule, SavedTable};
use crate::net::Family;
use crate::render::iptables::chain_prefix;
use crate::ruleset::Mesh;

/// Which chains and rules are ours to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    prefixes: Vec<String>,
    comment: Option<&'static str>,
}

impl Ours {
    /// The chains that we made for a mesh.
    pub fn meshward(mesh: Mesh) -> Self {
        Self::prefixes(vec![chain_prefix(mesh)])
    }

    /// The chains whose names start with one of these.
    pub fn prefixes(prefixes: Vec<String>) -> Self {
        Self { prefixes, comment: None }
    }

    /// Also the rules of foreign chains whose comment starts so.
    pub fn with_comment(self, comment: &'static str) -> Self {
        Self { comment: Some(comment), ..self }
    }

    /// Also the chains whose names start so.
    pub fn with_prefix(mut self, prefix: String) -> Self {
        self.prefixes.push(prefix);
        self
    }

    /// Whether a chain is ours.
    pub fn has_chain(&self, chain: &str) -> bool {
        self.prefixes.iter().any(|prefix| chain.starts_with(prefix.as_str()))
    }

    /// Whether a rule of a foreign chain is ours: it leads to our chains, or bears our comment.
    fn has_hook(&self, rule: &SavedRule) -> bool {
        let commented = |prefix| rule.comment.as_ref().is_some_and(|comment| comment.starts_with(prefix));
        rule.target.as_ref().is_some_and(|target| self.has_chain(target))
            || self.comment.is_some_and(commented)
    }
}

impl Saved {
    /// Only what is ours.
    pub(super) fn only(&self, ours: &Ours) -> Saved {
        let own = |table: &SavedTable| SavedTable {
            name: table.name.clone(),
            chains: table.chains.iter().filter(|chain| ours.has_chain(chain)).cloned().collect(),
            rules: table
                .rules
                .iter()
                .filter(|rule| ours.has_chain(&rule.chain) || ours.has_hook(rule))
                .cloned()
                .collect(),
        };
        Saved { tables: self.tables.iter().map(own).collect() }
    }

    /// The rules of these chains that stand before the first one that is ours; none where ours are not hooked in.
    pub(super) fn before(&self, ours: &Ours, table: &str, chains: &[&str]) -> Vec<&SavedRule> {
        let Some(table) = self.table(table) else { return Vec::new() };
        let before = |chain: &&str| {
            let rules: Vec<&SavedRule> = table.rules_of(chain).collect();
            let first = rules.iter().position(|rule| ours.has_hook(rule)).unwrap_or(0);
            rules.into_iter().take(first).collect::<Vec<_>>()
        };
        chains.iter().flat_map(before).collect()
    }

    fn own_table(&self, name: &str) -> SavedTable {
        self.table(name).cloned().unwrap_or_else(|| SavedTable { name: name.into(), ..SavedTable::default() })
    }
}

/// The restore input (`--noflush`) that turns our part of `held` into our part of `wanted`; nothing when they agree.
pub(super) fn transition(held: &Saved, wanted: &Saved, ours: &Ours) -> Option<String> {
    let (held, wanted) = (held.only(ours), wanted.only(ours));
    let mut input = String::new();
    for name in table_names(&held, &wanted) {
        change_table(&mut input, &held.own_table(name), &wanted.own_table(name), ours);
    }
    (!input.is_empty()).then_some(input)
}

/// The names of all tables, those of `wanted` first.
fn table_names<'a>(held: &'a Saved, wanted: &'a Saved) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for table in wanted.tables.iter().chain(&held.tables) {
        if !names.contains(&table.name.as_str()) {
            names.push(&table.name);
        }
    }
    names
}

fn change_table(input: &mut String, held: &SavedTable, wanted: &SavedTable, ours: &Ours) {
    if agree(held, wanted, ours) {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(input, "*{}", wanted.name);
    // With --noflush a declared chain is emptied, or made when it is not there.
    for chain in &wanted.chains {
        let _ = writeln!(input, ":{chain} - [0:0]");
    }
    let mut kept: Vec<&SavedRule> = Vec::new();
    for hook in hooks(held, ours) {
        if hooks(wanted, ours).any(|other| other == hook) && !kept.contains(&hook) {
            kept.push(hook);
        } else {
            let _ = writeln!(input, "-D {} {}", hook.chain, hook.body);
        }
    }
    let stale: Vec<&String> = held.chains.iter().filter(|chain| !wanted.chains.contains(chain)).collect();
    for option in ["-F", "-X"] {
        for chain in &stale {
            let _ = writeln!(input, "{option} {chain}");
        }
    }
    for rule in wanted.rules.iter().filter(|rule| ours.has_chain(&rule.chain)) {
        let _ = writeln!(input, "-A {} {}", rule.chain, rule.body);
    }
    for hook in hooks(wanted, ours).filter(|hook| !kept.contains(hook)) {
        let _ = writeln!(input, "-A {} {}", hook.chain, hook.body);
    }
    input.push_str("COMMIT\n");
}

/// Our rules in chains of others.
fn hooks<'a>(table: &'a SavedTable, ours: &'a Ours) -> impl Iterator<Item = &'a SavedRule> {
    table.rules.iter().filter(|rule| !ours.has_chain(&rule.chain))
}

/// Whether a table holds what is wanted: the same chains, in each the same rules in the same order, and the same
/// hooks in each foreign chain.
fn agree(held: &SavedTable, wanted: &SavedTable, ours: &Ours) -> bool {
    let mut chains: Vec<&str> = Vec::new();
    for rule in held.rules.iter().chain(&wanted.rules) {
        if !chains.contains(&rule.chain.as_str()) {
            chains.push(&rule.chain);
        }
    }
    let sorted = |table: &SavedTable| {
        let mut names: Vec<String> =
            table.chains.iter().filter(|chain| ours.has_chain(chain)).cloned().collect();
        names.sort();
        names
    };
    sorted(held) == sorted(wanted)
        && chains.iter().all(|chain| held.rules_of(chain).eq(wanted.rules_of(chain)))
}

/// One way in which a namespace differs from what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The family.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// What is different.
    pub what: What,
}

/// What is different about a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The chain is not there
    NoChain,
    /// A chain of ours that is not wanted
    ForeignChain,
    /// A rule that is not there
    Missing(String),
    /// A rule that should not be there
    Unexpected(String),
    /// The right rules in another order
    Order,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { family, table, chain, what } = self;
        write!(f, "{family} {table} {chain}: ")?;
        match what {
            What::NoChain => f.write_str("the chain is missing"),
            What::ForeignChain => f.write_str("the chain should not be there"),
            What::Missing(rule) => write!(f, "missing rule {rule}"),
            What::Unexpected(rule) => write!(f, "unexpected rule {rule}"),
            What::Order => f.write_str("the rules are in another order"),
        }
    }
}

/// How our part of `held` differs from our part of `wanted`.
pub fn differences(family: Family, wanted: &Saved, held: &Saved, ours: &Ours) -> Vec<Difference> {
    let (held, wanted) = (held.only(ours), wanted.only(ours));
    let mut found = Vec::new();
    for name in table_names(&held, &wanted) {
        let (held, wanted) = (held.own_table(name), wanted.own_table(name));
        let mut tell = |chain: &str, what| {
            found.push(Difference { family, table: name.into(), chain: chain.into(), what })
        };
        let missing = wanted.chains.iter().filter(|chain| !held.chains.contains(chain));
        missing.for_each(|chain| tell(chain, What::NoChain));
        let foreign = held.chains.iter().filter(|chain| !wanted.chains.contains(chain));
        foreign.for_each(|chain| tell(chain, What::ForeignChain));
        let mut chains: Vec<&str> =
            wanted.rules.iter().chain(&held.rules).map(|rule| rule.chain.as_str()).collect();
        chains.sort_unstable();
        chains.dedup();
        for chain in chains {
            chain_differences(chain, &wanted, &held, &mut tell);
        }
    }
    found
}

fn chain_differences(chain: &str, wanted: &SavedTable, held: &SavedTable, tell: &mut impl FnMut(&str, What)) {
    let bodies = |table: &SavedTable| table.rules_of(chain).map(|rule| rule.body.clone()).collect::<Vec<_>>();
    let (wanted, held) = (bodies(wanted), bodies(held));
    if wanted == held {
        return;
    }
    let missing = without(&wanted, &held);
    let unexpected = without(&held, &wanted);
    if missing.is_empty() && unexpected.is_empty() {
        tell(chain, What::Order);
    }
    missing.into_iter().for_each(|rule| tell(chain, What::Missing(rule)));
    unexpected.into_iter().for_each(|rule| tell(chain, What::Unexpected(rule)));
}

/// What `these` has more than `those`, each occurrence counted.
fn without(these: &[String], those: &[String]) -> Vec<String> {
    let mut those = those.to_vec();
    let mut left = Vec::new();
    for one in these {
        match those.iter().position(|other| other == one) {
            Some(at) => drop(those.swap_remove(at)),
            None => left.push(one.clone()),
        }
    }
    left
}
