//! The status of our kinds as it is written; its schema is in the definitions of the kinds.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition as all of Kubernetes has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When the status changed last.
    pub last_transition_time: String,
    /// The generation of the object that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl Condition {
    /// A condition; one of the same status that the object has already keeps its time.
    pub fn new(
        kind: &str,
        status: bool,
        reason: &str,
        message: String,
        object: &Value,
        at: Timestamp,
    ) -> Self {
        let status = if status { "True" } else { "False" };
        let list = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let is =
            |condition: &Value, name: &str, value: &str| condition.get(name).is_some_and(|has| has == value);
        let same = list.filter(|one| is(one, "type", kind) && is(one, "status", status));
        let before = same.filter_map(|one| one.get("lastTransitionTime")?.as_str()).next();
        let now = || at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: before.map_or_else(now, str::to_owned),
            observed_generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
        }
    }
}

/// `status` of an Exemption, a ClusterExemption or a MeshPreset. What is not known is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExemptionStatus {
    /// The `metadata.generation` that this is about.
    pub observed_generation: i64,
    /// `Ready`, and `Expired` where it can expire.
    pub conditions: Vec<Condition>,
    /// Whether it has no effect any more.
    pub expired: bool,
    /// Pods that would have been found at fault without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods_saved: Option<u64>,
    /// When the newest pod was made that it allowed something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// What it allows and no pod needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_longer_needed: Option<Vec<String>>,
    /// What it allows more widely than any pod needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_broad: Option<Vec<String>>,
}
