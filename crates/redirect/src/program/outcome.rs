//! What came of programming and checking, for logs, events and people.

use std::fmt;

use super::{Backend, Older, RoutingItem};
use crate::iptables;
use crate::nft::{self, ChainPlace, ForeignChain, NfSocket};

/// Rules that are in force.
#[derive(Debug)]
pub struct Programmed {
    /// The backend that was used, never [`Backend::Auto`].
    pub backend: Backend,
    /// Whether rules were written; `false` when they were in force already.
    pub changed: bool,
    /// What was added besides rules.
    pub routing: Vec<RoutingItem>,
    /// Whether our table is locked.
    pub lock: LockState,
    /// What others have on the same hooks and could decide before our rules.
    pub foreign: Vec<String>,
    /// What the mesh's own set-up had left.
    pub older: Vec<Older>,
    /// The nf_tables socket that was opened in the namespace (nft backend only, and only when the caller brought
    /// none). A lock lasts as long as it is held, and only it can change or remove the locked table: bring it with
    /// [`super::Target`]. After a replacement, closing it takes some 11 ms while the kernel frees the old rules, so
    /// drop it off the hot path.
    pub socket: Option<NfSocket>,
}

/// Who may change our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockState {
    /// Whoever has NET_ADMIN in the namespace
    Open,
    /// Only the socket that was returned
    Held,
    /// Only the socket of another process of ours
    HeldByOther,
    /// Whoever has NET_ADMIN: a lock was wanted and this kernel has none
    Unavailable,
}

impl fmt::Display for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockState::Open => "not locked",
            LockState::Held => "locked",
            LockState::HeldByOther => "locked by another process",
            LockState::Unavailable => "not locked: this kernel has no lasting table owner (Linux 6.9)",
        })
    }
}

/// How a namespace differs from what is wanted: at least one of the two parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The backend that was looked at, never [`Backend::Auto`].
    pub backend: Backend,
    /// Rules that differ.
    pub rules: Option<RulesDrift>,
    /// Routing and addresses that are missing.
    pub routing: Vec<RoutingItem>,
}

/// Rules that differ, as the backend sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulesDrift {
    /// nf_tables
    Nft(nft::Drift),
    /// Either variant of iptables
    Iptables(Vec<iptables::Difference>),
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        match &self.rules {
            Some(RulesDrift::Nft(drift)) => lines.push(drift.to_string()),
            Some(RulesDrift::Iptables(found)) => {
                lines.push(self.backend.to_string());
                lines.extend(found.iter().map(|one| format!("  {one}")));
            }
            None => {}
        }
        lines.extend(self.routing.iter().map(|item| format!("missing {item}")));
        f.write_str(&lines.join("\n"))
    }
}

/// Nat base chains of others, for people.
pub(crate) fn foreign_chains(chains: &[ChainPlace]) -> Vec<String> {
    chains.iter().filter_map(ChainPlace::foreign).map(told).collect()
}

fn told(chain: ForeignChain) -> String {
    let family = match chain.family {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => "other",
    };
    let ForeignChain { table, chain, hook, priority, .. } = chain;
    format!("chain {chain} of table {family} {table} (nat, {}, priority {priority})", hook.name())
}
