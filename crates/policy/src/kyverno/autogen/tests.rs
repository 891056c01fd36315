use super::*;
use proptest::prelude::*;

fn rule(matching: Value, validate: Value) -> Value {
    json!({"name": "r", "match": matching, "validate": validate})
}

fn pods() -> Value {
    json!({"any": [{"resources": {"kinds": ["Pod"]}}]})
}

#[test]
fn patterns_move_into_the_template() {
    let rules =
        [rule(pods(), json!({"message": "m", "pattern": {"spec": {"hostNetwork": "false"}}, "x": 1}))];
    let generated = generate(&rules, None);
    let controllers = [
        "apps/v1/DaemonSet",
        "apps/v1/Deployment",
        "batch/v1/Job",
        "apps/v1/ReplicaSet",
        "v1/ReplicationController",
        "apps/v1/StatefulSet",
    ];
    assert_eq!(
        generated.controllers,
        [json!({
            "name": "autogen-r",
            "match": {"any": [{"resources": {"kinds": controllers}}]},
            "validate": {"message": "m", "pattern": {"spec": {"template": {"spec": {"hostNetwork": "false"}}}}},
        })]
    );
    assert_eq!(
        generated.cron_jobs,
        [json!({
            "name": "autogen-cronjob-r",
            "match": {"any": [{"resources": {"kinds": ["batch/v1/CronJob"]}}]},
            "validate": {"message": "m", "pattern": {"spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostNetwork": "false"}}}}}}},
        })]
    );
}

#[test]
fn variables_move_into_the_template() {
    let list = "{{ request.object.spec.x }} {{ request.oldObject.metadata.y }} request.objects.spec";
    let rules = [rule(pods(), json!({"deny": {"conditions": {"any": [{"key": list}]}}}))];
    let generated = generate(&rules, None);
    let key = |rules: &[Value]| rules[0].pointer("/validate/deny/conditions/any/0/key").unwrap().clone();
    assert_eq!(
        key(&generated.controllers),
        "{{ request.object.spec.template.spec.x }} {{ request.oldObject.spec.template.metadata.y }} request.objects.spec"
    );
    assert_eq!(
        key(&generated.cron_jobs),
        "{{ request.object.spec.jobTemplate.spec.template.spec.x }} {{ \
         request.oldObject.spec.jobTemplate.spec.template.metadata.y }} request.objects.spec"
    );
}

/// `match`, `exclude`, and whether rules are generated.
#[test]
fn generates_only_where_kyverno_does() {
    let resources = |value: Value| json!({"resources": value});
    let cases = [
        (resources(json!({"kinds": ["Pod"]})), json!(null), true),
        (pods(), json!(null), true),
        (resources(json!({"kinds": ["Deployment"]})), json!(null), false),
        (resources(json!({"kinds": ["v1/Pod"]})), json!(null), false),
        (resources(json!({"kinds": ["Pod", "Service"]})), json!(null), false),
        (resources(json!({"kinds": ["Pod"], "name": "x"})), json!(null), false),
        (resources(json!({"kinds": ["Pod"], "names": ["x"]})), json!(null), false),
        (resources(json!({"kinds": ["Pod"], "selector": {}})), json!(null), false),
        (resources(json!({"kinds": ["Pod"], "annotations": {}})), json!(null), false),
        (resources(json!({"kinds": ["Pod"], "namespaces": ["x"]})), json!(null), true),
        (pods(), json!({"any": [{"resources": {"names": ["x"]}}]}), false),
        (pods(), json!({"any": [{"resources": {"namespaces": ["x"]}}]}), true),
        (pods(), json!({"any": [{"resources": {"kinds": ["Service"]}}]}), false),
    ];
    for (matching, exclude, expected) in cases {
        let rules =
            [json!({"name": "r", "match": matching, "exclude": exclude, "validate": {"pattern": {}}})];
        let generated = generate(&rules, None);
        assert_eq!(!generated.controllers.is_empty(), expected, "{matching} {exclude}");
        assert_eq!(!generated.cron_jobs.is_empty(), expected, "{matching} {exclude}");
    }
}

#[test]
fn the_annotation_chooses() {
    let rules = [rule(pods(), json!({"pattern": {}}))];
    for (annotation, controllers, cron_jobs) in [
        ("none", 0, 0),
        ("CronJob", 0, 1),
        ("Deployment,Job", 1, 0),
        ("Deployment,CronJob", 1, 1),
        ("", 0, 0),
    ] {
        let generated = generate(&rules, Some(annotation));
        assert_eq!(
            (generated.controllers.len(), generated.cron_jobs.len()),
            (controllers, cron_jobs),
            "{annotation}"
        );
    }
}

#[test]
fn names_are_cut() {
    let long = "too-long-this-rule-name-will-be-truncated-to-63-characters";
    let rules = [json!({"name": long, "match": pods(), "validate": {"pattern": {}}})];
    let generated = generate(&rules, None);
    assert_eq!(
        generated.controllers[0]["name"],
        "autogen-too-long-this-rule-name-will-be-truncated-to-63-charact"
    );
    assert_eq!(
        generated.cron_jobs[0]["name"],
        "autogen-cronjob-too-long-this-rule-name-will-be-truncated-to-63"
    );
}

#[test]
fn one_generating_rule_stops_all() {
    let rules = [
        rule(pods(), json!({"pattern": {}})),
        json!({"name": "g", "match": pods(), "generate": {"kind": "X"}}),
    ];
    assert_eq!(generate(&rules, None), Generated::default());
}

proptest! {
    #[test]
    fn never_panics(name in "\\PC{0,70}", kind in "[Pod/v1*.]{0,8}", text in "(request|\\.object|\\.spec|x){0,6}") {
        let rules = [
            json!({"name": name, "match": {"any": [{"resources": {"kinds": [kind]}}, {}]}, "validate": {"pattern": text}}),
            json!({"name": name, "match": pods(), "validate": {"anyPattern": [text]}}),
            json!(name),
        ];
        let _ = generate(&rules, None);
    }
}
