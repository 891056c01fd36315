use kube::core::discovery::v2::APIGroupDiscovery;
use meshward_policy::kyverno::policy::Policy;

use super::*;

fn apis() -> Apis {
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    let of = |plural: &str, kind: &str, scope: &str, subresources: Value| {
        json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": verbs,
               "subresources": subresources})
    };
    let pods = json!([
        {"subresource": "ephemeralcontainers", "responseKind": {"kind": "Pod"}, "verbs": ["get", "patch", "update"]},
        {"subresource": "exec", "responseKind": {"kind": "PodExecOptions"}, "verbs": ["create", "get"]},
        {"subresource": "binding", "responseKind": {"kind": "Binding"}, "verbs": ["create"]},
    ]);
    let groups: Vec<APIGroupDiscovery> = serde_json::from_value(json!([
        {"metadata": {}, "versions": [{"version": "v1", "resources": [
            of("pods", "Pod", "Namespaced", pods),
            of("secrets", "Secret", "Namespaced", json!([])),
            of("namespaces", "Namespace", "Cluster", json!([])),
            of("nodes", "Node", "Cluster", json!([])),
            of("events", "Event", "Namespaced", json!([])),
        ]}]},
        {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
            of("deployments", "Deployment", "Namespaced", json!([])),
            of("replicasets", "ReplicaSet", "Namespaced", json!([])),
        ]}]},
        {"metadata": {"name": "batch"}, "versions": [{"version": "v1", "resources": [
            of("cronjobs", "CronJob", "Namespaced", json!([]))]}]},
        {"metadata": {"name": "acme.io"}, "versions": [
            {"version": "v2", "resources": [of("things", "Thing", "Namespaced", json!([]))]},
            {"version": "v1", "resources": [of("things", "Thing", "Namespaced", json!([]))]},
        ]},
    ]))
    .unwrap();
    Apis::read(&groups, &Apis::default())
}

fn wishes() -> Wishes {
    Wishes {
        client: Client::Service { namespace: "ours".into(), name: "control".into(), port: 443 },
        excluded_namespaces: vec!["kube-system".into(), "ours".into()],
        namespace_selector: Vec::new(),
        excluded_kinds: ["Binding", "Event", "Node", "ReplicaSet"].map(str::to_owned).to_vec(),
        force_ignore: false,
        swap: None,
        standards: Standards::default(),
    }
}

fn policy(kind: &str, kinds: &[&str], validate: Value, more: Value) -> Policy {
    let mut document = json!({
        "apiVersion": "kyverno.io/v1", "kind": kind, "metadata": {"name": "p"},
        "spec": {"rules": [{
            "name": "r", "match": {"any": [{"resources": {"kinds": kinds}}]}, "validate": validate,
        }]},
    });
    if kind == "Policy" {
        document["metadata"]["namespace"] = "team".into();
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        document["spec"][key] = value.clone();
    }
    document["spec"]["background"] = json!(!kinds.contains(&"*"));
    Policy::compile_for_webhook(&document).unwrap()
}

fn deny() -> Value {
    json!({"deny": {"conditions": {"any": [{"key": "a", "operator": "Equals", "value": "a"}]}}})
}

fn standard() -> Value {
    json!({"podSecurity": {"level": "restricted", "version": "latest"}})
}

/// A webhook in a line: name, failure, timeout, path; and a line for each rule.
fn told(webhooks: &[Value]) -> Vec<String> {
    let list = |value: &Value| {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(",")
    };
    let mut lines = Vec::new();
    for webhook in webhooks {
        let text = |pointer: &str| webhook.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, failure, path) =
            (text("/name"), text("/failurePolicy"), text("/clientConfig/service/path"));
        lines.push(format!("{name} {failure} {}s {path}", webhook["timeoutSeconds"]));
        for rule in webhook["rules"].as_array().unwrap() {
            let place = format!("{}/{}", list(&rule["apiGroups"]), list(&rule["apiVersions"]));
            let scope = rule["scope"].as_str().unwrap();
            lines.push(format!(
                "  {} {place} {} {scope}",
                list(&rule["operations"]),
                list(&rule["resources"])
            ));
        }
    }
    lines
}

fn policies(policies: &[Policy]) -> Vec<String> {
    let all = desired(policies.iter(), &apis(), &Definitions::default(), &wishes(), "");
    let found = all.iter().find(|desired| desired.name == "meshward-policies");
    found.map(|desired| told(&desired.webhooks)).unwrap_or_default()
}

