mod asked;

use super::*;
use crate::jmespath::Offline;
use proptest::prelude::*;
use serde_json::json;

fn policy(validate: Value) -> Value {
    json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
        "spec": {"rules": [{
            "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate,
        }]},
    })
}

struct Request<'a> {
    object: &'a Value,
    old: &'a Value,
    operation: &'a str,
    exceptions: &'a [Exception],
}

fn evaluate(policy: &Value, request: &Request<'_>) -> Vec<(String, Status, String)> {
    let compiled = Policy::compile(policy).unwrap();
    let results = compiled.evaluate(&Input {
        old_object: request.old,
        operation: request.operation,
        variables: &[("request.given".to_owned(), json!("x"))],
        exceptions: request.exceptions,
        ..Input::created(request.object, &Offline)
    });
    results.into_iter().map(|result| (result.rule.to_string(), result.status, result.message)).collect()
}

fn created(policy: &Value, object: &Value) -> Vec<(String, Status, String)> {
    evaluate(policy, &Request { object, old: &Value::Null, operation: "CREATE", exceptions: &[] })
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            "initContainers": [{"name": "init", "image": "mesh/init:1", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}],
            "containers": [{"name": "app", "image": "nginx:latest", "ports": [{"containerPort": 80}]}],
        },
    })
}

/// What `validate` says about the pod.
#[test]
fn says_what_kyverno_says() {
    use Status::{Error, Fail, Pass, Skip};
    let deny = |key: &str, value: &str| json!({"conditions": {"any": [{"key": key, "operator": "Equals", "value": value}]}});
    let cases = [
        (
            json!({"message": "no", "pattern": {"spec": {"hostNetwork": "true"}}}),
            Fail,
            "validation error: no. rule r failed at path /spec/hostNetwork/",
        ),
        (json!({"pattern": {"spec": {"=(hostNetwork)": "true"}}}), Pass, "validation rule 'r' passed."),
        (
            json!({"pattern": {"(spec)": {"x": "y"}}}),
            Skip,
            "conditional anchor mismatch: resource value '<nil>' does not match 'y' at path /spec/x/",
        ),
        (
            json!({"message": "{{ request.object.metadata.name }}!", "pattern": {"spec": {"x": "y"}}}),
            Fail,
            "validation error: web!. rule r failed at path /spec/x/",
        ),
        (
            json!({"message": "{{ request.nothing }}", "pattern": {"spec": {"x": "y"}}}),
            Fail,
            "validation error: variables substitution error in rule r execution error: resource value '<nil>' does not match 'y' at path /spec/x/",
        ),
        (
            json!({"anyPattern": [{"spec": {"x": "y"}}, {"metadata": {"name": "web"}}]}),
            Pass,
            "validation rule 'r' anyPattern[1] passed.",
        ),
        (
            json!({"message": "m", "anyPattern": [{"spec": {"x": "y"}}, {"spec": {"z": "y"}}]}),
            Fail,
            "validation error: m. rule r[0] failed at path /spec/x/ rule r[1] failed at path /spec/z/",
        ),
        (
            json!({"message": "{{ request.object.metadata.name }}", "deny": deny("{{ request.object.metadata.name }}", "web")}),
            Fail,
            "web",
        ),
        (json!({"deny": deny("{{ request.given }}", "x")}), Fail, "validation error: rule r failed"),
        (json!({"deny": deny("{{ request.given }}", "y")}), Pass, "validation rule 'r' passed."),
        (json!({"deny": {}}), Fail, "validation error: rule r failed"),
        (
            json!({"deny": deny("{{ request.object.x }}", "y")}),
            Error,
            "failed to check deny conditions: failed to substitute variables in condition key: failed to resolve request.object.x at path : JMESPath query failed: Unknown key \"x\" in path",
        ),
        (
            json!({"deny": deny("{{ images.containers.app.tag }}", "latest")}),
            Fail,
            "validation error: rule r failed",
        ),
        (
            json!({"foreach": [{"list": "request.object.spec.containers", "pattern": {"image": "!*:latest"}}]}),
            Fail,
            "validation failure: validation error: rule r failed at path /image/",
        ),
        (
            json!({"foreach": [{"list": "request.object.spec.containers", "pattern": {"image": "*"}}]}),
            Pass,
            "rule passed",
        ),
        (
            json!({"foreach": [{"list": "request.object.spec.containers", "elementScope": true, "context": [{"name": "n", "variable": {"jmesPath": "element.name"}}], "deny": deny("{{ n }}", "app")}]}),
            Fail,
            "validation failure: validation error: rule r failed",
        ),
    ];
    for (validate, status, message) in cases {
        let found = created(&policy(validate.clone()), &pod());
        assert_eq!(found, [("r".to_owned(), status, message.to_owned())], "{validate}");
    }
    let vanishes = json!({"foreach": [{"list": "request.object.spec.none", "deny": {}}]});
    assert_eq!(created(&policy(vanishes), &pod()), []);
}

