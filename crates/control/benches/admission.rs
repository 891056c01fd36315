//! How long a review takes from bytes to bytes, without the network: `cargo bench -p meshward-control --bench admission`.
//! With a folder behind `--`, the policies are those of its files.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark's output is its result")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use meshward_control::admission::swap::Swapper;
use meshward_control::admission::{Asked, Parts, Scope, router};
use meshward_control::live::{Granting, Live, Snapshot};
use meshward_control::lookup::Outside;
use meshward_control::metrics::Metrics;
use meshward_control::observed::Observer;
use meshward_manifest::{Documents, Options};
use meshward_mesh::{SwapOptions, WaitUser};
use meshward_policy::psa::Configuration;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

const ROUNDS: usize = 4000;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let library = folder.map_or_else(own, |folder| read(&folder));
    let pod = review("", "pods", &pod());
    println!("{} policies in the library, pod of {} bytes", library.len(), pod.len());
    for count in [1, 18, 50] {
        let policies: Vec<Value> = (0..count).map(|index| numbered(&library, index)).collect();
        let router = webhooks(&policies);
        let told = format!("pod, {count} policies");
        runtime.block_on(measure(&told, &router, "/validate/policies/fail", &pod));
        together(&told, &router, "/validate/policies/fail", &pod);
    }
    let router = webhooks(&library);
    let other = review(
        "coordination.k8s.io",
        "leases",
        &json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "namespace": "shop"}}),
    );
    runtime.block_on(measure("a kind that no policy is about", &router, "/validate/policies/fail", &other));
    runtime.block_on(measure("pod, labels", &router, "/validate/standards/enforce", &pod));
}

async fn measure(told: &str, router: &Router, path: &str, body: &Bytes) {
    let mut times = Vec::with_capacity(ROUNDS);
    let began = Instant::now();
    for round in 0..ROUNDS + 200 {
        let request = request(path, body);
        let start = Instant::now();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        if round == 0 && !answer.windows(14).any(|part| part == b"\"allowed\":true") {
            println!("refused: {}", String::from_utf8_lossy(&answer));
        }
        if round >= 200 {
            times.push(start.elapsed());
        }
    }
    let all = began.elapsed();
    times.sort_unstable();
    let at = |part: usize| micros(times[times.len() * part / 1000]);
    let rate = (ROUNDS + 200) as f64 / all.as_secs_f64();
    println!(
        "{told:32} p50 {:8.1} µs  p99 {:8.1} µs  p99.9 {:8.1} µs  {rate:8.0}/s on one thread",
        at(500),
        at(990),
        at(999)
    );
}

/// The same on every processor at once: what threads share, they wait for.
fn together(told: &str, router: &Router, path: &str, body: &Bytes) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    for _ in 0..ROUNDS {
                        let response = router.clone().oneshot(request(path, body)).await.unwrap();
                        assert_eq!(response.status(), 200);
                    }
                });
            });
        }
    });
    let rate = (ROUNDS * threads) as f64 / began.elapsed().as_secs_f64();
    println!("{told:32} {rate:8.0}/s on {threads} threads");
}

fn request(path: &str, body: &Bytes) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.header(header::CONTENT_LENGTH, body.len());
    request.body(Body::from(body.clone())).unwrap()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn webhooks(policies: &[Value]) -> Router {
    let live = Live::default();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {
        "meshward.dev/enforce": "restricted"}}});
    let objects: Vec<Value> = policies.iter().cloned().chain([namespace]).collect();
    let snapshot = Snapshot::of(&objects, &Granting::default());
    let broken: Vec<_> = snapshot.policies.broken().collect();
    assert!(broken.is_empty(), "{broken:?}");
    live.change(|now| *now = snapshot);
    let (observed, mut receiver) = mpsc::channel(1024);
    std::thread::spawn(move || while receiver.blocking_recv().is_some() {});
    let (_, roles) = watch::channel(None);
    router(Parts {
        live,
        outside: Arc::new(Outside::new(None, roles)),
        observed: Observer::new(observed, false),
        metrics: Metrics::new(false),
        asked: Asked::default(),
        swapper: Swapper::new(SwapOptions::default(), || WaitUser::Ordinary, Vec::new()),
        scope: Scope::default(),
        granting: Granting::default(),
        configuration: Configuration::default(),
        pod_security_labels: false,
    })
}

