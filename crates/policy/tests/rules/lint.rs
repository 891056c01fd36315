//! What is found in documents, one case a row; every lint has a row where it is found and one where it nearly is.

use std::collections::BTreeSet;

use crate::table::{only, rows, text};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use meshward_policy::lint::{Finding, Given, all, lint};
use serde_json::{Value, json};

/// A machine whose clock stands still.
pub(crate) struct Still;

impl Environment for Still {
    fn now(&self) -> Option<Moment> {
        Some(crate::exemptions::NOW)
    }
}

fn list(row: &Value, key: &str) -> Vec<Value> {
    row.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn found(row: &Value, documents: &[Value]) -> Vec<Finding> {
    let resources = list(row, "resources");
    lint(&Given { documents, resources: &resources, environment: &Still })
}

/// Each row names one lint; `at` is where it is found in the documents `wrong`. In `right` it is not found.
#[test]
fn every_lint_is_found_and_nearly_found() {
    let mut ids: BTreeSet<&str> = all().map(|lint| lint.id).collect();
    for (place, row) in rows("lint") {
        only(&row, &["lint", "at", "wrong", "right", "resources", "fix"], &place);
        let (id, at) = (text(&row, "lint"), text(&row, "at"));
        let name = format!("{place}, {id}");
        let of = |findings: &[Finding]| -> Vec<String> {
            findings.iter().filter(|f| f.lint.id == id).map(|f| f.path.clone()).collect()
        };
        let wrong = list(&row, "wrong");
        let findings = found(&row, &wrong);
        assert_eq!(of(&findings), [at], "{name}: {findings:?}");
        let finding = findings.iter().find(|finding| finding.lint.id == id).unwrap();
        assert!(!finding.message.is_empty() && !finding.instead.is_empty(), "{name}");
        if let Some(fix) = row.get("fix") {
            assert_eq!(finding.fix.as_ref(), Some(fix), "{name}");
        }
        let right = list(&row, "right");
        assert!(!right.is_empty(), "{name}: no near miss");
        let findings = found(&row, &right);
        assert_eq!(of(&findings), Vec::<String>::new(), "{name}: {findings:?}");
        ids.remove(id);
    }
    assert_eq!(ids, BTreeSet::new(), "lints without a case");
}

/// Whatever stands in a document, the lints end and point into it.
#[test]
fn any_document_ends() {
    let hostile = [
        json!(null),
        json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "spec": 3}),
        json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "spec": {"rules": [null, 3, {"validate": {"podSecurity": {"exclude": [[], {"images": ["*".repeat(300)]}]}}}]}}),
        json!({"apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "spec": {"entries": [{"allow": [{}]}, 1]}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": {"pod-security.kubernetes.io/enforce": {}}}}),
        json!({"apiVersion": "kyverno.io/v2", "kind": "PolicyException", "spec": {"match": {"any": 1}, "exceptions": [{}]}}),
    ];
    let given = Given { documents: &hostile, resources: &hostile, environment: &Still };
    for finding in lint(&given) {
        assert!(
            finding.document < hostile.len()
                && (finding.pointer.is_empty() || finding.pointer.starts_with('/'))
        );
    }
}
