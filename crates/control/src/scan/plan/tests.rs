use meshward_policy::go::time::Moment;
use serde_json::{Value, json};

use super::*;
use crate::live::Granting;

/// Widgets in three versions, the oldest of which cannot be watched; pods and deployments.
fn apis() -> Apis {
    let resource = |kind: &str, verbs: &[&str]| {
        json!({"resource": kind.to_lowercase() + "s", "scope": "Namespaced", "verbs": verbs,
            "responseKind": {"group": "", "version": "", "kind": kind}})
    };
    let version = |name: &str, kind: &str, verbs: &[&str]| json!({"version": name, "resources": [resource(kind, verbs)]});
    let all = ["get", "list", "watch"];
    let groups = json!([
        {"metadata": {}, "versions": [version("v1", "Pod", &all)]},
        {"metadata": {"name": "apps"}, "versions": [version("v1", "Deployment", &all), version("v1beta1", "Deployment", &all)]},
        {"metadata": {"name": "acme.io"}, "versions": [
            version("v2", "Widget", &all), version("v1", "Widget", &all), version("v1beta1", "Widget", &["get"])]},
    ]);
    let groups: Vec<_> = serde_json::from_value(groups).unwrap();
    Apis::read(&groups, &Apis::default())
}

fn policy(name: &str, kinds: &[&str]) -> Value {
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            json!({"name": kind, "match": {"any": [{"resources": {"kinds": [kind]}}]}, "validate": {"deny": {}}})
        })
        .collect();
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"rules": rules}})
}

/// The versions that are followed, those that are watched first.
fn planned<'o>(objects: impl IntoIterator<Item = &'o Value>) -> Vec<String> {
    let rules = Rules::default().with_labels(false);
    let snapshot = Snapshot::of(objects, &Granting::default());
    assert_eq!(snapshot.policies.broken().count(), 0);
    let plan = plan(&snapshot, &apis(), &rules, Moment::from_unix(0));
    let told = plan.into_iter().map(|(key, followed)| {
        let versions: Vec<&str> =
            followed.versions.iter().map(|served| served.gvk.version.as_str()).collect();
        format!("{key} {}", versions.join(" "))
    });
    told.collect()
}

#[test]
fn a_kind_is_followed_in_each_version_that_a_policy_names() {
    let [any, named, older] = [
        policy("any", &["Widget"]),
        policy("named", &["acme.io/v1/Widget"]),
        policy("older", &["acme.io/v1beta1/Widget"]),
    ];
    assert_eq!(planned([&any]), ["acme.io/Widget v2"]);
    assert_eq!(planned([&named]), ["acme.io/Widget v1"]);
    // In whatever order they are read.
    assert_eq!(planned([&named, &any]), ["acme.io/Widget v2 v1"]);
    assert_eq!(planned([&any, &named]), ["acme.io/Widget v2 v1"]);
    assert_eq!(
        planned([&policy("both", &["acme.io/v1/Widget", "acme.io/v*/Widget"])]),
        ["acme.io/Widget v2 v1"]
    );
    assert_eq!(planned([&older]), [] as [&str; 0], "it cannot be watched");
}

#[test]
fn pod_security_looks_at_the_preferred_version() {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop",
        "labels": {"meshward.dev/warn": "baseline"}}});
    assert_eq!(planned([&space]), ["/Pod v1", "apps/Deployment v1"]);
    let older = policy("older", &["apps/v1beta1/Deployment"]);
    assert_eq!(planned([&space, &older]), ["/Pod v1", "apps/Deployment v1 v1beta1"]);
}
