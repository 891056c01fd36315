//! Policies that are refused as Kyverno refuses them, beside ones that are taken.

use crate::table::{only, rows, text};
use meshward_policy::kyverno::policy::{Policy, PolicyError};
use meshward_policy::kyverno::quirk::Quirks;
use serde_json::{Map, Value, json};

/// The policy of a row.
fn policy(row: &Value) -> Value {
    let kind = row.get("kind").and_then(Value::as_str).unwrap_or("ClusterPolicy");
    let mut rule = json!({
        "name": "r",
        "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "validate": {"message": "m", "pattern": {"metadata": {"name": "?*"}}},
    });
    let mut metadata = json!({"name": "p"});
    let mut spec = json!({});
    for (whole, name) in [(&mut rule, "rule"), (&mut metadata, "metadata"), (&mut spec, "spec")] {
        let members = row.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        members.into_iter().for_each(|(key, value)| whole[key] = value);
    }
    spec["rules"] = json!([rule]);
    json!({"apiVersion": "kyverno.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn matches(errors: &[PolicyError], refused: &Map<String, Value>) -> bool {
    let expected = |error: &PolicyError| {
        refused.get(&error.path).and_then(Value::as_str).is_some_and(|part| error.reason.contains(part))
    };
    !errors.is_empty()
        && errors.iter().all(expected)
        && refused.keys().all(|path| errors.iter().any(|e| e.path == *path))
}

#[test]
fn refuses_what_kyverno_refuses() {
    for (place, row) in rows("refused") {
        only(&row, &["name", "kind", "metadata", "spec", "rule", "refused", "strict"], &place);
        let name = format!("{place}, {}", text(&row, "name"));
        let refused = row.get("refused").and_then(Value::as_object);
        let found = Policy::compile(&policy(&row)).map(|_| ());
        match (found, refused) {
            (Ok(()), None) => {}
            (Err(errors), Some(refused)) if matches(&errors, refused) => {}
            (found, refused) => panic!("{name}: found {found:#?}, expected {refused:?}"),
        }
        // What can be decided in no mode is refused in every mode; the rest is Kyverno's own.
        let strict = Policy::compile_with(&policy(&row), Quirks::STRICT);
        assert_eq!(strict.is_err(), row.get("strict").is_some(), "{name}, strict: {strict:?}");
    }
}
