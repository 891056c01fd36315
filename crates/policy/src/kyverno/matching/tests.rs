use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn kinds_match_as_in_kyverno() {
    let gvk = |group: &str, version: &str, kind: &str| Gvk {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    let pod = gvk("", "v1", "Pod");
    let deployment = gvk("apps", "v1", "Deployment");
    let cases = [
        ("Pod", &pod, "", true),
        ("Pod", &pod, "exec", false),
        ("Pod", &pod, "ephemeralcontainers", true),
        ("Pod/exec", &pod, "exec", true),
        ("Pod.exec", &pod, "exec", true),
        ("v1/Pod.exec", &pod, "exec", true),
        ("v1/Pod", &pod, "", true),
        ("v1/Pod/exec", &pod, "exec", true),
        ("v2/Pod", &pod, "", false),
        ("*/Pod", &pod, "", true),
        ("*/*", &pod, "exec", true),
        ("*", &pod, "", true),
        ("*", &pod, "exec", false),
        ("*/exec", &pod, "exec", true),
        ("P*", &pod, "", true),
        ("apps/v1/Deployment", &deployment, "", true),
        ("apps/*/Deploy*", &deployment, "", true),
        ("batch/v1/Deployment", &deployment, "", false),
        ("apps/v1/Deployment/scale", &deployment, "scale", true),
        ("a/b/c/d/e", &pod, "", false),
        ("pod", &pod, "", false),
    ];
    for (text, gvk, subresource, expected) in cases {
        assert_eq!(KindSelector::parse(text).matches(gvk, subresource), expected, "{text} {subresource}");
    }
    assert!(kind::is_version("v12beta3") && !kind::is_version("v1gamma1") && !kind::is_version("apps"));
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "prod", "labels": {"app": "web"}, "annotations": {"a/b": "c"}},
    })
}

fn user() -> UserInfo {
    UserInfo {
        username: "system:serviceaccount:prod:deployer".to_owned(),
        groups: vec!["dev:team".to_owned()],
        roles: vec!["prod:admin".to_owned()],
        cluster_roles: vec!["view".to_owned()],
        uid: String::new(),
    }
}

