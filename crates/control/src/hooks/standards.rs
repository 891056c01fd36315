//! Which pods and namespaces Pod Security is asked about. A selector of namespaces has no "or", so each label has a
//! webhook of its own for the namespaces that have none of the labels before it: every namespace with a label is in
//! exactly one, and one without is in none.

use meshward_policy::exemption::GROUP;
use meshward_policy::psa::{PREFIX, Policy};
use meshward_policy::pss::Level;
use serde_json::{Value, json};

use super::rules::rule;
use crate::settings::FailureMode;

/// What namespaces without labels are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unlabelled {
    /// Nothing.
    #[default]
    Nothing,
    /// Audit or warn.
    Advice,
    /// Enforce.
    Enforcement,
}

impl Unlabelled {
    /// By the defaults of a configuration.
    pub fn of(defaults: &Policy) -> Self {
        match defaults.enforce.level {
            _ if defaults.fully_privileged() => Self::Nothing,
            Level::Privileged => Self::Advice,
            _ => Self::Enforcement,
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standards {
    /// Read `pod-security.kubernetes.io/*` too.
    pub pod_security_labels: bool,
    /// Namespaces without labels.
    pub unlabelled: Unlabelled,
}

/// One webhook of the standards.
pub(super) struct Webhook {
    pub(super) name: String,
    pub(super) path: &'static str,
    pub(super) failure: FailureMode,
    pub(super) rules: Value,
    /// What namespaces must have beyond not being excluded.
    pub(super) selected: Vec<Value>,
    /// `matchConditions`.
    pub(super) conditions: Vec<Value>,
    pub(super) timeout: i32,
}

const ENFORCE: &str = "/validate/standards/enforce";
const ADVISE: &str = "/validate/standards/advise";
/// As kube-apiserver's own webhook of Pod Security has it.
const TIMEOUT: i32 = 5;

impl Standards {
    fn prefixes(self) -> impl Iterator<Item = (&'static str, String)> {
        let theirs = self.pod_security_labels.then(|| ("pod-security", PREFIX.to_owned()));
        std::iter::once(("meshward", format!("{GROUP}/"))).chain(theirs)
    }

    /// The labels of some modes, with a word for each.
    fn labels(self, modes: &[&str]) -> Vec<(String, String)> {
        let of = |(word, prefix): (&'static str, String)| {
            let name = move |mode: &&str| (format!("{mode}.{word}"), format!("{prefix}{mode}"));
            modes.iter().map(name).collect::<Vec<_>>()
        };
        self.prefixes().flat_map(of).collect()
    }

    pub(super) fn webhooks(self) -> Vec<Webhook> {
        [self.namespaces()].into_iter().chain(self.pods()).chain(self.controllers()).collect()
    }

    fn pods(self) -> Vec<Webhook> {
        if self.unlabelled == Unlabelled::Enforcement {
            return vec![webhook("pods", ENFORCE, FailureMode::Fail, pods(), Vec::new())];
        }
        // Those that enforce first: a webhook of namespaces that only warn need not stop anything.
        let (enforced, advised) = (self.labels(&["enforce"]), self.labels(&["audit", "warn"]));
        let labels = [enforced.clone(), advised].concat();
        let of = |at: usize| {
            let failure = if at < enforced.len() { FailureMode::Fail } else { FailureMode::Ignore };
            webhook(&format!("pods.{}", labels[at].0), ENFORCE, failure, pods(), first(&labels, at))
        };
        match self.unlabelled {
            Unlabelled::Nothing => (0..labels.len()).map(of).collect(),
            _ => {
                let rest = webhook("pods", ENFORCE, FailureMode::Ignore, pods(), without(&enforced));
                (0..enforced.len()).map(of).chain([rest]).collect()
            }
        }
    }

    /// They are only advised about.
    fn controllers(self) -> Vec<Webhook> {
        let labels = self.labels(&["audit", "warn"]);
        let of = |name: &str, selected| webhook(name, ADVISE, FailureMode::Ignore, controllers(), selected);
        if self.unlabelled != Unlabelled::Nothing {
            return vec![of("controllers", Vec::new())];
        }
        let named = labels.iter().enumerate();
        named.map(|(at, (name, _))| of(&format!("controllers.{name}"), first(&labels, at))).collect()
    }

    /// Namespaces are asked about themselves when they carry a label, valid or not.
    fn namespaces(self) -> Webhook {
        let modes = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
        let labels: Vec<String> = self.labels(&modes).into_iter().map(|(_, label)| label).collect();
        let expression = format!(
            "has(object.metadata.labels) && object.metadata.labels.exists(label, label in {})",
            json!(labels)
        );
        let rules = json!([rule("", "v1", &["CREATE", "UPDATE"], ["namespaces"], "Cluster")]);
        let labelled = json!({"name": "labelled", "expression": expression});
        let conditions = if self.unlabelled == Unlabelled::Nothing { vec![labelled] } else { Vec::new() };
        Webhook { conditions, ..webhook("namespaces", ENFORCE, FailureMode::Fail, rules, Vec::new()) }
    }
}

fn webhook(
    name: &str,
    path: &'static str,
    failure: FailureMode,
    rules: Value,
    selected: Vec<Value>,
) -> Webhook {
    Webhook {
        name: name.to_owned(),
        path,
        failure,
        rules,
        selected,
        conditions: Vec::new(),
        timeout: TIMEOUT,
    }
}

/// Selects namespaces that have the label at a place and none of those before it.
fn first(labels: &[(String, String)], at: usize) -> Vec<Value> {
    let here = json!({"key": labels[at].1, "operator": "Exists"});
    std::iter::once(here).chain(without(&labels[..at])).collect()
}

/// Selects namespaces that have none of the labels.
fn without(labels: &[(String, String)]) -> Vec<Value> {
    labels.iter().map(|(_, label)| json!({"key": label, "operator": "DoesNotExist"})).collect()
}

fn pods() -> Value {
    json!([
        rule("", "v1", &["CREATE", "UPDATE"], ["pods"], "Namespaced"),
        rule("", "v1", &["UPDATE"], ["pods/ephemeralcontainers", "pods/resize"], "Namespaced"),
    ])
}

fn controllers() -> Value {
    let operations = ["CREATE", "UPDATE"];
    let of = |group, resources: &[&'static str]| {
        rule(group, "v1", &operations, resources.iter().copied(), "Namespaced")
    };
    json!([
        of("", &["podtemplates", "replicationcontrollers"]),
        of("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
        of("batch", &["cronjobs", "jobs"]),
    ])
}
