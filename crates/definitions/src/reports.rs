//! `PolicyReport` and `ClusterPolicyReport` (wgpolicyk8s.io/v1alpha2), and `Report` and `ClusterReport`
//! (openreports.io/v1alpha1), which are to take their place, for clusters where no other tool brought them.

use serde_json::{Map, Value, json};

use crate::{Column, Names, column, columns, object_schema, wide};

/// What a report is about.
const SCOPE: [Column; 2] = [column("Kind", ".scope.kind", "string"), column("Name", ".scope.name", "string")];
const OPEN_SCOPE: [Column; 2] =
    [wide("Kind", ".scope.kind", "string"), wide("Name", ".scope.name", "string")];

/// The columns behind it.
const COLUMNS: [Column; 6] = [
    column("Pass", ".summary.pass", "integer"),
    column("Fail", ".summary.fail", "integer"),
    column("Warn", ".summary.warn", "integer"),
    column("Error", ".summary.error", "integer"),
    column("Skip", ".summary.skip", "integer"),
    column("Age", ".metadata.creationTimestamp", "date"),
];

/// An API of reports.
struct Api {
    group: &'static str,
    version: &'static str,
    scope: [Column; 2],
}

const POLICY: Api = Api { group: "wgpolicyk8s.io", version: "v1alpha2", scope: SCOPE };
const OPEN: Api = Api { group: "openreports.io", version: "v1alpha1", scope: OPEN_SCOPE };

pub(crate) fn definitions() -> Vec<Value> {
    vec![
        definition(&POLICY, "PolicyReport", "policyreports", "polr", true),
        definition(&POLICY, "ClusterPolicyReport", "clusterpolicyreports", "cpolr", false),
    ]
}

pub(crate) fn open_definitions() -> Vec<Value> {
    vec![
        definition(&OPEN, "Report", "reports", "reps", true),
        definition(&OPEN, "ClusterReport", "clusterreports", "creps", false),
    ]
}

fn definition(
    api: &Api,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    namespaced: bool,
) -> Value {
    let names = Names { group: api.group, kind, plural, short, category: None, namespaced };
    let mut properties = Map::from_iter([
        ("scope".to_owned(), reference("The object that the results are about.")),
        ("scopeSelector".to_owned(), open("The objects that the results are about, by their labels.")),
        ("summary".to_owned(), summary()),
        ("results".to_owned(), json!({"type": "array", "items": result()})),
    ]);
    if api.group == OPEN.group {
        properties.insert("source".into(), json!({"type": "string", "description": "Who says it."}));
        properties.insert("configuration".into(), open("How reports are kept small."));
    }
    let about = "What policies say about an object.";
    names.definition(vec![json!({
        "name": api.version, "served": true, "storage": true,
        "additionalPrinterColumns": columns(api.scope.iter().chain(&COLUMNS)),
        "schema": {"openAPIV3Schema": object_schema(about, properties, &[])},
    })])
}

fn open(about: &str) -> Value {
    json!({"type": "object", "description": about, "x-kubernetes-preserve-unknown-fields": true})
}

fn reference(about: &str) -> Value {
    let mut schema = open(about);
    let texts = ["apiVersion", "kind", "namespace", "name", "uid", "resourceVersion", "fieldPath"];
    schema["properties"] = texts.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
    schema
}

fn summary() -> Value {
    let mut schema = json!({"type": "object", "description": "How many results there are of each kind."});
    let kinds = ["pass", "fail", "warn", "error", "skip"];
    schema["properties"] =
        kinds.iter().map(|kind| ((*kind).to_owned(), json!({"type": "integer"}))).collect();
    schema
}

/// One result. Other tools write reports as well, so that only what all of them agree on is demanded.
fn result() -> Value {
    let mut schema = open("What one rule says.");
    schema["required"] = json!(["policy"]);
    schema["properties"] = json!({
        "source": {"type": "string", "description": "Who says it."},
        "policy": {"type": "string", "description": "The policy; of one in a namespace, with it and a slash before."},
        "rule": {"type": "string"},
        "category": {"type": "string"},
        "severity": {"type": "string", "enum": ["critical", "high", "low", "medium", "info"]},
        "result": {"type": "string", "enum": ["pass", "fail", "warn", "error", "skip"]},
        "scored": {"type": "boolean", "description": "Whether it counts."},
        "message": {"type": "string"},
        "timestamp": {
            "type": "object",
            "required": ["seconds", "nanos"],
            "properties": {
                "seconds": {"type": "integer", "format": "int64"},
                "nanos": {"type": "integer", "format": "int32"},
            },
        },
        "properties": {"type": "object", "additionalProperties": {"type": "string"}},
        "resources": {"type": "array", "items": reference("The object that the result is about.")},
        "resourceSelector": open("The objects that the result is about, by their labels."),
    });
    schema
}