fn review(group: &str, resource: &str, object: &Value) -> Bytes {
    let kind = json!({"group": group, "version": "v1", "kind": object["kind"]});
    let resource = json!({"group": group, "version": "v1", "resource": resource});
    let request = json!({
        "uid": "0ff1ce", "operation": "CREATE", "kind": kind, "resource": resource, "requestKind": kind,
        "requestResource": resource, "name": object["metadata"]["name"], "namespace": "shop",
        "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]},
        "object": object, "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions"},
    });
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    Bytes::from(review.to_string())
}

/// A pod that passes everything, 10 KB.
fn pod() -> Value {
    let environment: Vec<Value> =
        (0..40).map(|n| json!({"name": format!("KEY_{n}"), "value": "x".repeat(40)})).collect();
    let container = |name: &str| {
        json!({
            "name": name, "image": format!("registry.example.com/{name}:1.2.3"), "env": environment,
            "ports": [{"containerPort": 8080}],
            "securityContext": {
                "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1337,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"owner": "me"}},
        "spec": {"initContainers": [container("init")], "containers": [container("proxy"), container("app")]},
    })
}

/// Policies as the library's per-control ones are written.
fn own() -> Vec<Value> {
    let rule = |validate: Value| json!({"name": "rule", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate});
    let lists = |inner: Value| json!({"spec": {"=(ephemeralContainers)": [inner], "=(initContainers)": [inner], "containers": [inner]}});
    let security = |field: &str, value: &str| lists(json!({"=(securityContext)": {field: value}}));
    let drops = json!({"foreach": [{"list": "request.object.spec.[ephemeralContainers, initContainers, containers][]",
        "deny": {"conditions": {"all": [{"key": "ALL", "operator": "AnyNotIn",
            "value": "{{ element.securityContext.capabilities.drop[] || `[]` }}"}]}}}]});
    let added = json!({"deny": {"conditions": {"all": [{
        "key": "{{ request.object.spec.[ephemeralContainers, initContainers, containers][].securityContext.capabilities.add[] }}",
        "operator": "AnyNotIn", "value": ["", "NET_BIND_SERVICE"]}]}}});
    let bodies = [
        json!({"pattern": security("=(privileged)", "false")}),
        json!({"pattern": security("=(procMount)", "Default")}),
        json!({"pattern": lists(json!({"=(ports)": [{"=(hostPort)": 0}]}))}),
        json!({"pattern": {"spec": {"=(hostPID)": "false", "=(hostIPC)": "false", "=(hostNetwork)": "false"}}}),
        json!({"pattern": {"spec": {"=(volumes)": [{"X(hostPath)": "null"}]}}}),
        json!({"pattern": {"spec": {"=(securityContext)": {"=(sysctls)": [{"name": "kernel.shm_rmid_forced | net.ipv4.*"}]}}}}),
        drops,
        added,
        json!({"anyPattern": [{"spec": {"securityContext": {"runAsNonRoot": "true"}}}, security("runAsNonRoot", "true")]}),
    ];
    let policy = |(index, body): (usize, Value)| {
        json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": format!("p{index}")},
            "spec": {"validationFailureAction": "Enforce", "rules": [rule(body)]}})
    };
    bodies.into_iter().enumerate().map(policy).collect()
}

/// The policies of every file in a folder, enforced.
fn read(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut policies = Vec::new();
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let documents = Documents::new(&text, Options { spans: false, ..Options::default() });
        policies.extend(
            documents
                .map(|document| document.unwrap().value)
                .filter(|value| value["kind"] == "ClusterPolicy"),
        );
    }
    policies
}

/// The policies again and again, each by a name of its own.
fn numbered(library: &[Value], index: usize) -> Value {
    let mut policy = library[index % library.len()].clone();
    policy["metadata"]["name"] = json!(format!("p{index}"));
    policy["spec"]["validationFailureAction"] = json!("Enforce");
    policy
}
