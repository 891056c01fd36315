//! The reporter against a real API server: what reaches the pod, and what does not. Runs where
//! `MESHWARD_TEST_KUBECONFIG` names a cluster in which it may make a namespace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use meshward_kit::admin::{Readiness, openmetrics};
use meshward_kit::client::{Access, connect};
use meshward_mesh::PodRecord;
use meshward_node::report::{Conditions, Happened, Metrics, Report, Reporter, Shown, keep_taint};
use meshward_node::settings::{Invocation, Reloader};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);

/// A client, and a namespace of its own; none without a cluster.
async fn cluster(namespace: &str) -> Option<Client> {
    let Some(path) = std::env::var_os("MESHWARD_TEST_KUBECONFIG") else {
        eprintln!("skipped: MESHWARD_TEST_KUBECONFIG is not set");
        return None;
    };
    let access = Access {
        kubeconfig: Some(PathBuf::from(path)),
        user_agent: "meshward-test/1".into(),
        ..Access::default()
    };
    let client = connect(&access).await.expect("a client");
    let object: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": namespace } })).expect("a namespace");
    Api::all(client.clone()).create(&PostParams::default(), &object).await.expect("a namespace is made");
    Some(client)
}

async fn remove(client: &Client, namespace: &str) {
    let _ = Api::<Namespace>::all(client.clone()).delete(namespace, &DeleteParams::default()).await;
}

