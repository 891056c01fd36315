//! Webhook configurations follow what is in force, whoever leads and whoever interferes.

use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use meshward_kit::watch::resource;
use serde_json::{Value, json};

use crate::balancer::get;
use crate::bed::{Bed, SOON, eventually};
use crate::load::Load;

fn policy(name: &str, kinds: &[&str]) -> Value {
    json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"rules": [{
            "name": "r", "match": {"any": [{"resources": {"kinds": kinds}}]},
            "validate": {"failureAction": "Audit", "pattern": {"metadata": {"name": "?*"}}},
        }]},
    })
}

/// The rules of the policies' webhooks, as `operations resources`.
async fn rules(bed: &Bed) -> Vec<String> {
    let Some(found) = bed.configuration("meshward-policies").await else { return Vec::new() };
    let list = |value: &Value| {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(",")
    };
    // The API server leaves an empty list out.
    let webhooks = found["webhooks"].as_array().into_iter().flatten();
    let rules = webhooks.flat_map(|webhook| webhook["rules"].as_array().unwrap());
    rules.map(|rule| format!("{} {}", list(&rule["operations"]), list(&rule["resources"]))).collect()
}

#[tokio::test]
async fn a_policy_brings_its_webhook_and_interference_is_undone() {
    let Some(bed) = Bed::or_skip("hooks").await else { return };
    let _only = bed.replica("only", &[]).await;
    bed.balancer.ready(1).await;
    assert!(bed.configuration("meshward-swap").await.is_some(), "ready means written");

    // A kind of our own, so that nobody else's requests come here.
    let api = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    let name = format!("{}-policy", bed.name);
    let start = Instant::now();
    bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &policy(&name, &["PriorityClass"]))
        .await;
    let wanted = "CREATE,UPDATE priorityclasses".to_owned();
    eventually("the policy's webhook", async || rules(&bed).await.contains(&wanted)).await;
    println!("the webhook of a policy came after {:?}", start.elapsed());

    bed.tamper("meshward-policies", json!({"webhooks": []})).await;
    eventually("the repair", async || rules(&bed).await.contains(&wanted)).await;
    let labels = json!({"metadata": {"labels": {"meshward.dev/service": null}}});
    bed.tamper("meshward-standards", labels).await;
    eventually("the labels", async || bed.configuration("meshward-standards").await.is_some()).await;
    bed.validating()
        .delete(&format!("meshward-objects.{}", bed.name), &DeleteParams::default())
        .await
        .unwrap();
    eventually("the removed one", async || bed.configuration("meshward-objects").await.is_some()).await;

    let other = json!({"spec": policy(&name, &["StorageClass"])["spec"]});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(other)).await.unwrap();
    let now = "CREATE,UPDATE storageclasses".to_owned();
    let moved = async || {
        let rules = rules(&bed).await;
        rules.contains(&now) && !rules.contains(&wanted)
    };
    eventually("the other kind", moved).await;
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually("the end of it", async || !rules(&bed).await.contains(&now)).await;
    uninstall(&bed).await;
    bed.end().await;
}

#[tokio::test]
async fn a_leader_that_is_told_to_takes_its_webhooks_with_it() {
    let Some(bed) = Bed::or_skip("exits").await else { return };
    let (remove, more) = (["--remove-webhooks-on-exit", "--drain-delay", "0s"], ["--drain-delay", "0s"]);
    let mut only = bed.replica("only", &remove).await;
    bed.balancer.ready(1).await;
    assert!(!bed.names().await.is_empty());
    assert_eq!(only.terminate().await, 0);
    assert_eq!(bed.names().await, [] as [&str; 0]);
    // One that is not told leaves them: there is another replica, or will be.
    let mut next = bed.replica("next", &more).await;
    bed.balancer.remove(only.backend);
    bed.balancer.ready(1).await;
    let before = bed.names().await;
    assert_eq!(next.terminate().await, 0);
    assert_eq!((bed.names().await, before.is_empty()), (before, false));
    uninstall(&bed).await;
    bed.end().await;
}

