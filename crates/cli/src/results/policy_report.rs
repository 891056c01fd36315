//! PolicyReports (Kubernetes policy working group) as `kyverno apply --policy-report` prints them: one merged report of
//! all cluster-wide policies, and one for each policy of a namespace.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Listed, ObjectReference, Results, Totals, Verdict};

/// What Kyverno 1.19 prints.
const API_VERSION: &str = "openreports.io/v1alpha1";

/// Kyverno calls a namespace's reports by the name they had in `wgpolicyk8s.io`.
fn kind(namespaced: bool) -> &'static str {
    if namespaced { "PolicyReport" } else { "ClusterReport" }
}

/// The reports, cluster-wide first. `seconds` is the time of the results, since 1970. Keys are in alphabetical order,
/// as `sigs.k8s.io/yaml` writes them.
pub(crate) fn policy_reports(results: &Results, seconds: i64) -> Vec<Value> {
    let mut cluster = Vec::new();
    let mut namespaced: BTreeMap<(&str, &str), Vec<(&Listed, &Verdict)>> = BTreeMap::new();
    for (listed, verdict) in results.verdicts() {
        match verdict.policy.split_once('/') {
            Some(key) => namespaced.entry(key).or_default().push((listed, verdict)),
            None => cluster.push((listed, verdict)),
        }
    }
    let mut reports = Vec::new();
    if !cluster.is_empty() {
        reports.push(report(json!({ "name": "merged" }), &cluster, seconds));
    }
    for ((namespace, name), verdicts) in namespaced {
        let metadata = json!({ "name": name, "namespace": namespace });
        reports.push(report(metadata, &verdicts, seconds));
    }
    reports
}

fn report(metadata: Value, verdicts: &[(&Listed, &Verdict)], seconds: i64) -> Value {
    let mut totals = Totals::default();
    verdicts.iter().for_each(|(_, verdict)| totals.add(verdict.status));
    let results: Vec<Value> =
        verdicts.iter().map(|(listed, verdict)| result(listed, verdict, seconds)).collect();
    let Totals { pass, fail, warn, error, skip } = totals;
    let mut report = json!({
        "apiVersion": API_VERSION,
        "kind": kind(metadata.get("namespace").is_some()),
        "metadata": metadata,
        "results": results,
    });
    // Kyverno leaves the source of the whole empty.
    report["source"] = "".into();
    report["summary"] = json!({ "error": error, "fail": fail, "pass": pass, "skip": skip, "warn": warn });
    report
}

fn result(listed: &Listed, verdict: &Verdict, seconds: i64) -> Value {
    let mut map = Map::new();
    let mut insert = |key: &str, value: Value| {
        let empty = value.as_str().is_some_and(str::is_empty);
        if !empty && !value.is_null() {
            map.insert(key.to_owned(), value);
        }
    };
    insert("category", verdict.category.as_str().into());
    insert("message", verdict.message.as_str().into());
    insert("policy", verdict.policy.as_str().into());
    insert("properties", if verdict.properties.is_empty() { Value::Null } else { json!(verdict.properties) });
    insert("resources", json!([reference(&listed.object)]));
    insert("result", verdict.status.as_str().into());
    insert("rule", verdict.rule.as_str().into());
    insert("scored", if verdict.scored { true.into() } else { Value::Null });
    insert("severity", verdict.severity.map_or(Value::Null, |severity| severity.as_str().into()));
    insert("source", "kyverno".into());
    insert("timestamp", json!({ "nanos": 0, "seconds": seconds }));
    Value::Object(map)
}

/// A `core/v1` ObjectReference, which leaves out what is empty.
fn reference(object: &ObjectReference) -> Value {
    let fields = [
        ("apiVersion", &object.api_version),
        ("kind", &object.kind),
        ("name", &object.name),
        ("namespace", &object.namespace),
        ("resourceVersion", &object.resource_version),
        ("uid", &object.uid),
    ];
    let set = fields.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(set.map(|(key, value)| (key.to_owned(), value.as_str().into())).collect())
}
