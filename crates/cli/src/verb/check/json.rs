//! The JSON of `meshward check`: one entry an object, whether it is allowed, and why not.

use serde_json::{Value, json};

use crate::results::{FieldValue, Listed, Results, Status, Verdict};

pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

/// The objects. Only where a namespace's labels are asked are there warnings beside the verdict.
pub(super) fn objects(results: &Results, by_namespace: bool) -> Value {
    results.objects.iter().map(|listed| object(listed, by_namespace)).collect()
}

fn object(listed: &Listed, by_namespace: bool) -> Value {
    let of = |status: Status| listed.verdicts.iter().filter(move |verdict| verdict.status == status);
    let allowed = !listed.verdicts.iter().any(|v| matches!(v.status, Status::Fail | Status::Error));
    let exempted: Vec<Value> = listed.verdicts.iter().flat_map(exempted).collect();
    let mut value = json!({
        "file": *listed.object.file,
        "line": listed.object.position.map(|position| position.line),
        "kind": listed.object.kind,
        "namespace": listed.object.namespace,
        "name": listed.object.name,
        "allowed": allowed,
        "violations": of(Status::Fail).map(violation).collect::<Vec<_>>(),
        "exempted": exempted,
    });
    if by_namespace {
        for (key, mode) in [("warnings", "warn"), ("audit", "audit")] {
            let verdicts = of(Status::Warn).filter(|v| v.properties.get("mode").is_some_and(|m| m == mode));
            value[key] = verdicts.map(violation).collect();
        }
    }
    value
}

fn violation(verdict: &Verdict) -> Value {
    json!({
        "check": verdict.rule,
        "control": verdict.control,
        "reason": verdict.properties.get("reason"),
        "detail": verdict.properties.get("detail"),
        "fields": verdict.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn field(field: &FieldValue) -> Value {
    json!({ "path": field.path, "value": field.value })
}

fn exempted(verdict: &Verdict) -> impl Iterator<Item = Value> {
    verdict.exempted.iter().map(|exempted| {
        json!({
            "check": verdict.rule,
            "control": verdict.control,
            "fields": [field(&exempted.field)],
            "by": exempted.by,
            "reason": exempted.reason,
        })
    })
}
