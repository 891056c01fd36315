//! The scan on a real API server: how many objects, how many writes, what is left when policies and objects go.

use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use meshward_kit::watch::resource;
use serde_json::{Value, json};

use crate::bed::{Bed, Replica, eventually};
use crate::webhooks::uninstall;

/// Objects, unless `MESHWARD_TEST_OBJECTS` says how many.
const OBJECTS: usize = 300;
/// Objects that are made at one time.
const AT_ONCE: usize = 8;

fn objects() -> usize {
    std::env::var("MESHWARD_TEST_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(OBJECTS)
}

/// A policy about the ConfigMaps of the bed's namespace: half of them fail it.
async fn policy(bed: &Bed) {
    let object = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": bed.name},
    "spec": {"admission": false, "rules": [{
        "name": "colour", "match": {"any": [{"resources": {"kinds": ["ConfigMap"], "namespaces": [bed.shop]}}]},
        "validate": {"message": "red only", "pattern": {"data": {"colour": "red"}}},
    }]}});
    bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &object).await;
}

async fn config_maps(bed: &Bed, from: usize, to: usize) {
    let api: Api<DynamicObject> =
        Api::namespaced_with(bed.client.clone(), &bed.shop, &resource("", "v1", "ConfigMap", "configmaps"));
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..AT_ONCE {
        let api = api.clone();
        tasks.spawn(async move {
            for number in (from + part..to).step_by(AT_ONCE) {
                let colour = if number % 2 == 0 { "red" } else { "blue" };
                let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("c-{number}")},
                    "data": {"colour": colour}});
                api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}

/// Results of the reports in the bed's namespace: those that are there, passes and failures.
async fn reports(bed: &Bed) -> (usize, i64, i64) {
    reports_of(bed, &resource("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports")).await
}

async fn reports_of(bed: &Bed, resource: &ApiResource) -> (usize, i64, i64) {
    let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, resource);
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let ours = |report: &&DynamicObject| {
        let scope = report.data.pointer("/scope/kind").and_then(Value::as_str);
        scope == Some("ConfigMap")
    };
    let count = |name: &str| {
        let pointer = format!("/summary/{name}");
        let of = |report: &DynamicObject| report.data.pointer(&pointer).and_then(Value::as_i64).unwrap();
        all.iter().filter(ours).map(of).sum::<i64>()
    };
    (all.iter().filter(ours).count(), count("pass"), count("fail"))
}

/// One number of a replica's metrics; 0 where it has none.
async fn metric(replica: &Replica, line: &str) -> f64 {
    let text = replica.metrics().await;
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_default()
}

async fn writes(replica: &Replica, outcome: &str) -> f64 {
    metric(replica, &format!("meshward_report_writes_total{{outcome=\"{outcome}\"}}")).await
}

