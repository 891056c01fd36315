use super::super::{Action, FailurePolicy, Policy, RuleResult, Status};
use serde_json::{Value, json};

fn policy(spec: Value, validate: Value) -> Value {
    let mut spec = spec;
    spec["rules"] = json!([{
        "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate,
    }]);
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"}, "spec": spec})
}

fn deny(more: Value) -> Value {
    let mut validate = more;
    validate["deny"] = json!({});
    validate
}

/// The policy's part, the rule's part, the namespace with its labels, and the action.
#[test]
fn the_nearest_action_counts() {
    let red = json!({"matchLabels": {"team": "red"}});
    let (enforce, audit) = (json!("Enforce"), json!("audit"));
    let cases = [
        (json!({}), json!({}), "a", json!(null), Action::Audit),
        (json!({"validationFailureAction": enforce}), json!({}), "a", json!(null), Action::Enforce),
        (
            json!({"validationFailureAction": enforce}),
            json!({"failureAction": audit}),
            "a",
            json!(null),
            Action::Audit,
        ),
        (
            json!({"validationFailureActionOverrides": [{"action": enforce, "namespaces": ["prod-*"]}]}),
            json!({}),
            "prod-1",
            json!(null),
            Action::Enforce,
        ),
        (
            json!({"validationFailureActionOverrides": [{"action": enforce, "namespaces": ["prod-*"]}]}),
            json!({}),
            "dev",
            json!(null),
            Action::Audit,
        ),
        (
            json!({"validationFailureActionOverrides": [{"action": enforce, "namespaces": ["prod-*"]}]}),
            json!({"failureAction": audit}),
            "prod-1",
            json!(null),
            Action::Audit,
        ),
        (
            json!({}),
            json!({"failureAction": audit, "failureActionOverrides": [{"action": enforce, "namespaceSelector": red}]}),
            "a",
            json!({"team": "red"}),
            Action::Enforce,
        ),
        (
            json!({}),
            json!({"failureActionOverrides": [{"action": enforce, "namespaceSelector": red, "namespaces": ["b"]}]}),
            "a",
            json!({"team": "red"}),
            Action::Audit,
        ),
        (
            json!({}),
            json!({"failureActionOverrides": [{"action": enforce}]}),
            "a",
            json!(null),
            Action::Enforce,
        ),
        // The first that fits counts.
        (
            json!({}),
            json!({"failureActionOverrides": [{"action": audit, "namespaces": ["a"]}, {"action": enforce}]}),
            "a",
            json!(null),
            Action::Audit,
        ),
    ];
    for (spec, validate, namespace, labels, expected) in cases {
        let document = policy(spec, deny(validate));
        let compiled = Policy::compile(&document).unwrap();
        for rule in ["r", "autogen-r", "autogen-cronjob-r"] {
            assert_eq!(compiled.action(rule, namespace, &labels), expected, "{document} {rule}");
        }
    }
}

#[test]
fn failures_and_errors_block_where_they_should() {
    let result = |status| RuleResult { policy: "p".into(), rule: "r".into(), status, message: "m".into() };
    let blocks = |spec: Value, status| {
        let compiled = Policy::compile(&policy(spec, deny(json!({})))).unwrap();
        compiled.blocks(&[result(status)], "a", &Value::Null)
    };
    let enforce = json!({"validationFailureAction": "Enforce"});
    assert!(blocks(enforce.clone(), Status::Fail) && !blocks(json!({}), Status::Fail));
    assert!(!blocks(enforce.clone(), Status::Skip) && !blocks(enforce, Status::Pass));
    assert!(blocks(json!({}), Status::Error) && !blocks(json!({"failurePolicy": "Ignore"}), Status::Error));
    let webhook = json!({"webhookConfiguration": {"failurePolicy": "Ignore", "timeoutSeconds": 5}});
    let compiled = Policy::compile(&policy(webhook, deny(json!({})))).unwrap();
    assert_eq!(compiled.settings().failure_policy, FailurePolicy::Ignore);
    assert_eq!(compiled.settings().timeout_seconds, Some(5));
}

