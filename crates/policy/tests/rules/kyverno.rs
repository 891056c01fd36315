//! What Kyverno says about rules, messages included.

use crate::table::{Request, only, rows, text};
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Exception, Policy};
use serde_json::{Value, json};

fn policy(row: &Value) -> Value {
    let namespace = text(row, "namespace");
    let mut document = json!({
        "apiVersion": "kyverno.io/v1", "kind": if namespace.is_empty() { "ClusterPolicy" } else { "Policy" },
        "metadata": {"name": "p", "annotations": row["annotations"]}, "spec": row.get("spec").cloned().unwrap_or(json!({})),
    });
    if !namespace.is_empty() {
        document["metadata"]["namespace"] = json!(namespace);
    }
    document["spec"]["rules"] = row["rules"].clone();
    document
}

fn exceptions(row: &Value) -> Vec<Exception> {
    let list = row.get("exceptions").and_then(Value::as_array).into_iter().flatten().enumerate();
    list.map(|(index, exception)| {
        let mut document = exception.clone();
        document["apiVersion"] = json!("kyverno.io/v2");
        document["kind"] = json!("PolicyException");
        document["metadata"] = json!({"name": format!("e{index}"), "namespace": "ns"});
        Exception::parse(&document).unwrap()
    })
    .collect()
}

/// Kyverno gives failed checks in no order (quirk Q13).
fn ordered(mut result: Value) -> Value {
    let message = text(&result, "message").to_owned();
    let (sentence, checks) = message.split_once("(Forbidden").unwrap_or((&message, ""));
    let mut checks: Vec<&str> = checks.split("(Forbidden").collect();
    checks.sort_unstable();
    result["message"] = json!([sentence, checks]);
    result
}

#[test]
fn says_what_kyverno_says() {
    let mut count = 0;
    for (place, row) in rows("kyverno") {
        let known = ["name", "namespace", "annotations", "spec", "rules", "exceptions", "object", "results"];
        only(&row, &known, &place);
        let name = format!("{place}, {}", text(&row, "name"));
        let compiled = Policy::compile(&policy(&row)).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let (exceptions, user) = (exceptions(&row), UserInfo::default());
        let request = Request { exceptions: &exceptions, ..Request::create(&row["object"], &user) };
        let found: Vec<Value> = compiled
            .evaluate(&request.input())
            .into_iter()
            .map(|r| json!({"rule": &*r.rule, "result": r.status.as_str(), "message": r.message}))
            .collect();
        let expected = row["results"].as_array().unwrap();
        assert_eq!(found.len(), expected.len(), "{name}: {found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(ordered(found.clone()), ordered(expected.clone()), "{name}");
            count += 1;
        }
    }
    assert!(count > 40, "{count}");
}
