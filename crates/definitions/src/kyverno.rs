//! Kyverno's policies and exceptions, for clusters where Kyverno is not installed (any more): same names, versions and
//! columns as Kyverno 1.19, and whatever is written is kept. What is in them is checked by the controller, which tells
//! more than a schema can.

use serde_json::{Map, Value, json};

use crate::status::conditions;
use crate::{Column, Names, column, columns, object_schema, wide};

const READY: &str = r#".status.conditions[?(@.type == "Ready")].status"#;
const MESSAGE: &str = r#".status.conditions[?(@.type == "Ready")].message"#;

const POLICY: &[Column] = &[
    column("ADMISSION", ".spec.admission", "boolean"),
    column("BACKGROUND", ".spec.background", "boolean"),
    column("READY", READY, "string"),
    column("AGE", ".metadata.creationTimestamp", "date"),
    wide("FAILURE POLICY", ".spec.failurePolicy", "string"),
    wide("VALIDATE", ".status.rulecount.validate", "integer"),
    wide("MUTATE", ".status.rulecount.mutate", "integer"),
    wide("GENERATE", ".status.rulecount.generate", "integer"),
    wide("VERIFY IMAGES", ".status.rulecount.verifyimages", "integer"),
    column("MESSAGE", MESSAGE, "string"),
];

/// Kyverno has none; ours tell whether the exception counts.
const EXCEPTION: &[Column] = &[
    column("READY", READY, "string"),
    column("AGE", ".metadata.creationTimestamp", "date"),
    column("MESSAGE", MESSAGE, "string"),
];

pub(crate) fn definitions() -> Vec<Value> {
    let policy = "Rules that objects have to follow.";
    vec![
        definition("ClusterPolicy", "clusterpolicies", "cpol", false, &["v1", "v2beta1"], POLICY, policy),
        definition("Policy", "policies", "pol", true, &["v1", "v2beta1"], POLICY, policy),
        definition(
            "PolicyException",
            "policyexceptions",
            "polex",
            true,
            &["v2", "v2beta1"],
            EXCEPTION,
            "Objects that rules of policies are not about.",
        ),
    ]
}

/// The first version is the one that is stored.
fn definition(
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    namespaced: bool,
    versions: &[&str],
    shown: &[Column],
    about: &str,
) -> Value {
    let names = Names { group: "kyverno.io", kind, plural, short, category: Some("kyverno"), namespaced };
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut status = open.clone();
    status["properties"] = json!({"conditions": conditions("Ready: it was read and is in force.")});
    let properties = Map::from_iter([("spec".to_owned(), open), ("status".to_owned(), status)]);
    let version = |(index, name): (usize, &&str)| {
        json!({
            "name": name, "served": true, "storage": index == 0,
            "subresources": {"status": {}},
            "additionalPrinterColumns": columns(shown),
            "schema": {"openAPIV3Schema": object_schema(about, properties.clone(), &["spec"])},
        })
    };
    names.definition(versions.iter().enumerate().map(version).collect())
}
