//! What the status of policies and exemptions says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use meshward_control::hooks::Fault;
use meshward_control::scan::Saved;
use meshward_control::status::{Facts, Verdict, exemption, policy};
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn object() -> Value {
    json!({
        "metadata": {"generation": 4},
        "spec": {"reason": "r", "expires": "2027-01-01T00:00:00Z", "entries": [
            {"containers": {"names": ["istio-init"]}, "allow": [
                {"control": "Capabilities"},
                {"control": "Running as Non-root user"},
                {"control": "Seccomp", "field": "spec.initContainers[*].securityContext.seccompProfile.type",
                 "values": ["unset"]},
            ]},
        ]},
    })
}

fn saved() -> Saved {
    let field = |name: &str, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
        BTreeMap::from([(name.to_owned(), values)])
    };
    let capabilities = "spec.initContainers[*].securityContext.capabilities.add";
    let seccomp = "spec.initContainers[*].securityContext.seccompProfile.type";
    Saved {
        pods: 12,
        newest: 1_796_000_000,
        needed: BTreeMap::from([
            ((0, 0), field(capabilities, &["NET_ADMIN", "NET_RAW"])),
            ((0, 2), field(seccomp, &["unset"])),
        ]),
    }
}

#[test]
fn exemptions() {
    let facts = Facts { expires: true, saved: Some(saved()), ..Facts::default() };
    let mut object = object();
    let first = exemption(&object, &facts, at(100));
    insta::assert_snapshot!("exemption", serde_json::to_string_pretty(&first).unwrap());

    // The same facts later are the same status, though the newest pod is gone.
    object["status"] = first.clone();
    let older = Facts { saved: Some(Saved { newest: 5, ..saved() }), ..facts.clone() };
    assert_eq!(exemption(&object, &older, at(200)), first);

    let expired =
        exemption(&object, &Facts { expired: true, saved: Some(Saved::default()), ..facts }, at(300));
    let told = |name: &str| expired.pointer(name).cloned().unwrap_or_default();
    assert_eq!(
        (told("/conditions/0/status"), told("/conditions/0/reason")),
        (json!("False"), json!("Expired"))
    );
    assert_eq!(told("/conditions/0/lastTransitionTime"), json!("1970-01-01T00:05:00Z"));
    assert_eq!(
        (told("/expired"), told("/podsSaved"), told("/noLongerNeeded")),
        (json!(true), json!(0), Value::Null)
    );
}

#[test]
fn what_is_not_known_is_not_told() {
    let unknown = exemption(&object(), &Facts::default(), at(0));
    assert!(unknown.get("podsSaved").is_none() && unknown.get("noLongerNeeded").is_none(), "{unknown}");
    let errors = vec!["spec.entries[0].allow[0].control: unknown".to_owned()];
    let invalid = exemption(&object(), &Facts { errors, earlier: true, ..Facts::default() }, at(0));
    let message = invalid.pointer("/conditions/0/message").and_then(Value::as_str).unwrap();
    assert_eq!(message, "spec.entries[0].allow[0].control: unknown; an earlier version stays in force");
}

#[test]
fn policies() {
    let object = json!({
        "metadata": {"generation": 2, "annotations": {"pod-policies.kyverno.io/autogen-controllers": "Deployment,CronJob"}},
        "spec": {"rules": [
            {"name": "a", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
             "validate": {"message": "m", "pattern": {"spec": {"hostNetwork": false}}}},
            {"name": "b", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "mutate": {"patchStrategicMerge": {}}},
        ]},
    });
    let verdict = Verdict { unsupported: vec!["b (mutate)".into()], ..Verdict::default() };
    let status = policy(&object, &verdict, at(0));
    insta::assert_snapshot!("policy", serde_json::to_string_pretty(&status).unwrap());
    let fault = |at: usize, message: &str| Fault {
        field: format!("spec.webhookConfiguration.matchConditions[{at}].expression"),
        message: message.to_owned(),
    };
    let refused = vec![fault(0, "Invalid value: \"(\""), fault(2, "Required value")];
    let refused = policy(&object, &Verdict { refused, ..Verdict::default() }, at(0));
    assert_eq!((&refused["ready"], &refused["conditions"][0]["status"]), (&json!(false), &json!("False")));
    assert_eq!(
        refused["conditions"][0]["message"],
        "no request is judged, the API server refuses the match conditions: \
         spec.webhookConfiguration.matchConditions[0].expression: Invalid value: \"(\"; \
         spec.webhookConfiguration.matchConditions[2].expression: Required value"
    );
    // The API server takes messages of 32 KiB.
    let many: Vec<Fault> = (0..64).map(|at| fault(at, &"x".repeat(1024))).collect();
    let many = policy(&object, &Verdict { refused: many, ..Verdict::default() }, at(0));
    assert!(many["conditions"][0]["message"].as_str().unwrap().len() < 16 << 10);
    let failed =
        policy(&object, &Verdict { errors: vec!["spec.rules: none".into()], ..Verdict::default() }, at(0));
    assert_eq!(failed.pointer("/conditions/0/reason"), Some(&json!("Failed")));
}
