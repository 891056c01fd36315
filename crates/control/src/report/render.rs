//! A report as the API server takes it, and what is read back from one.

use serde_json::{Value, json};

use super::api::Form;
use super::content::Content;
use super::line::Line;
use crate::observed::Subject;

/// Our name as a writer of fields.
pub const MANAGER: &str = "meshward-control";
/// The label by which every tool marks its reports.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "meshward");
/// What the scan's results hash to, so that nothing has to be read to know that they did not change.
pub const CONTENT: &str = "meshward.dev/content";
/// How many results came from requests.
pub(super) const ADMITTED: &str = "meshward.dev/admission-results";
/// How many results were left out.
pub const TRUNCATED: &str = "meshward.dev/results-left-out";

/// The report of an object. `scan` is the hash of the scan's results among the content.
pub fn render(subject: &Subject, content: &Content, scan: &str, form: Form) -> Value {
    let namespaced = !subject.namespace.is_empty();
    let mut annotations = json!({ CONTENT: scan });
    let admitted = content.lines().iter().filter(|line| line.is_of_admission()).count();
    if admitted > 0 {
        annotations[ADMITTED] = admitted.to_string().into();
    }
    if content.left_out() > 0 {
        annotations[TRUNCATED] = content.left_out().to_string().into();
    }
    let owner = json!({
        "apiVersion": subject.api_version, "kind": subject.kind, "name": subject.name, "uid": subject.uid,
    });
    let mut scope = owner.clone();
    let mut metadata = json!({
        "name": subject.uid, "labels": {MANAGED_BY.0: MANAGED_BY.1}, "annotations": annotations,
        "ownerReferences": [owner],
    });
    if namespaced {
        scope["namespace"] = subject.namespace.as_str().into();
        metadata["namespace"] = subject.namespace.as_str().into();
    }
    json!({
        "apiVersion": format!("{}/{}", form.group(), form.version()),
        "kind": form.kind(namespaced),
        "metadata": metadata,
        "scope": scope,
        "summary": content.summary(),
        "results": content.lines(),
    })
}

/// What is kept of a report that is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    /// Its results; those that cannot be read are left out, and so written anew.
    pub lines: Vec<Line>,
    /// The hash that was written with it; of a report of somebody else there is none.
    pub scan: String,
}

impl Held {
    /// Reads a report, whoever wrote it.
    pub fn of(report: &Value) -> Self {
        let results = report.get("results").and_then(Value::as_array).into_iter().flatten();
        let scan = report.pointer("/metadata/annotations").and_then(|all| all.get(CONTENT)?.as_str());
        let managed = report.pointer("/metadata/labels").and_then(|all| all.get(MANAGED_BY.0)?.as_str());
        Self {
            // A list would be read as well, as the fields in order.
            lines: results
                .filter(|result| result.is_object())
                .filter_map(|result| serde_json::from_value(result.clone()).ok())
                .collect(),
            scan: scan.filter(|_| managed == Some(MANAGED_BY.1)).unwrap_or_default().to_owned(),
        }
    }
}
