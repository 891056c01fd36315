//! Whether a rule set holds together. Dialects build only such sets; a file may say anything, and whoever renders or
//! evaluates a rule set relies on it: no jump without end, no name that could break out of the text it is written in,
//! nothing that netfilter would refuse.

mod jumps;
mod rule;

use crate::net::visible;
use crate::ruleset::{Chain, PolicyRouting, RuleSet, Table};

/// The longest JSON text of a rule set that is read.
pub const LONGEST_TEXT: usize = 16 << 20;
/// The most rules of a rule set. The longest lists that the dialects accept make about 30,000.
pub const MOST_RULES: usize = 65_536;
/// The most chains of one table.
pub const MOST_CHAINS: usize = 64;
/// The most loopback addresses; no mesh asks for more than one.
const MOST_ADDRESSES: usize = 16;

/// A rule set that does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: found {found}, accepted: {accepted}")]
pub struct InvalidRuleSet {
    /// `table nat, chain output, rule 3 (out.all)`, or less where it is about more.
    pub place: String,
    /// What was found.
    pub found: String,
    /// What is accepted.
    pub accepted: &'static str,
}

/// A text that is no rule set.
#[derive(Debug, thiserror::Error)]
pub enum ReadRuleSet {
    /// Longer than we read.
    #[error("found {0} bytes, accepted: a rule set of at most {LONGEST_TEXT} bytes")]
    TooLong(usize),
    /// Not the JSON of a rule set.
    #[error("cannot read the rule set: {}", visible(&.0.to_string()))]
    Json(#[from] serde_json::Error),
    /// It does not hold together.
    #[error(transparent)]
    Invalid(#[from] InvalidRuleSet),
}

/// What is wrong somewhere below a place that the caller knows.
struct Wrong {
    found: String,
    accepted: &'static str,
}

impl Wrong {
    fn new(found: impl Into<String>, accepted: &'static str) -> Self {
        Self { found: found.into(), accepted }
    }

    fn at(self, place: impl Into<String>) -> InvalidRuleSet {
        InvalidRuleSet { place: place.into(), found: self.found, accepted: self.accepted }
    }
}

fn at_most(found: usize, most: usize, what: &str, accepted: &'static str) -> Result<(), Wrong> {
    if found > most { Err(Wrong::new(format!("{found} {what}"), accepted)) } else { Ok(()) }
}

impl RuleSet {
    /// Reads the JSON that [`RuleSet`] serialises to, from whoever wrote it.
    ///
    /// # Errors
    /// [`ReadRuleSet`]; what is read is [valid](Self::validate).
    pub fn from_json(text: &[u8]) -> Result<Self, ReadRuleSet> {
        if text.len() > LONGEST_TEXT {
            return Err(ReadRuleSet::TooLong(text.len()));
        }
        let rules: Self = serde_json::from_slice(text)?;
        rules.validate()?;
        Ok(rules)
    }

    /// Checks that the set holds together.
    ///
    /// # Errors
    /// [`InvalidRuleSet`] for the first thing that does not, with its place.
    pub fn validate(&self) -> Result<(), InvalidRuleSet> {
        self.check_whole().map_err(|wrong| wrong.at("the rule set"))?;
        for table in &self.tables {
            check_table(table)?;
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), Wrong> {
        let kinds: Vec<&str> = self.tables.iter().map(|table| table.kind.name()).collect();
        if !self.tables.is_sorted_by(|one, next| one.kind < next.kind) {
            return Err(Wrong::new(format!("tables {}", kinds.join(", ")), "raw, mangle, nat, each once"));
        }
        at_most(self.rules().count(), MOST_RULES, "rules", "at most 65536 rules")?;
        at_most(self.loopback_addresses.len(), MOST_ADDRESSES, "loopback addresses", "at most 16")?;
        if !self.ipv6 && !self.loopback_addresses.is_empty() {
            return Err(Wrong::new("loopback addresses", "none without ipv6"));
        }
        let unusable = |one: &&std::net::Ipv6Addr| one.is_unspecified() || one.is_multicast();
        if let Some(one) = self.loopback_addresses.iter().find(unusable) {
            return Err(Wrong::new(format!("loopback address {one}"), "an address of one host"));
        }
        self.routing.map_or(Ok(()), check_routing)
    }
}

/// The tables 253 to 255 (default, main, local) and 0 (unspecified) route everything else (linux/rtnetlink.h).
fn check_routing(routing: PolicyRouting) -> Result<(), Wrong> {
    match routing {
        PolicyRouting { mark: 0, .. } => {
            Err(Wrong::new("routing mark 0", "a mark that not every packet has, from 1 on"))
        }
        PolicyRouting { table: table @ (0 | 253..=255), .. } => {
            let found = format!("routing table {table}");
            Err(Wrong::new(found, "a table, 1 to 4294967295, but not 253, 254 or 255"))
        }
        _ => Ok(()),
    }
}

fn check_table(table: &Table) -> Result<(), InvalidRuleSet> {
    let place = format!("table {}", table.kind.name());
    check_chains(table).map_err(|wrong| wrong.at(&place))?;
    for chain in &table.chains {
        for (index, one) in chain.rules.iter().enumerate() {
            rule::check(table.kind, one).map_err(|wrong| wrong.at(rule_place(table, chain, index)))?;
        }
    }
    jumps::check(table)
}

fn check_chains(table: &Table) -> Result<(), Wrong> {
    at_most(table.chains.len(), MOST_CHAINS, "chains", "at most 64 chains in a table")?;
    if !table.chains.is_sorted_by_key(|chain| chain.hook.is_none()) {
        return Err(Wrong::new("a base chain behind another chain", "base chains first"));
    }
    for (index, chain) in table.chains.iter().enumerate() {
        let name = &chain.name;
        if table.chains[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(Wrong::new(format!("two chains {name}"), "each chain once"));
        }
        match chain.hook {
            Some(hook) if hook.name() != name.as_str() => {
                let found = format!("base chain {name} on hook {}", hook.name());
                return Err(Wrong::new(found, "the hook's name for its base chain"));
            }
            None if matches!(name.as_str(), "prerouting" | "output") => {
                return Err(Wrong::new(format!("chain {name} without a hook"), "a hook, or another name"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Rules count from 1.
fn rule_place(table: &Table, chain: &Chain, index: usize) -> String {
    let name: String = match chain.rules.get(index) {
        Some(rule) => rule.name.chars().filter(|c| !c.is_control()).take(64).collect(),
        None => String::new(),
    };
    format!("table {}, chain {}, rule {} ({name})", table.kind.name(), chain.name, index + 1)
}