#[test]
fn warnings_are_told_where_they_are_asked_for() {
    let result = |rule: &str, status| RuleResult {
        policy: "p".into(),
        rule: rule.into(),
        status,
        message: "m".into(),
    };
    let results = [result("a", Status::Fail), result("b", Status::Skip), result("c", Status::Pass)];
    let warnings = |spec: Value| Policy::compile(&policy(spec, deny(json!({})))).unwrap().warnings(&results);
    assert_eq!(warnings(json!({"emitWarning": true})), ["policy p.a: m", "policy p.c: m"]);
    assert!(warnings(json!({})).is_empty());
}

#[test]
fn refuses_settings_that_mean_nothing() {
    let cases = [
        (json!({"validationFailureAction": "Enfore"}), json!({}), "spec.validationFailureAction"),
        (json!({}), json!({"failureAction": "deny"}), "spec.rules[0].validate.failureAction"),
        (json!({"applyRules": "Some"}), json!({}), "spec.applyRules"),
        (json!({"background": "yes"}), json!({}), "spec.background"),
        (json!({"background": false, "admission": false}), json!({}), "spec.admission"),
        (json!({"failurePolicy": "Retry"}), json!({}), "spec.failurePolicy"),
        (json!({"webhookTimeoutSeconds": 31}), json!({}), "spec.webhookConfiguration.timeoutSeconds"),
        (
            json!({"validationFailureActionOverrides": [{"action": "Enforce", "namespaces": "a"}]}),
            json!({}),
            "spec.validationFailureActionOverrides[0].namespaces",
        ),
    ];
    for (spec, validate, path) in cases {
        let errors = Policy::compile(&policy(spec, deny(validate))).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), [path]);
    }
    let mut twice = policy(json!({}), deny(json!({})));
    let rule = twice["spec"]["rules"][0].clone();
    twice["spec"]["rules"] = json!([rule, rule]);
    assert_eq!(Policy::compile(&twice).unwrap_err()[0].path, "spec.rules[1].name");
}

#[test]
fn what_is_matched_by_cel_is_unsupported_and_never_evaluated() {
    let conditions =
        json!({"webhookConfiguration": {"matchConditions": [{"name": "c", "expression": "true"}]}});
    let conditional = policy(conditions, deny(json!({})));
    let compiled = Policy::compile(&conditional).unwrap();
    assert_eq!(compiled.unsupported()[0].what, "webhookConfiguration.matchConditions");
    assert_eq!(compiled.rule_names().count(), 0);
    // An API server looks at them before it asks; nobody does before a scan.
    let asked = Policy::compile_for_webhook(&conditional).unwrap();
    assert_eq!((asked.unsupported().len(), asked.rule_names().count(), asked.in_background()), (0, 3, false));
    assert_eq!(asked.settings().match_conditions, [json!({"name": "c", "expression": "true"})]);
}

#[test]
fn match_conditions_have_a_name_of_their_own_and_an_expression() {
    let refused = |conditions: Value| {
        let spec = json!({"webhookConfiguration": {"matchConditions": conditions}});
        let errors = Policy::compile(&policy(spec, deny(json!({})))).unwrap_err();
        let paths = errors.into_iter().map(|error| error.path);
        paths
            .map(|path| path.replace("spec.webhookConfiguration.matchConditions", ""))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let one = json!({"name": "c", "expression": "true"});
    assert_eq!(refused(json!("true")), "");
    assert_eq!(
        refused(json!([{"name": "c"}, {"expression": "true"}, {"name": "d", "expression": " "}])),
        "[0].expression [1].name [2].expression"
    );
    assert_eq!(refused(json!([one, one])), "[1].name");
    assert_eq!(
        refused(Value::Array(
            (0..65).map(|n| json!({"name": n.to_string(), "expression": "true"})).collect()
        )),
        ""
    );
}

#[test]
fn properties_of_reports_have_their_variables_replaced() {
    let mut document = policy(json!({}), deny(json!({})));
    document["spec"]["rules"][0]["reportProperties"] =
        json!({"name": "{{ request.object.metadata.name }}", "failMessage": "own words"});
    let compiled = Policy::compile(&document).unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
    let reports = compiled.report(&super::super::Input::created(&pod, &crate::jmespath::Offline));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(reports[0].properties, [pair("name", "web"), pair("failMessage", "own words")]);
    assert_eq!(reports[0].message(), "own words");
}
