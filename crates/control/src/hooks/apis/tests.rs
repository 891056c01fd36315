use serde_json::json;

use super::*;

fn groups() -> Vec<APIGroupDiscovery> {
    let kind = |kind: &str| json!({"group": "", "version": "v1", "kind": kind});
    serde_json::from_value(json!([
        {"metadata": {}, "versions": [{"version": "v1", "resources": [
            {"resource": "pods", "responseKind": kind("Pod"), "scope": "Namespaced",
             "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
             "subresources": [
                {"subresource": "exec", "responseKind": kind("PodExecOptions"), "verbs": ["create", "get"]},
                {"subresource": "resize", "responseKind": kind("Pod"), "verbs": ["get", "patch", "update"]},
                {"subresource": "eviction", "responseKind": kind("Eviction"), "verbs": ["create"]},
             ]},
            {"resource": "nodes", "responseKind": kind("Node"), "scope": "Cluster", "verbs": ["get", "patch"]},
        ]}]},
        {"metadata": {"name": "acme.io"}, "versions": [
            {"version": "v2", "resources": [
                {"resource": "things", "responseKind": kind("Thing"), "scope": "Namespaced", "verbs": ["create"]}]},
            {"version": "v1", "freshness": "Current", "resources": [
                {"resource": "things", "responseKind": kind("Thing"), "scope": "Namespaced", "verbs": ["create"]},
                {"resource": "olds", "responseKind": kind("Old"), "scope": "Namespaced", "verbs": ["get"]}]},
        ]},
    ]))
    .unwrap()
}

#[test]
fn verbs_become_operations_and_the_first_version_is_preferred() {
    let apis = Apis::read(&groups(), &Apis::default());
    let told: Vec<String> = apis
        .iter()
        .map(|api| {
            let mark = if api.preferred { "" } else { " (not preferred)" };
            format!("{} {} {:?}{mark}", api.gvk.version, api.resource(), api.operations)
        })
        .collect();
    let expected = [
        "v1 pods CREATE|UPDATE|DELETE",
        "v1 pods/exec CONNECT",
        "v1 pods/resize UPDATE",
        "v1 pods/eviction CREATE",
        "v1 nodes CREATE|UPDATE",
        "v2 things CREATE",
        "v1 things CREATE (not preferred)",
        "v1 olds ",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_does_not_answer_at_the_moment_stays_known() {
    let before = Apis::read(&groups(), &Apis::default());
    let mut groups = groups();
    for version in &mut groups[1].versions {
        version.freshness = Some("Stale".into());
        version.resources.clear();
    }
    assert_eq!(Apis::read(&groups, &before), before);
    groups.pop();
    assert_eq!(Apis::read(&groups, &before).iter().count(), 5, "a group that is gone is gone");
}
