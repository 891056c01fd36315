//! What was found out about one object, by a request or by the scan. Reports, Events, the status of policies and
//! exemptions and the metrics are views of it, so that they cannot disagree.

use std::sync::Arc;

use meshward_policy::kyverno::policy::{Action, RuleReport};
use serde_json::Value;

use crate::live::Origin;

/// The object that results are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// As the object names it, such as `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Its name; empty where the API server has not made one up yet.
    pub name: String,
    /// Its uid; empty where it has none yet.
    pub uid: String,
}

impl Subject {
    /// Reads it from an object. What is missing is empty.
    pub fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
        }
    }
}

impl Subject {
    /// The same with what is not known of it taken from the `scope` of its report; `None` if that does not say it either.
    #[must_use]
    pub fn completed(&self, report: Option<&Value>) -> Option<Self> {
        if !self.kind.is_empty() {
            return Some(self.clone());
        }
        let scope = Self::of(&serde_json::json!({
            "apiVersion": report?.pointer("/scope/apiVersion")?, "kind": report?.pointer("/scope/kind")?,
            "metadata": report?.get("scope")?,
        }));
        let whole = !scope.kind.is_empty() && !scope.name.is_empty();
        whole.then(|| Self { uid: self.uid.clone(), namespace: self.namespace.clone(), ..scope })
    }
}

/// How something came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Process {
    /// A request asked.
    Admission,
    /// The scan looked.
    Scan,
}

/// What a policy said.
#[derive(Debug, Clone)]
pub struct PolicyOutcome {
    /// The policy.
    pub policy: Arc<Origin>,
    /// What each of its rules said.
    pub rules: Vec<(RuleReport, Action)>,
    /// Whether that refused the request.
    pub blocked: bool,
}

/// A finding of Pod Security that an exemption took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptionUse {
    /// The exemption.
    pub exemption: Arc<Origin>,
    /// The check whose finding it was, such as `capabilities_baseline`.
    pub check: &'static str,
}

/// Everything about one object.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The object.
    pub subject: Subject,
    /// How it came to be known.
    pub process: Process,
    /// `CREATE` and so on; of a scan empty.
    pub operation: String,
    /// What policies said; those that are not about the object are not there.
    pub policies: Vec<PolicyOutcome>,
    /// What exemptions took out.
    pub exemptions: Vec<ExemptionUse>,
}
