//! What the node agent tells about one pod: the value behind the annotation `meshward.dev/status`, the list on the
//! agent's admin socket and `meshward status`. Writer and readers share it, so they cannot drift apart.

use serde::{Deserialize, Serialize};

/// The annotation, written through `pods/status`. It informs people; it is never read back as evidence.
pub const STATUS_ANNOTATION: &str = "meshward.dev/status";
/// The pod condition.
pub const CONDITION: &str = "meshward.dev/Redirected";

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It wants rules, and its network namespace is not known yet.
    Waiting,
    /// Its rules are in force and proven; the gate is open.
    Redirected,
    /// It wants no rules; the gate is open.
    Nothing,
    /// What it asks for is invalid; nothing was programmed, the gate stays closed.
    Refused,
    /// The rules could not be put in force; tried again.
    Failed,
}

impl Phase {
    /// All of them, for tables and metrics.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Redirected, Self::Nothing, Self::Refused, Self::Failed];

    /// The name in JSON, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Redirected => "redirected",
            Self::Nothing => "nothing",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// One pod of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodRecord {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// Where it stands.
    pub phase: Phase,
    /// Why, for a person; one line.
    pub reason: String,
    /// Name of the mesh, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// Id of its sandbox in the container runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Path and identity of its network namespace: `/run/netns/cni-… (net:[4026532281])`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Fingerprint of the rules in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// `nft`, `iptables-nft` or `iptables-legacy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Whether the table is locked against others.
    #[serde(default)]
    pub locked: bool,
    /// What located the pod: `nri`, `cri`, `cni` or `proc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether the rules were found in force rather than written.
    #[serde(default)]
    pub adopted: bool,
    /// When the rules were last put in force or found so (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How often somebody else's change was put right.
    #[serde(default)]
    pub repairs: u64,
    /// What is allowed and yet surely not meant; foreign chains on our hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The value of the annotation [`STATUS_ANNOTATION`]: what of a [`PodRecord`] a reader of the pod needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Where the pod stands.
    pub phase: Phase,
    /// Why; one line.
    pub reason: String,
    /// Name of the mesh, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// Fingerprint of the rules in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Id of the sandbox that they are in force in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// When they were put in force or found so (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// The answer of `GET /v1/pods` on the agent's admin socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// The node's name.
    pub node: String,
    /// The agent's version.
    pub version: String,
    /// Whether every required condition holds.
    pub ready: bool,
    /// What readiness is made of.
    pub conditions: Vec<ConditionStatus>,
    /// The pods that the agent knows, by namespace and name.
    pub pods: Vec<PodRecord>,
}

/// One condition of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionStatus {
    /// Its name.
    pub name: String,
    /// Whether readiness needs it.
    pub required: bool,
    /// Whether it holds.
    pub holds: bool,
    /// Why not; empty when it holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