#[test]
fn variables_change_objects() {
    let variables = [
        ("request.object.metadata.annotations.\"a.b/c\"".to_owned(), json!("d")),
        ("request.oldObject.x".to_owned(), json!(1)),
        ("other".to_owned(), json!(2)),
    ];
    let changed = with_variables(&json!({"metadata": {"name": "n"}}), "object", &variables);
    assert_eq!(changed, json!({"metadata": {"name": "n", "annotations": {"a.b/c": "d"}}}));
}

#[test]
fn controllers_are_checked_by_generated_rules() {
    let policy = policy(json!({"pattern": {"spec": {"hostNetwork": "true"}}}));
    let template = json!({"metadata": {}, "spec": pod()["spec"]});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template}});
    let found = created(&policy, &deployment);
    let message = "validation error: rule autogen-r failed at path /spec/template/spec/hostNetwork/";
    assert_eq!(found, [("autogen-r".to_owned(), Status::Fail, message.to_owned())]);
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": template}}}});
    assert_eq!(created(&policy, &cron_job)[0].0, "autogen-cronjob-r");
}

/// Exclusions, and what remains of the pod's violations at baseline.
#[test]
fn pod_security_takes_out_what_kyverno_takes_out() {
    const CAPABILITIES: &str = "Validation rule 'r' failed. It violates PodSecurity \"baseline:latest\": (Forbidden reason: \
        non-default capabilities, field error list: [spec.initContainers[0].securityContext.capabilities.add is forbidden, \
        forbidden values found: [NET_ADMIN]])";
    let field = "spec.initContainers[*].securityContext.capabilities.add";
    let cases = [
        (json!([]), CAPABILITIES),
        (json!([{"controlName": "Capabilities", "images": ["mesh/*"]}]), ""),
        (json!([{"controlName": "Capabilities", "images": ["other/*"]}]), CAPABILITIES),
        (json!([{"controlName": "Seccomp", "images": ["*"]}]), CAPABILITIES),
        (
            json!([{"controlName": "Capabilities", "images": ["*"], "restrictedField": field, "values": ["NET_*"]}]),
            "",
        ),
        (
            json!([{"controlName": "Capabilities", "images": ["*"], "restrictedField": field, "values": ["NET_RAW"]}]),
            CAPABILITIES,
        ),
    ];
    for (exclude, message) in cases {
        let rule =
            policy(json!({"podSecurity": {"level": "baseline", "version": "latest", "exclude": exclude}}));
        let found = created(&rule, &pod());
        let message = if message.is_empty() { "Validation rule 'r' passed." } else { message };
        assert_eq!(found[0].2, message, "{exclude}");
    }
}

#[test]
fn exceptions_skip() {
    let exception = |pod_security: Value| {
        Exception::parse(&json!({
            "apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": "e", "namespace": "n"},
            "spec": {
                "match": {"any": [{"resources": {"kinds": ["Pod"], "names": ["w*"]}}]},
                "exceptions": [{"policyName": "p", "ruleNames": ["r*"]}], "podSecurity": pod_security,
            },
        }))
        .unwrap()
    };
    let object = pod();
    let found = |policy: &Value, exception: Exception| {
        let exceptions = [exception];
        evaluate(
            policy,
            &Request { object: &object, old: &Value::Null, operation: "CREATE", exceptions: &exceptions },
        )
    };
    let standard = policy(json!({"podSecurity": {"level": "baseline", "version": "latest"}}));
    let capabilities = json!([{"controlName": "Capabilities", "images": ["mesh/*"]}]);
    assert_eq!(
        found(&standard, exception(capabilities))[0].2,
        "rule is skipped due to policy exceptions n/e"
    );
    assert_eq!(found(&standard, exception(json!(null)))[0].1, Status::Skip);
    let deny = policy(json!({"deny": {}}));
    assert_eq!(found(&deny, exception(json!(null)))[0].2, "rule is skipped due to policy exceptionsn/e");
}

#[test]
fn violations_that_were_there_before_are_let_through() {
    let object = pod();
    let mut fine = pod();
    fine["metadata"]["name"] = json!("fine");
    let name = json!({"conditions": {"any": [{"key": "{{ request.object.metadata.name }}", "operator": "Equals", "value": "web"}]}});
    let update = |validate: Value, old: &Value| {
        evaluate(&policy(validate), &Request { object: &object, old, operation: "UPDATE", exceptions: &[] })
            [0]
        .1
    };
    assert_eq!(update(json!({"failureAction": "Enforce", "deny": name}), &object), Status::Skip);
    assert_eq!(update(json!({"failureAction": "Enforce", "deny": name}), &fine), Status::Fail);
    assert_eq!(update(json!({"failureAction": "Audit", "deny": name}), &object), Status::Fail);
    let strict = json!({"failureAction": "Enforce", "allowExistingViolations": false, "deny": name});
    assert_eq!(update(strict, &object), Status::Fail);
}

