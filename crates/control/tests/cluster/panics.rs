//! An evaluation that panics, on purpose: only a build with the feature `faults` can be asked for one. The policy that
//! panics decides as one that has failed, every other request goes on, and the process stays.

use kube::api::{Api, DynamicObject, PostParams};
use meshward_kit::watch::resource;
use serde_json::{Value, json};

use crate::bed::{Bed, eventually};
use crate::webhooks::uninstall;

const PANIC: &str = "faults.meshward.dev/panic";

/// The kinds that a policy fails closed and open about, and one that none is about. Nothing of a policy is looked at once
/// it panics, so that it is about everything of its kind.
const CLOSED: (&str, &str) = ("ConfigMap", "configmaps");
const OPEN: (&str, &str) = ("Endpoints", "endpoints");
const OTHER: (&str, &str) = ("ServiceAccount", "serviceaccounts");

/// About objects of a kind in the bed's namespace.
fn policy(bed: &Bed, (kind, name): (&str, &str), failure: &str) -> Value {
    let matched = json!({"kinds": [kind], "namespaces": [bed.shop]});
    json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy",
        "metadata": {"name": format!("{}-{name}", bed.name), "annotations": {PANIC: "on purpose"}},
        "spec": {"failurePolicy": failure, "background": false, "rules": [{
            "name": "r", "match": {"any": [{"resources": matched}]},
            "validate": {"failureAction": "Enforce", "pattern": {"metadata": {"name": "?*"}}},
        }]},
    })
}

/// Nothing when it is taken, the words of the refusal otherwise.
async fn create(bed: &Bed, (kind, plural): (&str, &str)) -> Option<String> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(bed.client.clone(), &bed.shop, &resource("", "v1", kind, plural));
    let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}});
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    api.create(&dry, &serde_json::from_value(object).unwrap()).await.err().map(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_panics_takes_nothing_with_it() {
    let Some(bed) = Bed::or_skip("panics").await else { return };
    for (kind, failure) in [(CLOSED, "Fail"), (OPEN, "Ignore")] {
        bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &policy(&bed, kind, failure))
            .await;
    }
    let mut replica = bed.replica("a", &["--no-swap"]).await;
    eventually("a refusal", || async { create(&bed, CLOSED).await.is_some() }).await;
    let refused = create(&bed, CLOSED).await.unwrap();
    assert!(refused.contains("on purpose"), "{refused}");
    eventually("both policies counted", || async {
        drop(create(&bed, OPEN).await);
        let metrics = replica.metrics().await;
        let panics = metrics.lines().find_map(|line| line.strip_prefix("meshward_evaluation_panics_total "));
        panics.is_some_and(|count| count.parse::<f64>().is_ok_and(|count| count >= 3.0))
    })
    .await;
    for _ in 0..20 {
        assert_eq!(create(&bed, OPEN).await, None, "fails open");
        assert_eq!(create(&bed, OTHER).await, None, "nobody's business");
        assert!(create(&bed, CLOSED).await.is_some(), "fails closed");
    }
    assert!(replica.child.try_wait().unwrap().is_none(), "the process ended");
    let api = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    for (_, name) in [CLOSED, OPEN] {
        drop(api.delete(&format!("{}-{name}", bed.name), &kube::api::DeleteParams::default()).await);
    }
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}
