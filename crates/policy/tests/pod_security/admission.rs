//! The admission's tables: labels, configuration, requests about pods, controllers and namespaces.

use std::collections::BTreeMap;

use meshward_policy::psa::{
    Admission, Configuration, Labels, Operation, PREFIX, Policy, Request, Response, Review, describe,
};
use serde_json::{Value, json};

use crate::cases::{rows, table, text};

fn configuration(case: &Value) -> Configuration {
    let mut file =
        json!({"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration"});
    for section in ["defaults", "exemptions"] {
        file[section] = case.get("configuration").unwrap_or(case).get(section).cloned().unwrap_or_default();
    }
    Configuration::from_value(&file).unwrap()
}

fn labels(case: &Value) -> BTreeMap<String, String> {
    let labels = case.get("labels").and_then(Value::as_object).into_iter().flatten();
    labels.map(|(key, value)| (format!("{PREFIX}{key}"), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn labels_mean_what_their_table_says() {
    for case in table("psa/labels.yaml") {
        let name = text(&case, "name");
        let (policy, errors) = Policy::from_labels(&labels(&case), &configuration(&case).defaults, PREFIX);
        for (mode, policy) in [("enforce", policy.enforce), ("audit", policy.audit), ("warn", policy.warn)] {
            assert_eq!(policy.to_string(), text(&case, mode), "{name}: {mode}");
        }
        assert_eq!(describe(&errors), text(&case, "errors"), "{name}");
    }
}

#[test]
fn own_prefix_is_read_in_place_of_upstreams() {
    let labels: BTreeMap<String, String> =
        [("meshward.dev/enforce", "baseline"), ("pod-security.kubernetes.io/enforce", "restricted")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    let (policy, errors) = Policy::from_labels(&labels, &Policy::default(), "meshward.dev/");
    assert_eq!((policy.enforce.to_string().as_str(), errors.len()), ("baseline:latest", 0));
}

#[test]
fn configurations_read_as_their_table_says() {
    for case in table("psa/configuration.yaml") {
        let name = text(&case, "name");
        match Configuration::from_value(&case["file"]) {
            Ok(configuration) => {
                assert_eq!(configuration.defaults.enforce.to_string(), text(&case, "enforce"), "{name}");
            }
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                assert_eq!(json!(errors), case["errors"], "{name}");
            }
        }
    }
}

#[test]
fn requests_are_answered_as_their_tables_say() {
    for file in ["psa/pods.yaml", "psa/controllers.yaml", "psa/namespaces.yaml"] {
        for case in table(file) {
            let response = answer(&case);
            assert_eq!(summary(&response), expectation(&case), "{file}: {}", text(&case, "name"));
        }
    }
}

fn answer(case: &Value) -> Response {
    let admission = Admission::new(configuration(case));
    let labels = labels(case);
    let namespace_labels: Result<&dyn Labels, &str> = match case.get("lookup").and_then(Value::as_str) {
        Some(error) => Err(error),
        None => Ok(&labels),
    };
    let request = &case["request"];
    let request = Request {
        operation: match text(request, "operation") {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            _ => Operation::Other,
        },
        group: text(request, "group"),
        resource: text(request, "resource"),
        subresource: text(request, "subresource"),
        kind: text(request, "kind"),
        namespace: text(request, "namespace"),
        name: text(request, "name"),
        username: text(request, "username"),
        object: case.get("object"),
        old_object: case.get("old"),
        namespace_labels,
    };
    match admission.review(&request) {
        Review::Done(response) => response,
        Review::DryRun(run) => {
            let pods: Vec<&Value> = rows(case, "pods").iter().collect();
            let mut left = case["expire_after"].as_u64().unwrap_or(u64::MAX);
            run.answer(&admission, &pods, 0, || {
                left -= 1;
                left == 0
            })
        }
    }
}

fn summary(response: &Response) -> Value {
    let refusal = response.refusal.as_ref();
    json!({
        "code": refusal.map(|status| status.code),
        "reason": refusal.map(|status| status.reason),
        "message": refusal.map(|status| status.message.as_str()),
        "warnings": response.warnings,
        "audit": response.audit_annotations,
    })
}

fn expectation(case: &Value) -> Value {
    let expect = &case["expect"];
    json!({
        "code": expect["code"],
        "reason": expect["reason"],
        "message": expect["message"],
        "warnings": expect.get("warnings").cloned().unwrap_or(json!([])),
        "audit": expect.get("audit").cloned().unwrap_or(json!({})),
    })
}

#[test]
fn at_most_3000_pods_are_checked() {
    let case = json!({
        "request": {"operation": "UPDATE", "resource": "namespaces", "kind": "Namespace", "namespace": "n"},
        "old": {"metadata": {"name": "n"}},
        "object": {"metadata": {"name": "n", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
        "pods": vec![json!({"metadata": {"name": "p"}, "spec": {"hostPID": true}}); 3001],
    });
    assert_eq!(
        answer(&case).warnings,
        [
            "new PodSecurity enforce level only checked against the first 3000 of 3001 existing pods",
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "p (and 2999 other pods): host namespaces",
        ]
    );
}
