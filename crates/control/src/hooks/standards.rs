//! Which pods and namespaces Pod Security is asked about. A selector of namespaces has no "or", so each label has a
//! webhook of its own for the namespaces that have none of the labels before it: every namespace with a label is in
//! exactly one, and one without is in none.

use meshward_policy::exemption::GROUP;
use meshward_policy::psa::PREFIX;
use serde_json::{Value, json};

use super::rules::rule;
use crate::settings::FailureMode;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standards {
    /// Read `pod-security.kubernetes.io/*` too.
    pub pod_security_labels: bool,
    /// Namespaces without labels are asked for something too, so that every namespace is looked at.
    pub unlabelled: bool,
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
        let mut all = vec![self.namespaces()];
        if self.unlabelled {
            all.push(webhook("pods", ENFORCE, FailureMode::Fail, pods(), Vec::new()));
            all.push(webhook("controllers", ADVISE, FailureMode::Ignore, controllers(), Vec::new()));
            return all;
        }
        let enforced = self.labels(&["enforce"]).len();
        // Those that enforce first: a webhook of namespaces that only warn need not stop anything.
        let labels = [self.labels(&["enforce"]), self.labels(&["audit", "warn"])].concat();
        for (at, (name, _)) in labels.iter().enumerate() {
            let failure = if at < enforced { FailureMode::Fail } else { FailureMode::Ignore };
            all.push(webhook(&format!("pods.{name}"), ENFORCE, failure, pods(), first(&labels, at)));
        }
        let labels = self.labels(&["audit", "warn"]);
        for (at, (name, _)) in labels.iter().enumerate() {
            let (name, selected) = (format!("controllers.{name}"), first(&labels, at));
            all.push(webhook(&name, ADVISE, FailureMode::Ignore, controllers(), selected));
        }
        all
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
        let conditions = vec![json!({"name": "labelled", "expression": expression})];
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
    let expression = |label: &str, operator: &str| json!({"key": label, "operator": operator});
    let earlier = labels[..at].iter().map(|(_, label)| expression(label, "DoesNotExist"));
    std::iter::once(expression(&labels[at].1, "Exists")).chain(earlier).collect()
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