/// Kyverno's admission refuses them, its evaluation knows them.
#[test]
fn messages_of_loops_know_the_element() {
    let deny = |key: &str, value: &str| json!({"conditions": {"any": [{"key": key, "operator": "Equals", "value": value}]}});
    let cases = [
        (
            json!({"message": "{{ element.name }} {{ elementIndex }}", "foreach": [{"list": "request.object.spec.[containers, initContainers][]", "deny": deny("{{ element.name }}", "init")}]}),
            "validation failure: init 1",
        ),
        (
            json!({"message": "{{ element0.name }}/{{ element1.containerPort }}", "foreach": [{"list": "request.object.spec.containers", "foreach": [{"list": "element.ports", "deny": deny("{{ element.containerPort }}", "80")}]}]}),
            "validation failure: validation failure: app/80",
        ),
    ];
    for (validate, message) in cases {
        let document = policy(validate);
        assert!(Policy::compile(&document).is_err(), "{document}");
        let compiled = Policy::compile_with(&document, Quirks::STRICT).unwrap();
        assert_eq!(compiled.evaluate(&Input::created(&pod(), &Offline))[0].message, message);
    }
}

#[test]
fn reports_all_that_is_wrong_and_all_that_is_not_supported() {
    let document = json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
        "spec": {"rules": [
            {"name": "a", "match": {}, "validate": {"pattern": {}, "deny": {}}},
            {"name": "b", "match": {"any": [{"resource": {}}]}, "validate": {"pattern": {}}},
            {"name": "c", "match": {}, "validate": {"deny": {"conditions": [{"operator": "Is"}]}}},
            {"name": "d", "match": {}, "validate": {"podSecurity": {"level": "hard"}}},
            {"name": "e", "match": {}, "validate": {"podSecurity": {"level": "baseline", "exclude": [{"controlName": "X"}]}}},
            {"name": "f", "match": {}},
            {"match": {}},
        ]},
    });
    let paths: Vec<String> =
        Policy::compile(&document).unwrap_err().into_iter().map(|error| error.path).collect();
    assert_eq!(
        paths,
        [
            "spec.rules[0].validate",
            "spec.rules[1].match.any[0].resource",
            "spec.rules[2].validate.deny.conditions[0].operator",
            "spec.rules[3].validate.podSecurity.level",
            "spec.rules[4].validate.podSecurity.exclude[0].controlName",
            "spec.rules[5]",
            "spec.rules[6].name",
        ]
    );
    let refused = |exclude: Value| {
        let rule = policy(json!({"podSecurity": {"level": "baseline", "exclude": [exclude]}}));
        let errors = Policy::compile(&rule).unwrap_err();
        assert!(Policy::compile_with(&rule, Quirks::STRICT).is_ok());
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        error.path.strip_prefix("spec.rules[0].validate.podSecurity.exclude[0].").unwrap().to_owned()
    };
    assert_eq!(refused(json!({"controlName": "Capabilities"})), "images");
    assert_eq!(refused(json!({"controlName": "Sysctls", "images": ["*"]})), "images");
    assert_eq!(refused(json!({"controlName": "Seccomp", "restrictedField": "x"})), "values");
    assert_eq!(refused(json!({"controlName": "Seccomp", "values": ["x"]})), "restrictedField");
    assert_eq!(refused(json!({"controlName": "Running as Non-root"})), "controlName");
    let pods = json!({"any": [{"resources": {"kinds": ["Pod"]}}]});
    let mutate = json!({
        "apiVersion": "kyverno.io/v1", "kind": "Policy", "metadata": {"name": "p"},
        "spec": {"rules": [{"name": "m", "match": pods, "mutate": {}}, {"name": "c", "match": pods, "validate": {"cel": {}}}]},
    });
    let what: Vec<_> =
        Policy::compile(&mutate).unwrap().unsupported().iter().map(|u| u.what.clone()).collect();
    assert_eq!(what, ["mutate", "validate.cel"]);
    assert!(Policy::compile(&json!({"kind": "ConfigMap"})).is_err());
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        "Pod|Always|\\{\\{ request.object.spec \\}\\}|[a-c*]{0,3}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(
                "kind|metadata|name|spec|containers|image|securityContext|capabilities|add|volumes|template|x",
                inner,
                0..5,
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(object in json(), pattern in json()) {
        let exclude = json!([{"controlName": "Capabilities", "images": ["*"]}, {"controlName": "Seccomp"}]);
        let mut object = object;
        if let Value::Object(map) = &mut object {
            map.insert("kind".to_owned(), json!("Pod"));
        }
        let bodies = [
            json!({"pattern": pattern}),
            json!({"foreach": [{"list": "request.object.*", "pattern": pattern}]}),
            json!({"podSecurity": {"level": "restricted", "version": "latest", "exclude": exclude}}),
            json!({"deny": {"conditions": {"all": [{"key": "{{ images }}", "operator": "AnyIn", "value": pattern}]}}}),
        ];
        for body in bodies {
            if let Ok(compiled) = Policy::compile(&policy(body)) {
                let _ = compiled.key();
            }
        }
        for body in [json!({"pattern": pattern}), json!({"podSecurity": {"level": "restricted", "exclude": exclude}})] {
            if Policy::compile(&policy(body.clone())).is_ok() {
                let _ = created(&policy(body), &object);
            }
        }
    }

    #[test]
    fn compiling_never_panics(document in json()) {
        let _ = Policy::compile(&json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "spec": {"rules": [document]}}));
        let _ = Exception::parse(&document);
    }
}
