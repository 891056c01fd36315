//! What exemptions take out, and why others do not apply.

use crate::table::{only, pod, rows, text};
use meshward_policy::exemption::{Exemption, Who, apply, near_misses};
use meshward_policy::go::time::Moment;
use meshward_policy::pss::{Level, Version, evaluate, extract};
use serde_json::{Value, json};

pub(crate) const NOW: Moment = Moment { seconds: 1_760_000_000, nanoseconds: 0, offset: 0 };

/// An exemption of the namespace `prod` from a part of its spec.
pub(crate) fn read(spec: &Value) -> Exemption {
    let mut spec = spec.clone();
    spec["reason"] = json!("a case");
    let document = json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "metadata": {"name": "e", "namespace": "prod"},
        "spec": spec,
    });
    Exemption::parse(&document).unwrap_or_else(|errors| panic!("{document}: {errors:?}"))
}

/// What is left at restricted, in words.
pub(crate) fn left(object: &Value, namespace: &str, exemptions: &[Exemption]) -> Vec<String> {
    let pod = extract(object).unwrap().unwrap();
    let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
    apply(&mut results, &pod, &Who::of(&pod, namespace), exemptions, NOW);
    let mut left = Vec::new();
    for result in &results {
        for finding in &result.findings {
            let value = finding.value.map_or("unset".into(), |_| finding.value_text());
            left.push(format!("{} {} {value}", result.check.id, finding.path()));
        }
    }
    left
}

#[test]
fn take_out_only_what_they_say() {
    for (place, row) in rows("exemptions") {
        only(&row, &["name", "namespace", "exemptions", "pod", "left", "near"], &place);
        let name = format!("{place}, {}", text(&row, "name"));
        let namespace = if text(&row, "namespace").is_empty() { "prod" } else { text(&row, "namespace") };
        let exemptions: Vec<Exemption> = row["exemptions"].as_array().unwrap().iter().map(read).collect();
        let object = pod(&row["pod"]);
        assert_eq!(json!(left(&object, namespace, &exemptions)), row["left"], "{name}");
        let Some(expected) = row.get("near") else { continue };
        let pod = extract(&object).unwrap().unwrap();
        let who = Who::of(&pod, namespace);
        let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
        apply(&mut results, &pod, &who, &exemptions, NOW);
        let first = results.iter().find(|result| !result.findings.is_empty()).unwrap();
        let near = near_misses(first.check, &first.findings[0], &pod, &who, &exemptions, NOW);
        let parts: Vec<String> = near[0].misses.iter().map(|miss| miss.part.to_string()).collect();
        assert_eq!(json!(parts), *expected, "{name}: {near:?}");
        assert!(near.iter().flat_map(|near| &near.misses).all(|miss| !miss.wanted.is_empty()), "{name}");
    }
}