/// A pod that no scheduler takes: nothing but us changes it.
async fn pod(client: &Client, namespace: &str, name: &str) -> Pod {
    let pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "schedulerName": "nobody", "containers": [{ "name": "app", "image": "none.local/none" }] },
    }))
    .expect("a pod");
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // The service account of a new namespace takes a moment.
    tokio::time::timeout(SOON, async {
        loop {
            match pods.create(&PostParams::default(), &pod).await {
                Ok(pod) => return pod,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await
    .expect("a pod is made")
}

fn record(pod: &Pod, phase: &str) -> PodRecord {
    serde_json::from_value(json!({
        "namespace": pod.metadata.namespace, "name": pod.metadata.name, "uid": pod.metadata.uid,
        "phase": phase, "reason": "as the test says", "mesh": "istio", "backend": "nft", "source": "nri",
        "fingerprint": "9f86d081", "locked": true,
    }))
    .expect("a record")
}

fn report(record: PodRecord, happened: Option<Happened>) -> Report {
    Report { record: Arc::new(record), happened, gone: false }
}

struct Running {
    sender: tokio::sync::mpsc::Sender<Report>,
    readiness: Readiness,
    metrics: Arc<Registry>,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(client: Client, arguments: &[&str]) -> Running {
    let arguments = [&["meshward-node", "--node-name", "n1"], arguments].concat();
    let invocation = Invocation::parse(arguments.iter().map(OsString::from), BTreeMap::new()).expect("flags");
    let reloader = Reloader::new(invocation.clone(), invocation.load().expect("settings"));
    let readiness = Readiness::new();
    let conditions = Conditions { status: readiness.advise("status"), events: readiness.advise("events") };
    let mut registry = Registry::with_prefix("meshward");
    let metrics = Arc::new(Metrics::register(&mut registry, "0.1.0"));
    let (reporter, sender) = Reporter::new(client, "n1", reloader.feed(), metrics, conditions, None);
    let token = CancellationToken::new();
    let task = tokio::spawn(reporter.run(token.clone()));
    Running { sender, readiness, metrics: Arc::new(registry), token, task }
}

impl Running {
    async fn counted(&self, line: &str) {
        let counted = async {
            while !openmetrics(&self.metrics).expect("metrics").contains(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, counted).await;
        assert!(waited.is_ok(), "{line} is missing in\n{}", openmetrics(&self.metrics).expect("metrics"));
    }

    async fn end(self) {
        self.token.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("ends").expect("well");
    }
}

#[tokio::test]
async fn writes_what_changed_once() {
    let space = "meshward-reporter";
    let Some(client) = cluster(space).await else { return };
    let web = pod(&client, space, "web").await;
    let running = start(client.clone(), &["--seed-compatibility"]);
    let programmed = Happened::Programmed { took: Duration::from_micros(600) };
    running.sender.send(report(record(&web, "redirected"), Some(programmed))).await.unwrap();
    running.counted("status_patches_total{outcome=\"written\"} 1").await;
    running.counted("events_total{reason=\"Redirected\",outcome=\"written\"} 1").await;

    let pods: Api<Pod> = Api::namespaced(client.clone(), space);
    let found = pods.get("web").await.unwrap();
    let shown = Shown::of(&found);
    assert!(shown.seed, "{:?}", found.metadata.annotations);
    let condition = shown.condition.unwrap();
    assert_eq!((condition.0, condition.1.as_str()), (true, "Redirected"));
    assert!(condition.2.contains("fingerprint 9f86d081"), "{}", condition.2);

    // Another agent that finds the same writes nothing: it reads what the pod shows.
    let second = start(client.clone(), &["--seed-compatibility"]);
    second.sender.send(report(record(&web, "redirected"), None)).await.unwrap();
    second.counted("status_patches_total{outcome=\"unchanged\"} 1").await;
    let again = pods.get("web").await.unwrap();
    assert_eq!(again.metadata.resource_version, found.metadata.resource_version);
    second.end().await;

    // A pod of the same name with another uid is not hit, also when the reporter believes to know the pod.
    let mut former = record(&web, "failed");
    former.uid = "00000000-0000-0000-0000-000000000000".into();
    running.sender.send(report(former, None)).await.unwrap();
    running.counted("status_patches_total{outcome=\"gone\"} 1").await;
    assert_eq!(pods.get("web").await.unwrap().metadata.resource_version, found.metadata.resource_version);

    // Refused: an Event that says why, and the seed's mark goes.
    running.sender.send(report(record(&web, "refused"), Some(Happened::Refused))).await.unwrap();
    running.counted("events_total{reason=\"RedirectionRefused\",outcome=\"written\"} 1").await;
    running.counted("status_patches_total{outcome=\"written\"} 2").await;
    let refused = Shown::of(&pods.get("web").await.unwrap());
    assert!(!refused.seed && refused.condition.is_some_and(|(redirected, ..)| !redirected));
    let events: Api<Event> = Api::namespaced(client.clone(), space);
    let ours = ListParams::default().fields("reportingController=meshward.dev/node");
    let mut notes: Vec<String> =
        events.list(&ours).await.unwrap().into_iter().filter_map(|event| event.note).collect();
    notes.sort();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("as the test says. Nothing was programmed"), "{notes:?}");
    assert!(running.readiness.report().conditions.iter().all(|condition| condition.holds));
    running.end().await;
    remove(&client, space).await;
}

/// The uid in the patch is a precondition to this API server: the answer means that the pod is gone.
#[tokio::test]
async fn a_successor_is_not_hit() {
    let space = "meshward-successor";
    let Some(client) = cluster(space).await else { return };
    let first = pod(&client, space, "web").await;
    let running = start(client.clone(), &[]);
    running.sender.send(report(record(&first, "waiting"), None)).await.unwrap();
    running.counted("status_patches_total{outcome=\"written\"} 1").await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), space);
    pods.delete("web", &DeleteParams::default().grace_period(0)).await.unwrap();
    let second = pod(&client, space, "web").await;
    // The reporter knows what the first one shows, so this goes straight to the patch.
    running.sender.send(report(record(&first, "redirected"), None)).await.unwrap();
    running.counted("status_patches_total{outcome=\"gone\"} 1").await;
    let found = pods.get("web").await.unwrap();
    assert_eq!(found.metadata.uid, second.metadata.uid);
    assert!(Shown::of(&found).is_empty());
    running.end().await;
    remove(&client, space).await;
}

#[tokio::test]
async fn the_taint_goes_and_comes_and_others_stay() {
    let space = "meshward-taint";
    let Some(client) = cluster(space).await else { return };
    let nodes: Api<Node> = Api::all(client.clone());
    let name = "meshward-test-node";
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "spec": { "taints": [
            { "key": "test/other", "effect": "NoSchedule" },
            { "key": "meshward.dev/not-ready", "effect": "NoSchedule" },
        ] },
    });
    nodes.patch(name, &PatchParams::apply("meshward-test").force(), &Patch::Apply(&node)).await.unwrap();
    let keys = async || {
        let node = nodes.get(name).await.expect("the node");
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        taints
            .into_iter()
            .map(|taint| taint.key)
            .filter(|key| !key.starts_with("node.kubernetes.io"))
            .collect::<Vec<_>>()
    };
    let readiness = Readiness::new();
    let pods = readiness.require("pods", "not yet");
    let condition = readiness.advise("taint");
    let token = CancellationToken::new();
    let key = "meshward.dev/not-ready".to_string();
    let task =
        tokio::spawn(keep_taint(client.clone(), name.into(), key, readiness, condition, token.clone()));
    assert_eq!(keys().await.len(), 2);
    pods.hold();
    let gone = async {
        while keys().await.len() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the taint goes");
    assert_eq!(keys().await, ["test/other"]);
    token.cancel();
    tokio::time::timeout(SOON, task).await.unwrap().unwrap();
    assert_eq!(keys().await, ["test/other", "meshward.dev/not-ready"]);
    nodes.delete(name, &DeleteParams::default()).await.unwrap();
    remove(&client, space).await;
}
