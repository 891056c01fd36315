//! How the kernel's table differs from what was meant, in words.

use std::fmt;

use serde::Serialize;

/// The differences between a rule set and the kernel's table; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The table's name (family inet).
    pub table: String,
    /// What differs, in the table's order.
    pub differences: Vec<Difference>,
}

/// One difference. Chains are named as nft names them (`nat_output`); positions count from 1; texts are nft's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difference {
    /// The table is not there.
    TableMissing,
    /// The table is there but switched off (`flags dormant`).
    TableDormant,
    /// The table's comment names other rules, or none.
    Fingerprint {
        /// The comment that was meant.
        meant: String,
        /// The comment that was found.
        found: Option<String>,
    },
    /// A chain is not there.
    ChainMissing {
        /// Its name.
        chain: String,
    },
    /// A chain has another hook, type, priority, policy or comment.
    ChainChanged {
        /// Its name.
        chain: String,
        /// Its head as it was meant.
        meant: String,
        /// Its head as it was found.
        found: String,
    },
    /// A chain that was not meant.
    ChainUnexpected {
        /// Its name.
        chain: String,
        /// Its head.
        found: String,
    },
    /// A rule is not there.
    RuleMissing {
        /// Its chain.
        chain: String,
        /// The place it was meant for.
        position: usize,
        /// Its name.
        rule: String,
        /// Its text.
        meant: String,
    },
    /// A rule of this name says something else.
    RuleChanged {
        /// Its chain.
        chain: String,
        /// The place it was meant for.
        position: usize,
        /// Its name.
        rule: String,
        /// Its text as it was meant.
        meant: String,
        /// Its text as it was found.
        found: String,
    },
    /// A rule that was not meant.
    RuleUnexpected {
        /// Its chain.
        chain: String,
        /// Where it was found.
        position: usize,
        /// Its text.
        found: String,
    },
    /// A rule stands somewhere else.
    RuleMoved {
        /// Its chain.
        chain: String,
        /// Its name.
        rule: String,
        /// Its text.
        text: String,
        /// The place it was meant for.
        meant: usize,
        /// Where it was found.
        found: usize,
    },
    /// More rules than are looked at stand in our table.
    TooManyRules {
        /// How many were not looked at.
        beyond: usize,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table inet {}", self.table)?;
        let mut chain = None;
        for difference in &self.differences {
            if difference.chain() != chain {
                chain = difference.chain();
                if let Some(chain) = chain {
                    write!(f, "\n  chain {chain}")?;
                }
            }
            write!(f, "\n{difference}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    /// `-` lines were meant and are not there, `+` lines are there and were not meant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::TableMissing => f.write_str("  - the table is not there"),
            Difference::TableDormant => f.write_str("  + the table is switched off: flags dormant"),
            Difference::Fingerprint { meant, found } => {
                write!(f, "  - comment \"{meant}\"")?;
                match found {
                    Some(found) => write!(f, "\n  + comment \"{found}\""),
                    None => f.write_str("\n  + no comment"),
                }
            }
            Difference::ChainMissing { .. } => f.write_str("    - the chain is not there"),
            Difference::ChainChanged { meant, found, .. } => write!(f, "    - {meant}\n    + {found}"),
            Difference::ChainUnexpected { found, .. } => write!(f, "    + the chain was not meant: {found}"),
            Difference::RuleMissing { position, rule, meant, .. } => {
                write!(f, "    - {position}: {meant}  [{rule}]")
            }
            Difference::RuleChanged { position, rule, meant, found, .. } => {
                write!(f, "    - {position}: {meant}  [{rule}]\n    + {position}: {found}")
            }
            Difference::RuleUnexpected { position, found, .. } => write!(f, "    + {position}: {found}"),
            Difference::RuleMoved { rule, text, meant, found, .. } => {
                write!(f, "    ~ {meant} stands at {found}: {text}  [{rule}]")
            }
            Difference::TooManyRules { beyond } => write!(f, "  + {beyond} more rules, not looked at"),
        }
    }
}

impl Difference {
    /// The chain it is about, where it is about one.
    pub fn chain(&self) -> Option<&str> {
        match self {
            Difference::TableMissing
            | Difference::TableDormant
            | Difference::Fingerprint { .. }
            | Difference::TooManyRules { .. } => None,
            Difference::ChainMissing { chain }
            | Difference::ChainChanged { chain, .. }
            | Difference::ChainUnexpected { chain, .. }
            | Difference::RuleMissing { chain, .. }
            | Difference::RuleChanged { chain, .. }
            | Difference::RuleUnexpected { chain, .. }
            | Difference::RuleMoved { chain, .. } => Some(chain),
        }
    }
}
