//! Policies that name versions of one kind, on a real API server: it alone has the same object in each.

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use meshward_kit::watch::resource;
use serde_json::{Value, json};

use crate::bed::{Bed, eventually};
use crate::webhooks::uninstall;

/// A policy of the scan alone, in the bed's namespace.
async fn policy(bed: &Bed, name: &str, kind: &str, pattern: &Value) {
    let matched = json!({"kinds": [kind], "namespaces": [bed.shop]});
    let object = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy",
    "metadata": {"name": format!("{}-{name}", bed.name)}, "spec": {"admission": false, "rules": [{
        "name": name, "match": {"any": [{"resources": matched}]},
        "validate": {"message": name, "pattern": pattern},
    }]}});
    bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &object).await;
}

/// The reports about objects of a kind: of each the results, as `policy result`.
async fn results(bed: &Bed, kind: &str) -> Vec<Vec<String>> {
    let reports = resource("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports");
    let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, &reports);
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let about = all.iter().filter(|report| report.data.pointer("/scope/kind") == Some(&json!(kind)));
    let own = format!("{}-", bed.name);
    let told = about.map(|report| {
        let results = report.data["results"].as_array().into_iter().flatten();
        let text = |result: &Value, name: &str| result[name].as_str().unwrap_or_default().to_owned();
        results
            .map(|one| format!("{} {}", text(one, "policy").replace(&own, ""), text(one, "result")))
            .collect()
    });
    told.collect()
}

async fn told(bed: &Bed, kind: &str, expected: &[&str]) {
    eventually(
        &format!("{kind}: {expected:?}"),
        async || matches!(&results(bed, kind).await[..], [one] if one == expected),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_judged_in_each_version_that_policies_name() {
    let Some(bed) = Bed::or_skip("versions").await else { return };
    let metrics = json!({"spec": {"metrics": [{"resource": {"name": "cpu"}}]}});
    policy(&bed, "newer", "autoscaling/v2/HorizontalPodAutoscaler", &metrics).await;
    let busy = json!({"spec": {"targetCPUUtilizationPercentage": "<=80"}});
    policy(&bed, "older", "autoscaling/v1/HorizontalPodAutoscaler", &busy).await;
    let version = json!({"apiVersion": "autoscaling/v2"});
    policy(&bed, "whichever", "HorizontalPodAutoscaler", &version).await;
    let kind = resource("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
    let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, &kind);
    let object = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "targetCPUUtilizationPercentage": 70}});
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();

    let mut replica = bed.replica("one", &["--no-swap"]).await;
    bed.balancer.ready(1).await;
    let kind = "HorizontalPodAutoscaler";
    told(&bed, kind, &["newer pass", "older pass", "whichever pass"]).await;
    // A change is told by the version that is watched, and judged in both.
    let patch = Patch::Merge(json!({"spec": {"targetCPUUtilizationPercentage": 90}}));
    api.patch("web", &PatchParams::default(), &patch).await.unwrap();
    told(&bed, kind, &["newer pass", "older fail", "whichever pass"]).await;
    // When nobody names the preferred version any more, the report is that of the other one.
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    for name in ["newer", "whichever"] {
        policies.delete(&format!("{}-{name}", bed.name), &DeleteParams::default()).await.unwrap();
    }
    told(&bed, kind, &["older fail"]).await;
    api.delete("web", &DeleteParams::default()).await.unwrap();
    policies.delete(&format!("{}-older", bed.name), &DeleteParams::default()).await.unwrap();
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}

/// A kind of two versions, the older of which has to be converted by a webhook that is not there.
fn definition(group: &str) -> Value {
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    let client = json!({"url": "https://127.0.0.1:1/convert"});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Widget", "plural": "widgets"},
            "versions": [version("v2", true), version("v1", false)],
            "conversion": {"strategy": "Webhook",
                "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_be_read_is_told_and_the_others_are_judged() {
    let Some(bed) = Bed::or_skip("unread").await else { return };
    let group = format!("{}.test", bed.name);
    let definitions =
        bed.api("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    let definition = serde_json::from_value(definition(&group)).unwrap();
    definitions.create(&PostParams::default(), &definition).await.unwrap();
    let kind = resource(&group, "v2", "Widget", "widgets");
    let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, &kind);
    eventually("widgets are served", async || api.list(&ListParams::default()).await.is_ok()).await;
    let object = json!({"apiVersion": format!("{group}/v2"), "kind": "Widget", "metadata": {"name": "web"}});
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    for version in ["v1", "v2"] {
        let pattern = json!({"apiVersion": format!("{group}/{version}")});
        policy(&bed, version, &format!("{group}/{version}/Widget"), &pattern).await;
    }
    let mut replica = bed.replica("one", &["--no-swap"]).await;
    bed.balancer.ready(1).await;
    told(&bed, "Widget", &["v1 error", "v2 pass"]).await;
    let name = format!("widgets.{group}");
    let patch = Patch::Merge(json!({"spec": {"conversion": {"strategy": "None", "webhook": null}}}));
    definitions.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"colour": "red"}}));
    api.patch("web", &PatchParams::default(), &patch).await.unwrap();
    told(&bed, "Widget", &["v1 pass", "v2 pass"]).await;
    definitions.delete(&name, &DeleteParams::default()).await.unwrap();
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    for version in ["v1", "v2"] {
        policies.delete(&format!("{}-{version}", bed.name), &DeleteParams::default()).await.unwrap();
    }
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}