fn with<T>(object: &Value, user: &UserInfo, operation: &str, f: impl FnOnce(&Target<'_>) -> T) -> T {
    let labels = json!({"env": "production"});
    let gvk = Gvk::of(object);
    f(&Target { object, gvk: &gvk, subresource: "", operation, namespace_labels: &labels, user })
}

/// A filter, and why it does not match the pod that the service account creates.
#[test]
fn attributes_match_as_in_kyverno() {
    let resources = |value: Value| json!({"resources": value});
    let cases = [
        (resources(json!({"kinds": ["Pod"]})), vec![]),
        (resources(json!({"kinds": ["Service"]})), vec![Reason::Kind]),
        (resources(json!({"name": "web-?"})), vec![]),
        (resources(json!({"names": ["db", "w*"]})), vec![]),
        (resources(json!({"names": ["db"], "name": "x"})), vec![Reason::Name, Reason::Names]),
        (resources(json!({"namespaces": ["p*"]})), vec![]),
        (resources(json!({"namespaces": ["dev"]})), vec![Reason::Namespace]),
        (resources(json!({"annotations": {"a/*": "?"}})), vec![]),
        (resources(json!({"annotations": {"a/*": "??"}})), vec![Reason::Annotations]),
        (resources(json!({"selector": {"matchLabels": {"a*": "w*"}}})), vec![]),
        (resources(json!({"selector": {"matchLabels": {"app": "x"}}})), vec![Reason::Selector]),
        (resources(json!({"selector": {}})), vec![]),
        (
            resources(
                json!({"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["w*"]}]}}),
            ),
            vec![Reason::Selector],
        ),
        (
            resources(
                json!({"selector": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["w"]}]}}),
            ),
            vec![],
        ),
        (
            resources(
                json!({"namespaceSelector": {"matchExpressions": [{"key": "env", "operator": "Exists"}]}}),
            ),
            vec![],
        ),
        (
            resources(json!({"namespaceSelector": {"matchLabels": {"env": "dev"}}})),
            vec![Reason::NamespaceSelector],
        ),
        (resources(json!({"operations": ["CREATE"]})), vec![]),
        (resources(json!({"operations": ["UPDATE"], "kinds": ["Service"]})), vec![Reason::Operation]),
        (json!({"roles": ["prod:admin"]}), vec![]),
        (json!({"roles": ["admin"]}), vec![Reason::Roles]),
        (json!({"clusterRoles": ["edit", "view"]}), vec![]),
        (json!({"subjects": [{"kind": "ServiceAccount", "namespace": "prod", "name": "dep*"}]}), vec![]),
        (json!({"subjects": [{"kind": "Group", "name": "dev:*"}]}), vec![]),
        (json!({"subjects": [{"kind": "User", "name": "jane"}]}), vec![Reason::Subjects]),
        (
            json!({"resources": {"kinds": ["Pod"]}, "clusterRoles": ["edit"], "subjects": [{"kind": "Group", "name": "x"}]}),
            vec![Reason::ClusterRoles, Reason::Subjects],
        ),
        (json!({}), vec![Reason::Empty]),
        (resources(json!({})), vec![Reason::Empty]),
    ];
    for (filter, expected) in cases {
        let block = Block::parse(&filter).unwrap();
        let found = with(&pod(), &user(), "CREATE", |target| block.matches(target)).err().unwrap_or_default();
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn any_all_and_exclude() {
    let (yes, no) = (json!({"resources": {"kinds": ["Pod"]}}), json!({"resources": {"kinds": ["Job"]}}));
    let cases = [
        (json!({"any": [no, yes]}), true),
        (json!({"any": [no]}), false),
        (json!({"all": [yes, yes]}), true),
        (json!({"all": [yes, no]}), false),
        (yes, true),
        (no, false),
    ];
    for (block, expected) in cases {
        let parsed = Block::parse(&block).unwrap();
        with(&pod(), &user(), "CREATE", |target| {
            assert_eq!(parsed.matches(target).is_ok(), expected, "{block}");
            assert_eq!(parsed.excludes(target).is_some(), expected, "{block}");
        });
    }
    let empty = Block::parse(&json!({"any": [{}]})).unwrap();
    assert_eq!(with(&pod(), &user(), "CREATE", |target| empty.excludes(target)), None);
}

#[test]
fn users_do_not_count_where_nobody_asks() {
    let nobody = UserInfo::default();
    let matches = |block: &Value| {
        with(&pod(), &nobody, "CREATE", |target| Block::parse(block).unwrap().matches(target).is_ok())
    };
    assert!(matches(&json!({"resources": {"kinds": ["Pod"]}, "roles": ["x"]})));
    assert!(!matches(&json!({"roles": ["x"]})));
    let exclude = Block::parse(&json!({"any": [{"roles": ["x"]}]})).unwrap();
    assert_eq!(with(&pod(), &nobody, "CREATE", |target| exclude.excludes(target)), None);
}

#[test]
fn namespaces_are_matched_by_their_own_name() {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}});
    let block = |value: Value| Block::parse(&json!({"any": [{"resources": value}]})).unwrap();
    with(&namespace, &user(), "CREATE", |target| {
        assert!(block(json!({"namespaces": ["prod"]})).matches(target).is_ok());
        let by_selector = block(json!({"namespaceSelector": {"matchLabels": {"env": "production"}}}));
        assert!(by_selector.matches(target).is_err());
        assert!(by_selector.excepts(target));
        assert!(block(json!({"operations": ["DELETE"], "kinds": ["Namespace"]})).excepts(target));
    });
}

#[test]
fn a_name_to_be_generated_counts() {
    let object = json!({"kind": "Pod", "metadata": {"generateName": "web-"}});
    assert_eq!(with(&object, &user(), "CREATE", |target| target.name().to_owned()), "web-");
}

#[test]
fn refuses_what_it_does_not_know() {
    let cases = [
        (json!([]), ""),
        (json!({"any": {}}), "any"),
        (json!({"any": [{"resource": {}}]}), "any[0].resource"),
        (json!({"all": [{"resources": {"kind": []}}]}), "all[0].resources.kind"),
        (json!({"resources": {"kinds": "Pod"}}), "resources.kinds"),
        (json!({"resources": {"selector": {"labels": {}}}}), "resources.selector.labels"),
        (
            json!({"resources": {"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}}),
            "resources.selector.matchExpressions[0]",
        ),
        (json!({"any": [{"roles": ["a"]}], "all": [{"roles": ["a"]}]}), "any"),
    ];
    for (block, path) in cases {
        assert_eq!(Block::parse(&block).unwrap_err().path, path, "{block}");
    }
}

proptest! {
    #[test]
    fn never_panics(kind in "[vP*/.a1]{0,12}", key in "[ap*?/]{0,4}", value in "\\PC{0,4}") {
        let block = json!({"any": [{"resources": {
            "kinds": [kind], "annotations": {(key.clone()): value.clone()}, "selector": {"matchLabels": {(key): value}},
        }}]});
        let block = Block::parse(&block).unwrap();
        with(&pod(), &user(), "CREATE", |target| {
            let matched = block.matches(target).is_ok();
            assert_eq!(block.is_about(target), matched);
            assert_eq!(block.excludes(target).is_some(), matched);
        });
    }
}
