use super::*;

fn objects() -> Vec<Value> {
    let object = |version: &str, kind: &str, namespace: &str, name: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name}});
    vec![
        object("v1", "ConfigMap", "a", "one"),
        object("v1", "ConfigMap", "b", "one"),
        object("networking.k8s.io/v1", "NetworkPolicy", "a", "deny"),
        object("v1", "Namespace", "", "a"),
    ]
}

fn call(path: &str) -> Value {
    json!({ "urlPath": path })
}

#[test]
fn paths_find_objects_and_lists() {
    let cluster = Cluster::default().with_objects(objects(), true);
    let names = |path: &str| -> Vec<String> {
        let found = cluster.api_call(&call(path)).unwrap().unwrap();
        match found.get("items") {
            Some(items) => list(items).map(|item| text(item, "/metadata/name").to_owned()).collect(),
            None => vec![text(&found, "/metadata/name").to_owned()],
        }
    };
    assert_eq!(names("/api/v1/namespaces/a/configmaps/one"), ["one"]);
    assert_eq!(names("/api/v1/configmaps"), ["one", "one"]);
    assert_eq!(names("/api/v1/namespaces/a/configmaps"), ["one"]);
    assert_eq!(names("/api/v1/namespaces/a"), ["a"]);
    assert_eq!(names("/api/v1/namespaces?limit=5"), ["a"]);
    assert_eq!(names("/apis/networking.k8s.io/v1/namespaces/a/networkpolicies"), ["deny"]);
    assert_eq!(names("/apis/apps/v1/deployments"), Vec::<String>::new());
    assert!(cluster.api_call(&call("/api/v1/namespaces/a/configmaps/two")).unwrap().is_err());
    assert!(cluster.api_call(&call("/healthz")).unwrap().is_err());
    assert!(cluster.config_map("a", "one").unwrap().is_ok());
    assert!(cluster.config_map("a", "two").unwrap().is_err());
}

#[test]
fn without_objects_nothing_is_answered() {
    let cluster = Cluster::default();
    assert_eq!(cluster.api_call(&call("/api/v1/configmaps")), None);
    assert_eq!(cluster.config_map("a", "one"), None);
    assert_eq!(cluster.global_reference("x"), None);
}

#[test]
fn responses_come_before_objects_and_a_method_before_none() {
    let response = |method: &str, code: u64, body: &str| json!({"urlPath": "/api/v1/x", "method": method, "response": {"statusCode": code, "body": {"is": body}}});
    let responses = json!([response("", 0, "any"), response("POST", 500, "post")]);
    let cluster = Cluster::default().with_responses(&responses);
    assert_eq!(cluster.api_call(&call("/api/v1/x")), Some(Ok(json!({"is": "any"}))));
    let post = json!({"urlPath": "/api/v1/x", "method": "POST"});
    assert!(cluster.api_call(&post).unwrap().unwrap_err().contains("HTTP 500"));
    assert_eq!(cluster.api_call(&call("/api/v1/y")), None);
}

#[test]
fn entries_are_whole_or_projected() {
    let entries = json!([
        {"name": "whole", "data": {"a": {"b": 1}}, "fieldPath": "a"},
        {"name": "parts", "data": {"a": {"b": 1}}, "projections": [{"name": "b", "path": "a.b"}]},
        {"name": "wrong", "data": {"a": 1}, "fieldPath": "a["},
    ]);
    let cluster = Cluster::default().with_entries(&entries, |_| Vec::new());
    assert_eq!(cluster.global_reference("whole"), Some(Ok(json!({"b": 1}))));
    assert_eq!(cluster.global_reference("parts"), Some(Ok(json!({"b": 1}))));
    assert_eq!(cluster.global_reference("parts.b"), Some(Ok(json!(1))));
    assert!(cluster.global_reference("parts.c").unwrap().is_err());
    assert!(cluster.global_reference("wrong").unwrap().is_err());
    assert!(cluster.global_reference("none").unwrap().is_err());
}

#[test]
fn global_entries_project_the_objects_of_their_kind() {
    let entry = json!({"metadata": {"name": "maps"}, "spec": {
        "kubernetesResource": {"version": "v1", "resource": "configmaps", "namespace": "a"},
        "projections": [{"name": "names", "jmesPath": "[].metadata.name"}]}});
    let cluster = Cluster::default().with_objects(objects(), false).with_global_entries(&[entry]);
    assert_eq!(cluster.global_reference("maps.names"), Some(Ok(json!(["one"]))));
    assert_eq!(cluster.config_map("a", "one"), None);
}
