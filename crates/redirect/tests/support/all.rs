//! What tests share: an evaluator with iptables' semantics, a reader of iptables text, and packets to try.
#![allow(dead_code, unused_imports, unreachable_pub)]

#[path = "iptables_text.rs"]
pub mod iptables_text;
#[path = "lattice.rs"]
pub mod lattice;
#[path = "oracle.rs"]
pub mod oracle;

pub use lattice::difference;
pub use oracle::Chains;

use meshward_redirect::net::Protocol;
use meshward_redirect::{Match, RuleSet, TableKind};

/// Where a rule stood.
#[derive(Debug, Clone)]
pub struct Place {
    pub table: TableKind,
    pub chain: String,
    pub rule: String,
    /// Whether it is for UDP; such rules share their name with one for TCP.
    pub udp: bool,
}

/// Every rule with the rule set that lacks just it.
pub fn without_one(rules: &RuleSet) -> Vec<(Place, RuleSet)> {
    let mut all = Vec::new();
    for (t, table) in rules.tables.iter().enumerate() {
        for (c, chain) in table.chains.iter().enumerate() {
            for r in 0..chain.rules.len() {
                let mut less = rules.clone();
                let removed = less.tables[t].chains[c].rules.remove(r);
                let place = Place {
                    table: table.kind,
                    chain: chain.name.to_string(),
                    rule: removed.name.to_string(),
                    udp: removed
                        .matches
                        .iter()
                        .any(|one| matches!(one, Match::Port { protocol, .. } if *protocol == Protocol::Udp)),
                };
                all.push((place, less));
            }
        }
    }
    all
}