#[test]
fn a_standard_asks_for_pods_and_their_controllers_and_never_for_deletions() {
    let lines = policies(&[policy("ClusterPolicy", &["Pod"], standard(), json!({}))]);
    let expected = [
        "fail.policies.meshward.dev Fail 10s /validate/policies/fail",
        "  UPDATE /v1 pods/ephemeralcontainers Namespaced",
        "  CREATE,UPDATE /v1 pods Namespaced",
        "  CREATE,UPDATE apps/v1 deployments Namespaced",
        "  CREATE,UPDATE batch/v1 cronjobs Namespaced",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn failure_policies_and_timeouts_are_webhooks_of_their_own() {
    let ignore = json!({"failurePolicy": "Ignore", "webhookTimeoutSeconds": 3});
    let lines = policies(&[
        policy("ClusterPolicy", &["Secret"], deny(), json!({"webhookTimeoutSeconds": 10})),
        policy("ClusterPolicy", &["Secret"], deny(), ignore),
        policy("ClusterPolicy", &["Namespace"], deny(), json!({})),
        policy("ClusterPolicy", &["Pod/exec"], deny(), json!({"webhookTimeoutSeconds": 30})),
    ]);
    let expected = [
        "fail.policies.meshward.dev Fail 10s /validate/policies/fail",
        "  CREATE,UPDATE,DELETE /v1 namespaces Cluster",
        "  CREATE,UPDATE,DELETE /v1 secrets Namespaced",
        "fail-30.policies.meshward.dev Fail 30s /validate/policies/fail/30",
        "  CONNECT /v1 pods/exec Namespaced",
        "ignore-3.policies.meshward.dev Ignore 3s /validate/policies/ignore/3",
        "  CREATE,UPDATE,DELETE /v1 secrets Namespaced",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn wildcards_are_resolved_and_what_a_cluster_needs_is_left_out() {
    let lines = policies(&[policy("ClusterPolicy", &["*"], deny(), json!({}))]);
    let expected = [
        "fail.policies.meshward.dev Fail 10s /validate/policies/fail",
        "  UPDATE /v1 pods/ephemeralcontainers Namespaced",
        "  CREATE,UPDATE,DELETE /v1 namespaces Cluster",
        "  CREATE,UPDATE,DELETE /v1 pods,secrets Namespaced",
        "  CREATE,UPDATE,DELETE acme.io/v2 things Namespaced",
        "  CREATE,UPDATE,DELETE apps/v1 deployments Namespaced",
        "  CREATE,UPDATE,DELETE batch/v1 cronjobs Namespaced",
    ];
    assert_eq!(lines, expected);
    let lines = policies(&[policy("ClusterPolicy", &["acme.io/v1/Thing"], deny(), json!({}))]);
    assert_eq!(lines[1], "  CREATE,UPDATE,DELETE acme.io/v1 things Namespaced", "a version that is named");
}

#[test]
fn policies_that_no_request_concerns_have_no_webhook() {
    let more = json!({"admission": false});
    assert!(policies(&[policy("ClusterPolicy", &["Pod"], standard(), more)]).is_empty());
    for kind in ["Unheard", "Node", "Pod/binding"] {
        assert!(policies(&[policy("ClusterPolicy", &[kind], deny(), json!({}))]).is_empty(), "{kind}");
    }
}

#[test]
fn a_policy_of_a_namespace_sees_that_namespace_and_nothing_twice() {
    let of = |kind: &str, kinds: &[&str]| policy(kind, kinds, deny(), json!({}));
    let both = [of("ClusterPolicy", &["Secret"]), of("Policy", &["Secret", "Thing", "Namespace"])];
    let all = desired(both.iter(), &apis(), &Definitions::default(), &wishes(), "");
    let webhooks = &all[0].webhooks;
    let expected = [
        "fail.policies.meshward.dev Fail 10s /validate/policies/fail",
        "  CREATE,UPDATE,DELETE /v1 secrets Namespaced",
        "fail.namespaced.policies.meshward.dev Fail 10s /validate/policies/fail",
        "  CREATE,UPDATE,DELETE acme.io/v2 things Namespaced",
    ];
    assert_eq!(told(webhooks), expected);
    let selected = |at: usize| webhooks[at]["namespaceSelector"]["matchExpressions"].clone();
    let name = "kubernetes.io/metadata.name";
    assert_eq!(selected(0), json!([{"key": name, "operator": "NotIn", "values": ["kube-system", "ours"]}]));
    assert_eq!(selected(1), json!([{"key": name, "operator": "In", "values": ["team"]}]));
}

/// The API server decides by them; a configuration of their own keeps one that it cannot read out of everybody's way.
#[test]
fn policies_with_match_conditions_have_webhooks_of_their_own() {
    let when = |expression: &str| {
        let condition = json!({"name": "c", "expression": expression, "comment": "not the API server's"});
        policy(
            "ClusterPolicy",
            &["Secret"],
            deny(),
            json!({"webhookConfiguration": {"matchConditions": [condition]}}),
        )
    };
    let all = [
        when("true"),
        when("request.dryRun"),
        when("true"),
        policy("ClusterPolicy", &["Secret"], deny(), json!({})),
    ];
    let all = desired(all.iter(), &apis(), &Definitions::default(), &wishes(), "");
    let of = |name: &str| all.iter().find(|one| one.name == name).unwrap().webhooks.clone();
    let (plain, conditional) = (of("meshward-policies"), of("meshward-conditions"));
    assert_eq!((plain.len(), plain[0].get("matchConditions")), (1, None));
    let conditions = |webhook: &Value| webhook["matchConditions"].clone();
    let mut found: Vec<String> = conditional.iter().map(|webhook| conditions(webhook).to_string()).collect();
    found.sort();
    let expected =
        ["request.dryRun", "true"].map(|text| json!([{"name": "c", "expression": text}]).to_string());
    assert_eq!(found, expected);
    for webhook in &conditional {
        let path = webhook.pointer("/clientConfig/service/path").and_then(Value::as_str).unwrap();
        let (before, number) = path.rsplit_once('/').unwrap();
        assert_eq!(before, "/validate/policies/fail/10");
        assert_eq!(webhook["name"], format!("fail-10-{number}.policies.meshward.dev"));
    }
}

/// Who only guards some namespaces is in nobody's way elsewhere, also while nobody answers.
#[test]
fn a_policy_that_names_its_namespaces_is_asked_about_there() {
    let of = |namespaces: &[&str], kinds: &[&str]| {
        let document = json!({
            "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
            "spec": {"rules": [{
                "name": "r", "match": {"any": [{"resources": {"kinds": kinds, "namespaces": namespaces}}]},
                "validate": deny(),
            }]},
        });
        Policy::compile(&document).unwrap()
    };
    let webhooks = |policies: &[Policy]| {
        let all = desired(policies.iter(), &apis(), &Definitions::default(), &wishes(), "");
        let webhooks =
            all.into_iter().filter(|one| one.name == "meshward-policies").flat_map(|one| one.webhooks);
        webhooks.map(|one| one["namespaceSelector"]["matchExpressions"].clone()).collect::<Vec<_>>()
    };
    let name = "kubernetes.io/metadata.name";
    let there = |names: &[&str]| json!([{"key": name, "operator": "In", "values": names}]);
    let elsewhere = json!([{"key": name, "operator": "NotIn", "values": ["kube-system", "ours"]}]);
    assert_eq!(webhooks(&[of(&["b", "a"], &["Pod"]), of(&["c"], &["Secret"])]), [there(&["a", "b", "c"])]);
    assert_eq!(webhooks(&[of(&["kube-system"], &["Pod"])]), [] as [Value; 0], "nobody looks there");
    assert_eq!(webhooks(&[of(&["a*"], &["Secret"])]), std::slice::from_ref(&elsewhere));
    assert_eq!(webhooks(&[of(&["a"], &["Namespace"])]), std::slice::from_ref(&elsewhere));
    assert_eq!(
        webhooks(&[of(&["a"], &["Secret"]), of(&["b*"], &["Secret"])]),
        [elsewhere],
        "asked there anyway"
    );
}

/// Every namespace with one of the labels is in exactly one webhook of pods, and one without is in none.
#[test]
fn standards_are_asked_once_and_only_where_there_is_a_label() {
    let of = |standards: Standards| {
        let wishes = Wishes { standards, ..wishes() };
        let all = desired([].into_iter(), &apis(), &Definitions::default(), &wishes, "");
        all.into_iter().find(|desired| desired.name == "meshward-standards").unwrap().webhooks
    };
    let selects = |webhook: &Value, labels: &[&str]| {
        let expressions = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
        expressions.iter().all(|expression| {
            let has = labels.contains(&expression["key"].as_str().unwrap());
            match expression["operator"].as_str().unwrap() {
                "Exists" => has,
                "DoesNotExist" => !has,
                _ => true,
            }
        })
    };
    for (theirs, prefixes) in
        [(false, &["meshward.dev/"][..]), (true, &["meshward.dev/", "pod-security.kubernetes.io/"])]
    {
        let webhooks = of(Standards { pod_security_labels: theirs, ..Standards::default() });
        let labels: Vec<String> = prefixes
            .iter()
            .flat_map(|prefix| ["enforce", "audit", "warn"].map(|mode| format!("{prefix}{mode}")))
            .collect();
        for set in 0..1_u32 << labels.len() {
            let chosen = |at: &usize| set & (1 << at) != 0;
            let labels: Vec<&str> = (0..labels.len()).filter(chosen).map(|at| labels[at].as_str()).collect();
            let matching = |start: &str| {
                let named = webhooks.iter().filter(|w| w["name"].as_str().unwrap().starts_with(start));
                named.filter(|webhook| selects(webhook, &labels)).collect::<Vec<_>>()
            };
            let pods = matching("pods.");
            assert_eq!(pods.len(), usize::from(!labels.is_empty()), "{labels:?}");
            let enforces = labels.iter().any(|label| label.ends_with("enforce"));
            let failure = if enforces { "Fail" } else { "Ignore" };
            assert!(pods.iter().all(|webhook| webhook["failurePolicy"] == failure), "{labels:?}");
            let advises = labels.iter().any(|label| !label.ends_with("enforce"));
            assert_eq!(matching("controllers.").len(), usize::from(advises), "{labels:?}");
        }
    }
    let lines = told(&of(Standards::default())[..2]);
    let expected = [
        "namespaces.standards.meshward.dev Fail 5s /validate/standards/enforce",
        "  CREATE,UPDATE /v1 namespaces Cluster",
        "pods.enforce.meshward.standards.meshward.dev Fail 5s /validate/standards/enforce",
        "  CREATE,UPDATE /v1 pods Namespaced",
        "  UPDATE /v1 pods/ephemeralcontainers,pods/resize Namespaced",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn defaults_concern_every_namespace() {
    use super::super::standards::Unlabelled;
    let of = |unlabelled| {
        let standards = Standards { unlabelled, ..Standards::default() };
        let wishes = Wishes { standards, ..wishes() };
        let all = desired([].into_iter(), &apis(), &Definitions::default(), &wishes, "");
        let webhooks = all[0].webhooks.iter().map(|webhook| {
            let selected = webhook["namespaceSelector"]["matchExpressions"].as_array().unwrap();
            let failure = webhook["failurePolicy"].as_str().unwrap();
            let name = webhook["name"].as_str().unwrap().strip_suffix(".standards.meshward.dev").unwrap();
            format!(
                "{name} {failure} {}",
                selected.len() + webhook["matchConditions"].as_array().map_or(0, Vec::len)
            )
        });
        webhooks.collect::<Vec<_>>()
    };
    let advice =
        ["namespaces Fail 1", "pods.enforce.meshward Fail 2", "pods Ignore 2", "controllers Ignore 1"];
    assert_eq!(of(Unlabelled::Advice), advice);
    assert_eq!(of(Unlabelled::Enforcement), ["namespaces Fail 1", "pods Fail 1", "controllers Ignore 1"]);
}

#[test]
fn objects_are_asked_about_as_far_as_they_are_defined() {
    let all = |definitions: &Definitions| desired([].into_iter(), &apis(), definitions, &wishes(), "");
    let names = |definitions| all(definitions).iter().map(|desired| desired.name).collect::<Vec<_>>();
    assert_eq!(names(&Definitions::default()), ["meshward-standards"]);
    let defined = Definitions::new(
        [
            ("clusterpolicies.kyverno.io".to_owned(), vec!["v1".to_owned(), "v3".to_owned()]),
            ("exemptions.meshward.dev".to_owned(), vec!["v1alpha1".to_owned()]),
            ("others.kyverno.io".to_owned(), vec!["v1".to_owned()]),
        ]
        .into(),
    );
    let objects = &all(&defined)[1];
    let expected = [
        "objects.meshward.dev Ignore 10s /validate/objects",
        "  CREATE,UPDATE kyverno.io/v1 clusterpolicies *",
        "  CREATE,UPDATE meshward.dev/v1alpha1 exemptions *",
    ];
    assert_eq!(
        (objects.name, told(&objects.webhooks)),
        ("meshward-objects", expected.map(String::from).to_vec())
    );
}

#[test]
fn every_field_is_written_out() {
    let wishes = Wishes {
        client: Client::Url("https://10.0.0.1:9443/x".into()),
        swap: Some(FailureMode::Fail),
        force_ignore: true,
        namespace_selector: vec![json!({"key": "a", "operator": "Exists"})],
        ..wishes()
    };
    let all = desired([].into_iter(), &apis(), &Definitions::default(), &wishes, "PEM");
    let expected = json!({
        "name": "swap.meshward.dev",
        "clientConfig": {"url": "https://10.0.0.1:9443/x/mutate/pods", "caBundle": "UEVN"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                   "resources": ["pods"], "scope": "Namespaced"}],
        "failurePolicy": "Ignore",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": [
            {"key": "a", "operator": "Exists"},
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "ours"]}]},
        "objectSelector": {},
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "admissionReviewVersions": ["v1"],
        "reinvocationPolicy": "IfNeeded",
    });
    assert_eq!((all[0].kind, &all[0].webhooks[0]), ("MutatingWebhookConfiguration", &expected));
    assert!(all.iter().flat_map(|d| &d.webhooks).all(|webhook| webhook["failurePolicy"] == "Ignore"));
}
