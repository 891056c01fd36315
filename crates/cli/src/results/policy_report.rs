//! PolicyReports (Kubernetes policy working group) as `kyverno apply --policy-report` prints them: one merged report of
//! all cluster-wide policies, and one for each policy of a namespace.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Listed, ObjectReference, Results, Totals, Verdict};

/// Whose reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `wgpolicyk8s.io/v1alpha2`, what clusters have
    PolicyReport,
    /// `openreports.io/v1alpha1`, what Kyverno 1.19 prints
    OpenReports,
}

impl Api {
    fn version(self) -> &'static str {
        match self {
            Api::PolicyReport => "wgpolicyk8s.io/v1alpha2",
            Api::OpenReports => "openreports.io/v1alpha1",
        }
    }

    /// Kyverno calls the second one's namespaced reports by the first one's name.
    fn kind(self, namespaced: bool) -> &'static str {
        match (self, namespaced) {
            (_, true) => "PolicyReport",
            (Api::PolicyReport, false) => "ClusterPolicyReport",
            (Api::OpenReports, false) => "ClusterReport",
        }
    }
}

/// The reports, cluster-wide first. `seconds` is the time of the results, since 1970. Keys are in alphabetical order,
/// as `sigs.k8s.io/yaml` writes them.
pub(crate) fn policy_reports(results: &Results, api: Api, seconds: i64) -> Vec<Value> {
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
        reports.push(report(api, json!({ "name": "merged" }), &cluster, seconds));
    }
    for ((namespace, name), verdicts) in namespaced {
        let metadata = json!({ "name": name, "namespace": namespace });
        reports.push(report(api, metadata, &verdicts, seconds));
    }
    reports
}

fn report(api: Api, metadata: Value, verdicts: &[(&Listed, &Verdict)], seconds: i64) -> Value {
    let mut totals = Totals::default();
    verdicts.iter().for_each(|(_, verdict)| totals.add(verdict.status));
    let results: Vec<Value> =
        verdicts.iter().map(|(listed, verdict)| result(listed, verdict, seconds)).collect();
    let Totals { pass, fail, warn, error, skip } = totals;
    let mut report = json!({
        "apiVersion": api.version(),
        "kind": api.kind(metadata.get("namespace").is_some()),
        "metadata": metadata,
        "results": results,
    });
    // Only the newer type has a source of the whole, which Kyverno leaves empty.
    if api == Api::OpenReports {
        report["source"] = "".into();
    }
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