/// Waits for a whole pass and until nothing waits to be written.
async fn scanned(replica: &Replica, objects: usize) -> Duration {
    let start = Instant::now();
    loop {
        let present = metric(replica, "meshward_scan_present{kind=\"ConfigMap\"}").await;
        let waiting = metric(replica, "meshward_reports_waiting").await;
        if present >= objects as f64 && waiting == 0.0 {
            return start.elapsed();
        }
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "no pass in time: {present} present, {waiting} waiting"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Resident memory in MiB.
fn memory(replica: &Replica) -> u64 {
    let path = format!("/proc/{}/status", replica.child.id().unwrap());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_reported_once_and_not_again() {
    let Some(bed) = Bed::or_skip("scans").await else { return };
    policy(&bed).await;
    let objects = objects();
    config_maps(&bed, 0, objects).await;
    let fast = ["--no-swap", "--report-rate", "1000", "--scan-cpu", "100"];

    let mut first = bed.replica("first", &fast).await;
    bed.balancer.ready(1).await;
    let took = scanned(&first, objects).await;
    // The API server's own ConfigMaps of the namespace are among them.
    let (reported, pass, fail) = reports(&bed).await;
    assert!(reported >= objects, "{reported} reports of {objects} objects");
    assert_eq!((pass as usize, fail as usize), (objects / 2 + objects % 2, reported - objects.div_ceil(2)));
    let written = writes(&first, "written").await;
    // What was on its way when a busy API server took the leadership for a moment is not counted.
    assert!(written as usize <= reported, "{written} writes for {reported} objects");
    println!("first scan: {objects} objects, {took:.1?}, {written} writes, at most {} MiB", memory(&first));
    assert_eq!(first.terminate().await, 0);

    let mut second = bed.replica("second", &fast).await;
    bed.balancer.ready(1).await;
    let took = scanned(&second, objects).await;
    eventually("all are known", || async { writes(&second, "unchanged").await as usize >= reported }).await;
    assert_eq!((writes(&second, "written").await, writes(&second, "deleted").await), (0.0, 0.0));
    println!("second scan: {took:.1?}, no writes, at most {} MiB", memory(&second));

    // A policy that goes takes its reports with it.
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    policies.delete(&bed.name, &DeleteParams::default()).await.unwrap();
    let start = Instant::now();
    while reports(&bed).await.0 > 0 {
        assert!(start.elapsed() < Duration::from_secs(300), "reports are left");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("{reported} reports gone in {:.1?}", start.elapsed());
    assert_eq!(second.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_have_their_other_names_by_switch() {
    const OBJECTS: usize = 10;
    let Some(bed) = Bed::or_skip("openreports").await else { return };
    policy(&bed).await;
    config_maps(&bed, 0, OBJECTS).await;
    let settings = ["--no-swap", "--report-rate", "1000", "--reports", "openreports"];
    let mut replica = bed.replica("a", &settings).await;
    bed.balancer.ready(1).await;
    scanned(&replica, OBJECTS).await;
    let open = resource("openreports.io", "v1alpha1", "Report", "reports");
    // Results on their way to the writer do not wait there yet.
    eventually("a report of each", || async { reports_of(&bed, &open).await.0 >= OBJECTS }).await;
    let (reported, pass, fail) = reports_of(&bed, &open).await;
    assert_eq!((pass as usize, fail as usize), (OBJECTS / 2, reported - OBJECTS / 2));
    assert_eq!(reports(&bed).await.0, 0, "under both names");
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    policies.delete(&bed.name, &DeleteParams::default()).await.unwrap();
    eventually("no reports are left", || async { reports_of(&bed, &open).await.0 == 0 }).await;
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_written_at_the_rate_that_is_set() {
    const RATE: usize = 20;
    const FLOOD: usize = 120;
    let Some(bed) = Bed::or_skip("floods").await else { return };
    policy(&bed).await;
    let rate = RATE.to_string();
    let mut replica = bed.replica("one", &["--no-swap", "--report-rate", &rate]).await;
    bed.balancer.ready(1).await;
    scanned(&replica, 1).await;
    let (before, start) = (writes(&replica, "written").await, Instant::now());
    config_maps(&bed, 0, FLOOD).await;
    let mut most = 0.0_f64;
    while reports(&bed).await.2 < (FLOOD / 2) as i64 {
        let written = writes(&replica, "written").await - before;
        // A bucket of one second, and what flows into it.
        let allowed = RATE as f64 * (start.elapsed().as_secs_f64() + 1.0) + 1.0;
        assert!(written <= allowed, "{written} writes in {:.1?}", start.elapsed());
        most = most.max(written / allowed);
        assert!(start.elapsed() < Duration::from_secs(120), "the flood is never told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{FLOOD} objects told in {:.1?}, at most {:.0} % of the rate", start.elapsed(), most * 100.0);
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    policies.delete(&bed.name, &DeleteParams::default()).await.unwrap();
    assert_eq!(replica.terminate().await, 0);
    uninstall(&bed).await;
    bed.end().await;
}

/// A pod that nothing starts.
fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "schedulerName": "nobody", "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "istio-init", "image": "docker.io/istio/proxyv2:1.27.0", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}}],
        "containers": [{"name": "web", "image": "web:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
    }})
}

/// By every controller: one of another test that did not look at any would take reports about them away.
async fn pods_are_looked_at(bed: &Bed) {
    let object = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": bed.name},
    "spec": {"admission": false, "rules": [{
        "name": "none", "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": [bed.name]}}]},
        "validate": {"message": "none", "deny": {}},
    }]}});
    bed.create("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", &object).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exemption_says_what_it_is_good_for() {
    let Some(bed) = Bed::or_skip("saves").await else { return };
    // In a namespace that only warns, so that nothing has to be running yet.
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("{}-mesh", bed.name),
        "labels": {"looked-at-by": bed.name, "meshward.dev/warn": "restricted"}}});
    bed.create("", "v1", "Namespace", "namespaces", &space).await;
    let space = format!("{}-mesh", bed.name);
    let namespaced = |group: &str, version: &str, kind: &str, plural: &str| -> Api<DynamicObject> {
        Api::namespaced_with(bed.client.clone(), &space, &resource(group, version, kind, plural))
    };
    let pods = namespaced("", "v1", "Pod", "pods");
    for name in ["a", "b"] {
        pods.create(&PostParams::default(), &serde_json::from_value(pod(name)).unwrap()).await.unwrap();
    }
    // Whole seconds, as it is written.
    let after = |seconds| jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + seconds).unwrap();
    let written = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let exemption = json!({"apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "metadata": {"name": "init"},
        "spec": {"reason": "test", "expires": written(after(3600)), "entries": [{
            "containers": {"names": ["istio-init"]},
            "allow": [{"control": "Capabilities"}, {"control": "Running as Non-root user"}]}]}});
    let exemptions = namespaced("meshward.dev", "v1alpha1", "Exemption", "exemptions");
    exemptions.create(&PostParams::default(), &serde_json::from_value(exemption).unwrap()).await.unwrap();
    pods_are_looked_at(&bed).await;
    let mut replica = bed.replica("one", &["--no-swap"]).await;
    bed.balancer.ready(1).await;
    let status = || async {
        let object = exemptions.get("init").await.unwrap();
        object.data.get("status").cloned().unwrap_or_default()
    };
    eventually("two pods are saved", || async { status().await["podsSaved"] == 2 }).await;
    let now = status().await;
    assert_eq!(now["noLongerNeeded"], json!(["spec.entries[0].allow[1]: Running as Non-root user"]), "{now}");
    assert_eq!(now.pointer("/conditions/0/status"), Some(&json!("True")), "{now}");
    pods.delete("a", &DeleteParams::default().grace_period(0)).await.unwrap();
    eventually("one pod is saved", || async { status().await["podsSaved"] == 1 }).await;
    // It expires at its time, not at the next pass.
    let expires = after(10);
    let sooner = Patch::Merge(json!({"spec": {"expires": written(expires)}}));
    exemptions.patch("init", &PatchParams::default(), &sooner).await.unwrap();
    let start = Instant::now();
    while status().await["expired"] != true {
        assert!(start.elapsed() < Duration::from_secs(60), "{}", status().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let late = jiff::Timestamp::now().duration_since(expires).as_secs_f64();
    assert!((0.0..10.0).contains(&late), "{late} s after it expired");
    println!("an exemption that expired was told after {late:.1} s");
    eventually("its pod fails now", || async {
        let reports = namespaced("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports");
        let all = reports.list(&ListParams::default()).await.unwrap();
        all.items.iter().any(|report| report.data.pointer("/summary/fail") == Some(&json!(1)))
    })
    .await;
    assert_eq!(replica.terminate().await, 0);
    let policies = bed.api("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies");
    policies.delete(&bed.name, &DeleteParams::default()).await.unwrap();
    let namespaces = bed.api("", "v1", "Namespace", "namespaces");
    drop(namespaces.delete(&space, &DeleteParams::default()).await);
    uninstall(&bed).await;
    bed.end().await;
}