/// Replicas still run, and must not bring back what was taken away.
pub(crate) async fn uninstall(bed: &Bed) {
    let ended = tokio::time::timeout(SOON, bed.command().arg("uninstall").output()).await.unwrap().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    for _ in 0..20 {
        assert_eq!(bed.names().await, [] as [&str; 0]);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether a configuration lets requests through when nobody answers.
async fn lets_through(bed: &Bed) -> bool {
    let found = bed.configuration("meshward-swap").await.unwrap();
    found["webhooks"][0]["failurePolicy"] == "Ignore"
}

#[tokio::test]
async fn another_leads_when_the_leader_is_killed_and_none_is_missed_in_a_rollout() {
    let Some(bed) = Bed::or_skip("leads").await else { return };
    let fail = ["--swap-failure=fail", "--drain-delay=2s", "--warm-up=2s", "--lease-duration=4s"];
    let (first, second) = (bed.replica("first", &fail).await, bed.replica("second", &fail).await);
    bed.balancer.ready(2).await;
    // Nothing is refused before the API server can reach us.
    assert!(lets_through(&bed).await);
    eventually("the failure policy", async || !lets_through(&bed).await).await;

    // A rollout: each replica is replaced in turn, the leader among them.
    let load = Load::start(&bed);
    let mut replicas = vec![first, second];
    for name in ["third", "fourth"] {
        replicas.push(bed.replica(name, &fail).await);
        bed.balancer.ready(3).await;
        let mut old = replicas.remove(0);
        assert_eq!(old.terminate().await, 0, "{} ends well", old.name);
        bed.balancer.remove(old.backend);
        bed.balancer.ready(2).await;
    }
    let slowest = load.slowest();
    let (admitted, failed) = load.end().await;
    assert!(failed.is_empty(), "{} of {}: {}", failed.len(), admitted + failed.len(), failed[0]);
    println!("{admitted} pods were admitted during a rollout, none failed, the slowest took {slowest} ms");

    // The leader is killed; the webhooks go on with the other one, and so do their writers.
    eventually("a leader", async || ["third", "fourth"].contains(&bed.leader().await.as_str())).await;
    let leader = bed.leader().await;
    let at = replicas.iter().position(|replica| replica.name == leader).unwrap();
    let mut killed = replicas.remove(at);
    let start = Instant::now();
    killed.child.kill().await.unwrap();
    bed.balancer.remove(killed.backend);
    let other = replicas[0].name.clone();
    eventually("another leader", async || bed.leader().await == other).await;
    println!("another led {:?} after the leader was killed", start.elapsed());
    bed.tamper("meshward-standards", json!({"webhooks": []})).await;
    let whole = async || {
        let found = bed.configuration("meshward-standards").await.unwrap();
        found["webhooks"].as_array().is_some_and(|webhooks| !webhooks.is_empty())
    };
    eventually("its repair", whole).await;
    assert!(replicas[0].metrics().await.contains("meshward_webhook_configuration_writes_total{"));
    let load = Load::start(&bed);
    eventually("pods admitted", async || load.admitted() > 20).await;
    let (_, failed) = load.end().await;
    assert!(failed.is_empty(), "{failed:?}");
    uninstall(&bed).await;
    drop(replicas);
    bed.end().await;
}

/// The API server decides by them, and one that it cannot read is in nobody else's way.
#[tokio::test(flavor = "multi_thread")]
async fn match_conditions_are_the_api_servers() {
    let Some(bed) = Bed::alone_or_skip("conditions").await else { return };
    let policy = |name: &str, expression: &str| {
        let matched = json!({"kinds": ["ConfigMap"], "namespaces": [bed.shop]});
        json!({
            "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": format!("{}-{name}", bed.name)},
            "spec": {
                "background": false,
                "webhookConfiguration": {"matchConditions": [{"name": "when", "expression": expression}]},
                "rules": [{
                    "name": name, "match": {"any": [{"resources": matched}]},
                    "validate": {"failureAction": "Enforce", "message": name, "deny": {}},
                }],
            },
        })
    };
    let all = [("broken", "object.metadata.("), ("some", "!object.metadata.name.startsWith('spared')")];
    for (name, expression) in all {
        bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &policy(name, expression)).await;
    }
    let mut replica = bed.replica("a", &["--no-swap"]).await;
    let refused = async |name: &str| {
        let maps = resource("", "v1", "ConfigMap", "configmaps");
        let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, &maps);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        api.create(&dry, &serde_json::from_value(object).unwrap()).await.err().map(|error| error.to_string())
    };
    eventually("a refusal", || async { refused("taken").await.is_some() }).await;
    let words = refused("taken").await.unwrap();
    assert!(words.contains("some") && !words.contains("broken"), "{words}");
    assert_eq!(refused("spared-1").await, None);
    let conditions = bed.configuration("meshward-conditions").await.unwrap();
    assert_eq!(conditions["webhooks"].as_array().map(Vec::len), Some(1), "{conditions}");
    // What the others write goes on.
    eventually("ready", || async {
        get(replica.backend.admin, "/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    let api = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    conditions_are_told(&bed, &policy).await;
    let asked = async || refused("spared-2").await.is_some_and(|words| words.contains("broken"));
    eventually("the corrected one is asked", asked).await;
    for (name, _) in all {
        drop(api.delete(&format!("{}-{name}", bed.name), &DeleteParams::default()).await);
    }
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}

/// The policy `broken` says in its status what the API server refuses, until it is corrected, and cannot be broken again.
async fn conditions_are_told(bed: &Bed, policy: &impl Fn(&str, &str) -> Value) {
    let api = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    let ready = async |name: &str| {
        let object = api.get(&format!("{}-{name}", bed.name)).await.unwrap();
        let condition = object.data.pointer("/status/conditions/0").cloned().unwrap_or_default();
        let current = condition["observedGeneration"].as_i64() == object.metadata.generation;
        current.then(|| (condition["status"].clone(), condition["message"].as_str().unwrap().to_owned()))
    };
    eventually("the status", async || ready("broken").await.is_some()).await;
    let (status, message) = ready("broken").await.unwrap();
    let path = "spec.webhookConfiguration.matchConditions[0].expression: Invalid value: \"object.metadata.(\": \
                compilation failed: ERROR: <input>:1:17: Syntax error";
    assert!(status == "False" && message.contains(path), "{status}: {message}");
    eventually("the other", async || ready("some").await.is_some_and(|(status, _)| status == "True")).await;

    let change = async |expression: &str| {
        let name = format!("{}-broken", bed.name);
        let patch = Patch::Merge(json!({"spec": policy("broken", expression)["spec"]}));
        api.patch(&name, &PatchParams::default(), &patch).await.map(drop)
    };
    change("object.metadata.name == 'spared-2'").await.unwrap();
    let corrected = async || ready("broken").await.is_some_and(|(status, _)| status == "True");
    eventually("it is ready once it is corrected", corrected).await;
    let kube::Error::Api(answer) = change("1 + 1").await.unwrap_err() else { panic!("an answer") };
    let field = "spec.webhookConfiguration.matchConditions[0].expression";
    let told = format!("{field}: Invalid value: \"1 + 1\": must evaluate to bool but got int");
    assert!(answer.message.contains(&told), "{}", answer.message);
    assert!(answer.details.unwrap().causes.iter().any(|cause| cause.field == field));
    assert!(corrected().await, "what is refused changes nothing");
}
