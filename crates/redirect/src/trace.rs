//! What becomes of one packet: a pure walk through a [`RuleSet`](crate::RuleSet) in the kernel's own order, with
//! every rule the packet met. It answers "why does my traffic not reach the proxy" without a cluster, a pod or a
//! privilege, and it is held to what the kernel does with the same packet (`tests/trace_kernel.rs`).
//!
//! The rules' meaning is that of nf_tables. The iptables backend differs in one place: there a TPROXY rule drops
//! what no transparent socket listens for, where nf_tables goes on to the next rule.

mod chain;
mod explain;
mod matching;
mod packet;
mod spec;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::Serialize;

use crate::ruleset::{ChainName, Hook, TableKind};

pub use packet::{Direction, Environment, Owner, Packet};
pub use spec::{InvalidPacket, PacketSpec};
pub use walk::trace;

/// Rules that cannot be walked; the kernel would not load them either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A jump into a chain that is not there.
    #[error("rule {rule} jumps to chain {chain}, which is not in table {}", table.name())]
    NoChain {
        /// The missing chain.
        chain: ChainName,
        /// The table it should be in.
        table: TableKind,
        /// The rule that jumps.
        rule: Cow<'static, str>,
    },
    /// Jumps nest deeper than the kernel's 16, or go in circles.
    #[error("rule {rule} of chain {chain} jumps deeper than 16 chains")]
    TooDeep {
        /// The chain of the last jump.
        chain: ChainName,
        /// The last jump.
        rule: Cow<'static, str>,
    },
    /// The packet passes more rules than we are willing to list.
    #[error("the packet passes more than 65536 rules")]
    TooLong,
}

/// A packet's way through the rules and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The packet as it was before any rule.
    pub packet: Packet,
    /// What was assumed about it, because nobody said: `uid 1000 (an application)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// What the rules made of it.
    pub verdict: Verdict,
    /// Where it ends.
    pub ending: Ending,
    /// What it carries at its end.
    pub effects: Effects,
    /// Every rule it met and every turn it took, in order.
    pub steps: Vec<Step>,
}

/// What the rules do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Verdict {
    /// It goes where it was sent.
    Untouched,
    /// To a port of the pod; the connection remembers where it was meant to go (`SO_ORIGINAL_DST`).
    Redirected {
        /// The local port.
        port: u16,
        /// The destination before.
        original: SocketAddr,
    },
    /// To another destination; the connection remembers the old one.
    Dnat {
        /// The new destination.
        to: SocketAddr,
        /// The destination before.
        original: SocketAddr,
    },
    /// Unchanged to the proxy's transparent socket.
    Tproxied {
        /// The socket's port.
        port: u16,
    },
    /// A rule discards it.
    Dropped,
}

/// Where a packet ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Ending {
    /// At a socket of the pod.
    Local {
        /// The packet's destination by then.
        to: SocketAddr,
        /// The port of the socket that gets it; differs from the destination's with TPROXY.
        port: u16,
    },
    /// Out of the pod.
    Leaves {
        /// By this interface.
        interface: String,
        /// To here.
        to: SocketAddr,
    },
    /// It came from outside and is for somebody else; pods do not forward unless told to (`ip_forward`).
    Forwarded {
        /// To here.
        to: SocketAddr,
    },
    /// Routing discards it after the rules.
    Discarded {
        /// Why.
        reason: Cow<'static, str>,
    },
    /// A rule dropped it.
    Dropped,
}

/// What the rules left on the packet and its connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// The packet's mark.
    pub mark: u32,
    /// The connection's mark.
    pub connection_mark: u32,
    /// The zone its connection is tracked in, when a rule chose one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<u16>,
    /// Prefixes of the lines it left in the kernel's log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logged: Vec<String>,
}

/// One thing that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Step {
    /// It met a rule.
    Rule(RuleStep),
    /// It took a turn between rules.
    Way {
        /// In words.
        text: Cow<'static, str>,
    },
}

/// A rule that the packet met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleStep {
    /// Where.
    pub hook: Hook,
    /// In the table of this kind.
    pub table: TableKind,
    /// In this chain.
    pub chain: ChainName,
    /// As the chain's first (1), second…
    pub position: usize,
    /// The rule's name.
    pub rule: Cow<'static, str>,
    /// The mesh's option it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<Cow<'static, str>>,
    /// The rule in words.
    pub text: String,
    /// Whether every match held.
    pub matched: bool,
    /// The first match that did not hold, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Why the rule had no effect although it matched (TPROXY without a listener).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_by: Option<Cow<'static, str>>,
    /// Whether a packet that matches goes no further in this chain.
    #[serde(skip)]
    terminal: Terminal,
}

/// What kind of end a rule is for those that match it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    /// None: the chain goes on.
    No,
    /// It lets the packet go on (return, accept).
    Pass,
    /// It rewrites, takes or drops the packet.
    Take,
}

impl Trace {
    /// The rules it met, in order.
    pub fn rules(&self) -> impl Iterator<Item = &RuleStep> {
        self.steps.iter().filter_map(|step| match step {
            Step::Rule(step) => Some(step),
            Step::Way { .. } => None,
        })
    }

    /// The rule that decided: the last one that took the packet, else the one by which it passed. None when the
    /// packet passed because nothing matched.
    pub fn decided_by(&self) -> Option<&RuleStep> {
        let last = |kind: Terminal, nat_only: bool| {
            self.rules()
                .filter(|s| s.matched && s.passed_by.is_none() && s.terminal == kind)
                .filter(|step| !nat_only || step.table == TableKind::Nat)
                .last()
        };
        last(Terminal::Take, false)
            .or_else(|| last(Terminal::Pass, true))
            .or_else(|| last(Terminal::Pass, false))
    }
}
