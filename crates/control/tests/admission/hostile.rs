//! Whatever is sent, something comes back: no bytes make a webhook panic or wait.

use std::time::Duration;

use axum::http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Made, World, post, request};

const PATHS: [&str; 4] = [
    "/validate/policies/fail",
    "/validate/standards/enforce",
    "/validate/standards/advise",
    "/validate/objects",
];

fn world() -> World {
    let policy = |name: &str, validate: Value| {
        json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name}, "spec": {"background": false,
            "rules": [{"name": "r", "match": {"any": [{"resources": {"kinds": ["*"]}}]}, "validate": validate}]}})
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "shop", "labels": {"meshward.dev/enforce": "restricted", "pod-security.kubernetes.io/warn": "baseline"}}});
    let objects = vec![
        namespace,
        policy(
            "pattern",
            json!({"failureAction": "Enforce", "pattern": {"metadata": {"labels": {"a": "?*"}}}}),
        ),
        policy(
            "deny",
            json!({"deny": {"conditions": {"any": [
            {"key": "{{ request.object.metadata.name || '' }}", "operator": "Equals", "value": "{{ request.name }}x"}]}}}),
        ),
    ];
    World::new(Made { objects, pod_security_labels: true, ..Made::default() })
}

/// A value of the shape of objects, with every type in every place.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "Pod|Namespace|ClusterPolicy|Exemption|v1|restricted|\\{\\{ request.object \\}\\}|\\PC{0,6}"
            .prop_map(Value::from),
    ];
    let keys = "apiVersion|kind|metadata|name|namespace|labels|annotations|spec|containers|image|securityContext|\
                capabilities|add|volumes|hostPath|template|rules|match|validate|entries|allow|meshward.dev/enforce";
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn asked<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(10), run).await.expect("an answer in time")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..512)) {
        asked(async {
            for path in PATHS {
                let (status, _) = world().send(post(path, body.clone())).await;
                assert_eq!(status, StatusCode::BAD_REQUEST);
            }
        });
    }

    #[test]
    fn any_object(object in value(), old in value(), kind in 0..4_usize, operation in "CREATE|UPDATE|DELETE|CONNECT|X") {
        let (group, version, kind, plural) = [
            ("", "v1", "Pod", "pods"),
            ("", "v1", "Namespace", "namespaces"),
            ("apps", "v1", "Deployment", "deployments"),
            ("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies"),
        ][kind];
        let given = request(&json!({
            "object": object, "oldObject": old, "operation": operation, "namespace": "shop", "name": "web",
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": plural},
        }));
        asked(async {
            let world = world();
            for path in PATHS {
                let response = world.review(path, &given).await;
                assert!(response["allowed"].is_boolean(), "{response}");
            }
            assert!(world.scraped().contains("meshward_evaluation_panics_total 0"), "{given}");
        });
    }
}

/// The fuzz target's own assertions, on its seeds whole, cut and damaged.
#[test]
fn seeds_of_the_fuzzer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/review");
    let mut count = 0;
    for seed in std::fs::read_dir(folder).unwrap() {
        let whole = std::fs::read(seed.unwrap().path()).unwrap();
        crate::reviews::review(&whole);
        for at in 0..whole.len() {
            crate::reviews::review(&whole[..at]);
            let mut damaged = whole.clone();
            damaged[at] = damaged[at].wrapping_mul(31).wrapping_add(1);
            crate::reviews::review(&damaged);
        }
        count += 1;
    }
    assert!(count >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_corpus_of_odd_reviews() {
    let world = world();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = json!((0..20_000).map(|n| json!({"name": format!("c{n}"), "image": "x"})).collect::<Vec<_>>());
    let long = "x".repeat(1 << 20);
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": long, "namespace": "shop"}, "spec": spec});
    let objects = [
        json!({"kind": "Pod"}),
        pod(json!({"containers": wide})),
        pod(json!({"containers": [{"name": long, "image": long}], "ephemeralContainers": "x"})),
        pod(json!({"volumes": [{"name": "\u{0}", "hostPath": {"path": {"a": []}}}]})),
        pod(json!({"containers": [{"securityContext": {"capabilities": {"add": [1, null, {"x": 1}]}}}]})),
    ];
    for object in objects {
        let given = request(&json!({"object": object, "namespace": "shop"}));
        for path in PATHS {
            let response = world.review(path, &given).await;
            assert!(response["allowed"].is_boolean());
            let message = response["status"]["message"].as_str().unwrap_or_default();
            assert!(message.len() < 3 << 20, "{path}: {}", message.len());
        }
    }
    let nested = format!(
        r#"{{"apiVersion": "admission.k8s.io/v1", "request": {{"uid": "1", "operation": "CREATE", "kind": {{"version": "v1", "kind": "Pod"}},
            "resource": {{"version": "v1", "resource": "pods"}}, "namespace": "shop", "userInfo": {{}}, "object": {deep}}}}}"#
    );
    for path in PATHS {
        let (status, _) = world.send(post(path, nested.clone())).await;
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::OK, "{status}");
    }
    let twice =
        r#"{"apiVersion": "admission.k8s.io/v1", "apiVersion": "admission.k8s.io/v1", "request": null}"#;
    assert_eq!(world.send(post(PATHS[0], twice.to_owned())).await.0, StatusCode::BAD_REQUEST);
}
