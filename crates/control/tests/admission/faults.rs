//! Evaluations that panic or take too long, on purpose: `cargo test --features faults`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{Made, World, request};

fn policy(name: &str, action: &str, fault: (&str, &str), failure: &str) -> Value {
    json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy",
        "metadata": {"name": name, "annotations": {fault.0: fault.1}},
        "spec": {"failurePolicy": failure, "rules": [{
            "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "validate": {"failureAction": action, "pattern": {"metadata": {"name": "*"}}}}]}})
}

fn world(policies: &[Value]) -> World {
    World::new(Made { objects: policies.to_vec(), excluded: vec![], ..Made::default() })
}

fn pod() -> Value {
    request(&json!({"object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}}))
}

const PANIC: (&str, &str) = ("faults.meshward.dev/panic", "on purpose");

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_refuses_only_where_it_may() {
    for (action, failure, path, allowed) in [
        ("Enforce", "Fail", "/validate/policies/fail", false),
        ("Audit", "Fail", "/validate/policies/fail", true),
        ("Enforce", "Ignore", "/validate/policies/ignore", true),
    ] {
        let mut world =
            world(&[policy("bad", action, PANIC, failure), policy("good", "Enforce", ("a", "b"), failure)]);
        for _ in 0..3 {
            let answer = world.review(path, &pod()).await;
            assert_eq!(answer["allowed"], allowed, "{answer}");
            if !allowed {
                let message = answer["status"]["message"].as_str().unwrap();
                assert!(message.contains("bad:\n  r: 'the evaluation panicked: on purpose'"), "{message}");
            }
            let observed = world.observed.try_recv().unwrap();
            assert_eq!(observed.policies.len(), 2, "the other policy is judged as well");
        }
        assert!(world.scraped().contains("meshward_evaluation_panics_total 3"), "{}", world.scraped());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_slow_policy_is_answered_in_time_and_holds_up_nobody() {
    let slow = ("faults.meshward.dev/sleep", "1500");
    let world = world(&[policy("slow", "Enforce", slow, "Fail")]);
    let began = Instant::now();
    let other = async {
        let (path, object) =
            ("/validate/objects", json!({"object": {"apiVersion": "v1", "kind": "ConfigMap"}}));
        world.review(path, &request(&object)).await;
        began.elapsed()
    };
    let (late, other) = tokio::join!(
        async {
            let answer = world.review("/validate/policies/fail?timeout=1s", &pod()).await;
            (answer, began.elapsed())
        },
        other
    );
    assert_eq!(late.0["allowed"], false);
    assert!(late.0["status"]["message"].as_str().unwrap().contains("not decided in time"), "{}", late.0);
    assert!(late.1 < Duration::from_millis(1000), "{:?}", late.1);
    assert!(other < Duration::from_millis(500), "{other:?}");
    assert!(
        world.scraped().contains(r#"meshward_review_errors_total{kind="deadline"} 1"#),
        "{}",
        world.scraped()
    );
}
