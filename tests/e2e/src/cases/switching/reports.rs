//! What the PolicyReports of the case's objects say, and whose they are.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use meshward_e2e::Bed;
use serde_json::{Value, json};

use super::answers::ordered;

/// The result of each rule, in the order of the policies' names: baseline, legacy, onrequest, restricted, shop/owner.
const EXPECTED: [(&str, &[&str]); 9] = [
    ("Pod good", &["pass", "pass", "pass"]),
    ("Pod loose", &["pass", "warn", "fail"]),
    ("Pod host", &["fail", "warn", "fail"]),
    ("Pod mesh", &["pass", "warn", "fail"]),
    ("Pod agent", &["skip", "warn", "fail"]),
    ("Pod later", &["pass", "fail", "warn", "fail"]),
    ("Pod ancient", &["skip", "warn"]),
    ("Deployment web", &["fail", "warn", "fail"]),
    ("CronJob nightly", &["fail", "warn", "fail"]),
];
/// The Deployment's ReplicaSet and its pod, whose names are made up.
const MADE: usize = 2;

/// Reports by their object.
pub(super) type Reports = BTreeMap<String, Value>;

/// Those of this tool.
pub(super) async fn of(bed: &Bed, tool: &str) -> Result<Reports> {
    let mut all = Reports::new();
    for namespace in ["shop", "legacy"] {
        for report in bed.controller().list("wgpolicyk8s.io/v1alpha2", "PolicyReport", namespace).await? {
            let text = |field: &str| report["scope"][field].as_str().unwrap_or_default();
            if report["metadata"]["labels"]["app.kubernetes.io/managed-by"] == tool {
                all.insert(format!("{} {}", text("kind"), text("name")), told(&report));
            }
        }
    }
    Ok(all)
}

/// The same, once they are about every object and have the expected results.
pub(super) async fn expected(bed: &Bed, tool: &str) -> Result<Reports> {
    let all = of(bed, tool).await?;
    ensure!(all.len() == EXPECTED.len() + MADE, "there are reports of {:?}", all.keys());
    for (object, wanted) in EXPECTED {
        let report = all.get(object).with_context(|| format!("no report of {object}"))?;
        let results = report["results"].as_array().into_iter().flatten();
        let words: Vec<&str> = results.filter_map(|result| result["result"].as_str()).collect();
        ensure!(words == wanted, "{object} has {words:?}");
    }
    Ok(all)
}

/// What of them ours tells as well: nothing about ReplicaSets, whose Deployments and pods have reports.
pub(super) fn of_ours(reports: &Reports) -> Reports {
    let ours = |(object, _): &(&String, &Value)| !object.starts_with("ReplicaSet ");
    reports.iter().filter(ours).map(|(object, report)| (object.clone(), report.clone())).collect()
}

/// What of them can be found out again: nothing that only requests have shown.
pub(super) fn again(mut reports: Reports) -> Reports {
    for report in reports.values_mut() {
        let all = report["results"].as_array().cloned().unwrap_or_default();
        let requested = |one: &Value| one["properties"]["process"] == "admission review";
        let (requested, scanned): (Vec<_>, Vec<_>) = all.into_iter().partition(requested);
        for word in requested.iter().filter_map(|one| one["result"].as_str()) {
            report["summary"][word] = (report["summary"][word].as_i64().unwrap_or_default() - 1).into();
        }
        report["results"] = scanned.into();
    }
    reports
}

/// Fails unless both say the same.
pub(super) fn same(before: &Reports, now: &Reports) -> Result<()> {
    for (object, report) in now {
        let was = before.get(object).unwrap_or(&Value::Null);
        ensure!(was == report, "the report of {object}: {report:#}\nand it was\n{was:#}");
    }
    ensure!(before.len() == now.len(), "there are reports of {:?}", now.keys());
    Ok(())
}

/// Everything that is told but when; where Kyverno's order is left to chance, in the order of the alphabet.
fn told(report: &Value) -> Value {
    let mut results = report["results"].clone();
    for result in results.as_array_mut().into_iter().flatten() {
        if let Some(fields) = result.as_object_mut() {
            fields.remove("timestamp");
        }
        if let Some(message) = result["message"].as_str() {
            result["message"] = ordered(message).into();
        }
        let Some(properties) = result["properties"].as_object_mut() else { continue };
        if let Some(controls) = properties.get("controls").and_then(Value::as_str) {
            let mut controls: Vec<&str> = controls.split(',').collect();
            controls.sort_unstable();
            let controls = json!(controls);
            properties.insert("controls".to_owned(), controls);
        }
        let controls = properties.get("controlsJSON").and_then(Value::as_str);
        if let Some(mut controls) = controls.and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok()) {
            controls.sort_by_key(|control| control["ID"].to_string());
            properties.insert("controlsJSON".to_owned(), controls.into());
        }
    }
    let metadata = &report["metadata"];
    json!({
        "name": metadata["name"], "ownerReferences": metadata["ownerReferences"], "scope": report["scope"],
        "summary": report["summary"], "results": results,
    })
}
