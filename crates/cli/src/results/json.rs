//! The results as a JSON value: an array with one entry an object. YAML is the same value.

use serde_json::{Map, Value, json};

use super::{Exempted, FieldValue, Listed, ObjectReference, Results, Verdict};

/// All objects with all verdicts.
pub(crate) fn to_value(results: &Results) -> Value {
    results.objects.iter().map(object).collect()
}

/// A value as text that people can read too.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn object(listed: &Listed) -> Value {
    let ObjectReference { file, position, api_version, kind, namespace, name, .. } = &listed.object;
    let verdicts: Vec<Value> = listed.verdicts.iter().map(verdict).collect();
    json!({
        "file": **file,
        "line": position.map(|position| position.line),
        "apiVersion": api_version,
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "results": verdicts,
    })
}

fn verdict(verdict: &Verdict) -> Value {
    let mut map = Map::new();
    map.insert("policy".into(), verdict.policy.as_str().into());
    map.insert("rule".into(), verdict.rule.as_str().into());
    if let Some(control) = verdict.control {
        map.insert("control".into(), control.into());
    }
    map.insert("status".into(), verdict.status.as_str().into());
    if let Some(severity) = verdict.severity {
        map.insert("severity".into(), severity.as_str().into());
    }
    if !verdict.category.is_empty() {
        map.insert("category".into(), verdict.category.as_str().into());
    }
    map.insert("message".into(), verdict.message.as_str().into());
    if !verdict.fields.is_empty() {
        map.insert("fields".into(), verdict.fields.iter().map(field).collect());
    }
    if !verdict.exempted.is_empty() {
        map.insert("exempted".into(), verdict.exempted.iter().map(exempted).collect());
    }
    if !verdict.properties.is_empty() {
        map.insert("properties".into(), json!(verdict.properties));
    }
    Value::Object(map)
}

fn field(field: &FieldValue) -> Value {
    let mut value = json!({ "path": field.path, "value": field.value });
    if let Some(position) = field.position {
        value["line"] = position.line.into();
        value["column"] = position.column.into();
    }
    value
}

fn exempted(exempted: &Exempted) -> Value {
    let mut value = field(&exempted.field);
    value["by"] = exempted.by.as_str().into();
    value["reason"] = exempted.reason.as_str().into();
    value
}
