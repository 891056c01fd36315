//! `Exemption`, `ClusterExemption` and `MeshPreset`.

use meshward_policy::exemption::{GROUP, Kind, VERSION, schema};
use serde_json::{Map, Value, json};

use crate::structural::structural;
use crate::{Column, Names, column, columns, object_schema, wide};

const COLUMNS: &[Column] = &[
    column("Ready", r#".status.conditions[?(@.type=="Ready")].status"#, "string"),
    column("Saved", ".status.podsSaved", "integer"),
    column("Last used", ".status.lastUsed", "date"),
    column("Owner", ".spec.owner", "string"),
    // Not of type date: kubectl cannot show one that is still to come.
    column("Expires", ".spec.expires", "string"),
    wide("Reason", ".spec.reason", "string"),
    wide("Message", r#".status.conditions[?(@.type=="Ready")].message"#, "string"),
    column("Age", ".metadata.creationTimestamp", "date"),
];

const PRESET: Column = column("Preset", ".spec.preset", "string");

pub(crate) fn definitions() -> Vec<Value> {
    [Kind::Exemption, Kind::ClusterExemption, Kind::MeshPreset].map(definition).into()
}

fn definition(kind: Kind) -> Value {
    let (plural, short, about) = match kind {
        Kind::Exemption => (
            "exemptions",
            "exm",
            "What one container of this namespace may although Pod Security forbids it.",
        ),
        Kind::ClusterExemption => (
            "clusterexemptions",
            "cexm",
            "What one container of the named namespaces may although Pod Security forbids it.",
        ),
        Kind::MeshPreset => (
            "meshpresets",
            "mpre",
            "What the init container of a mesh may in the named namespaces, in exactly the shape that the mesh gives it.",
        ),
    };
    let names = Names {
        group: GROUP,
        kind: kind.as_str(),
        plural,
        short,
        category: Some("meshward"),
        namespaced: kind == Kind::Exemption,
    };
    let mut shown = columns(COLUMNS);
    if let (Kind::MeshPreset, Some(list)) = (kind, shown.as_array_mut()) {
        list.splice(0..0, columns(&[PRESET]).as_array().cloned().unwrap_or_default());
    }
    let properties =
        Map::from_iter([("spec".to_owned(), spec(kind)), ("status".to_owned(), crate::status::schema())]);
    names.definition(vec![json!({
        "name": VERSION, "served": true, "storage": true,
        "subresources": {"status": {}},
        "additionalPrinterColumns": shown,
        "schema": {"openAPIV3Schema": object_schema(about, properties, &["spec"])},
    })])
}

/// The spec of a kind, with what the types do not say.
fn spec(kind: Kind) -> Value {
    let mut spec = schema(kind);
    spec["description"] = "What is allowed, to whom, why, and until when.".into();
    structural(&mut spec);
    if kind == Kind::Exemption {
        spec["x-kubernetes-validations"] = json!([{
            "rule": "!has(self.subjects) || !has(self.subjects.namespaces)",
            "message": "an Exemption is about its own namespace only; a ClusterExemption names namespaces",
            "fieldPath": ".subjects.namespaces",
            "reason": "FieldValueForbidden",
        }]);
    } else {
        if let Some(required) = spec["required"].as_array_mut()
            && !required.contains(&json!("subjects"))
        {
            required.push("subjects".into());
        }
        let subjects = &mut spec["properties"]["subjects"];
        subjects["required"] = json!(["namespaces"]);
        subjects["properties"]["namespaces"]["minItems"] = json!(1);
    }
    spec
}
