//! The rule set: what a mesh wants of one network namespace, as plain data in its final order. It is shaped as
//! netfilter is (tables, chains, rules), so that every renderer is a walk over it and none has to decide anything.

mod rule;
mod text;
mod validate;

pub use rule::{Action, CtState, CtStates, Match, Rule, Side};
pub use validate::{InvalidRuleSet, LONGEST_TEXT, MOST_CHAINS, MOST_RULES, ReadRuleSet};

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::net::Family;

/// A mesh whose rules we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mesh {
    /// Istio sidecars (and the seed project, istio-pod-network-controller)
    Istio,
    /// Linkerd
    Linkerd,
    /// Kuma and Kong Mesh
    Kuma,
    /// Consul service mesh with transparent proxy
    Consul,
}

impl Mesh {
    /// Every mesh, in the order they are listed to people.
    pub const ALL: [Mesh; 4] = [Mesh::Istio, Mesh::Linkerd, Mesh::Kuma, Mesh::Consul];

    /// The lower-case name used on the command line, in tables and in annotations.
    pub fn name(self) -> &'static str {
        match self {
            Mesh::Istio => "istio",
            Mesh::Linkerd => "linkerd",
            Mesh::Kuma => "kuma",
            Mesh::Consul => "consul",
        }
    }

    /// The nftables table (family inet) that holds this mesh's rules.
    pub fn table_name(self) -> String {
        format!("meshward_{}", self.name())
    }
}

impl fmt::Display for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Everything one mesh wants in one network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// Whose rules these are.
    pub mesh: Mesh,
    /// Whether IPv6 is captured. When it is not, IPv6 packets pass as if there were no rules.
    pub ipv6: bool,
    /// At most one of each kind, in the order packets meet them: raw, mangle, nat.
    pub tables: Vec<Table>,
    /// Policy routing that the rules depend on (TPROXY only).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub routing: Option<PolicyRouting>,
    /// Addresses the rules expect on the loopback interface (Istio's `::6` when IPv6 is captured).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub loopback_addresses: Vec<Ipv6Addr>,
}

/// `ip rule fwmark MARK lookup TABLE` and `ip route local default dev lo table TABLE`, in each captured family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRouting {
    /// The packet mark that selects the table.
    pub mark: u32,
    /// The routing table's number.
    pub table: u32,
}

/// The three places of the packet's way where meshes have rules, named as iptables names its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Before connection tracking (priority -300)
    Raw,
    /// Marks, drops, TPROXY (priority -150)
    Mangle,
    /// Destination NAT of a connection's first packet (priority -100)
    Nat,
}

impl TableKind {
    /// The name of the iptables table, also the prefix of our nft chain names.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Raw => "raw",
            TableKind::Mangle => "mangle",
            TableKind::Nat => "nat",
        }
    }
}

/// The chains of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Which one.
    pub kind: TableKind,
    /// Base chains first (prerouting, output), then the chains they jump to.
    pub chains: Vec<Chain>,
}

/// Where a base chain is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// Packets that arrive, from the network or over loopback
    Prerouting,
    /// Packets that processes of this namespace send
    Output,
}

impl Hook {
    /// The base chain's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Prerouting => "prerouting",
            Hook::Output => "output",
        }
    }
}

/// Name of a chain within its table: `in_redirect`. Renderers add their prefix (`nat_in_redirect`,
/// `MESHWARD_ISTIO_IN_REDIRECT`); iptables allows 28 characters in all, which leaves 11 here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainName(Cow<'static, str>);

impl ChainName {
    /// A name known when this program was written.
    pub const fn new(name: &'static str) -> Self {
        assert!(name.len() <= 11, "iptables chain names are at most 28 characters with our prefix");
        Self(Cow::Borrowed(name))
    }

    /// The name without any prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChainName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        (plain && name.len() <= 11)
            .then_some(Self(Cow::Owned(name)))
            .ok_or("a chain name is 1 to 11 lower-case letters and underscores")
    }
}

impl From<ChainName> for String {
    fn from(name: ChainName) -> Self {
        name.0.into_owned()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Rules that are tried in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its name; for a base chain the hook's name.
    pub name: ChainName,
    /// Where it is attached; none for a chain that is only jumped to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hook: Option<Hook>,
    /// The rules, first to last.
    pub rules: Vec<Rule>,
}

impl Table {
    /// The chain of this name.
    pub fn chain(&self, name: &ChainName) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == *name)
    }

    /// The base chain on `hook`.
    pub fn base_chain(&self, hook: Hook) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.hook == Some(hook))
    }
}

impl RuleSet {
    /// The table of this kind.
    pub fn table(&self, kind: TableKind) -> Option<&Table> {
        self.tables.iter().find(|table| table.kind == kind)
    }

    /// Every rule with the table and chain it stands in.
    pub fn rules(&self) -> impl Iterator<Item = (&Table, &Chain, &Rule)> {
        self.tables
            .iter()
            .flat_map(|table| table.chains.iter().map(move |chain| (table, chain)))
            .flat_map(|(table, chain)| chain.rules.iter().map(move |rule| (table, chain, rule)))
    }

    /// The families whose packets the rules look at.
    pub fn families(&self) -> &'static [Family] {
        if self.ipv6 { &Family::BOTH } else { &Family::BOTH[..1] }
    }
}
