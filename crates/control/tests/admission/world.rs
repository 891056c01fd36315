//! A controller around a router: what is in force, an API server that answers from a table, and what comes out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube::Client;
use meshward_control::admission::swap::Swapper;
use meshward_control::admission::{Asked, Parts, Scope, router};
use meshward_control::live::{Granting, Live, Snapshot};
use meshward_control::lookup::Outside;
use meshward_control::metrics::Metrics;
use meshward_control::observed::{Observed, Observer};
use meshward_control::roles::Roles;
use meshward_mesh::{SwapOptions, WaitUser};
use meshward_policy::psa::Configuration;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::{ServiceExt, service_fn};

/// What a world is made of.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) objects: Vec<Value>,
    /// Answers of the API server by method and path.
    pub(crate) api: BTreeMap<String, Value>,
    pub(crate) excluded: Vec<String>,
    pub(crate) granting: Vec<String>,
    pub(crate) pod_security_labels: bool,
    pub(crate) configuration: Configuration,
    pub(crate) asked: Asked,
}

pub(crate) struct World {
    router: Router,
    pub(crate) metrics: Metrics,
    pub(crate) observed: mpsc::Receiver<Observed>,
    _roles: watch::Sender<Option<Arc<Roles>>>,
}

impl World {
    pub(crate) fn new(made: Made) -> Self {
        meshward_kit::client::install_crypto();
        let live = Live::default();
        let granting = Granting::new(made.granting);
        let snapshot = Snapshot::of(&made.objects, &granting);
        let broken: Vec<_> = snapshot.policies.broken().collect();
        assert!(broken.is_empty(), "{broken:?}");
        live.change(|now| *now = snapshot);
        let mut roles = Roles::default();
        let bindings = made
            .objects
            .iter()
            .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding")));
        bindings.for_each(|binding| roles.insert(binding));
        let (sender, roles) = watch::channel(Some(Arc::new(roles)));
        let outside = Arc::new(Outside::new(Some(api_server(made.api)), roles));
        let (observed, receiver) = mpsc::channel(64);
        let metrics = Metrics::new(true);
        let router = router(Parts {
            live,
            outside,
            observed: Observer::new(observed, true),
            metrics: metrics.clone(),
            asked: made.asked,
            swapper: Swapper::new(SwapOptions::default(), || WaitUser::Ordinary, made.excluded.clone()),
            scope: Scope::new(made.excluded),
            granting,
            configuration: made.configuration,
            pod_security_labels: made.pod_security_labels,
        });
        Self { router, metrics, observed: receiver, _roles: sender }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// The `response` of a review.
    pub(crate) async fn review(&self, path: &str, request: &Value) -> Value {
        let review =
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let (status, body) = self.send(post(path, review.to_string())).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], request["uid"]);
        answer["response"].clone()
    }

    /// The metrics as they are scraped.
    pub(crate) fn scraped(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.metrics.register(&mut registry);
        meshward_kit::admin::openmetrics(&registry).unwrap()
    }
}

pub(crate) fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).unwrap()
}

/// A client of an API server that knows these answers; everything else is not found.
fn api_server(answers: BTreeMap<String, Value>) -> Client {
    let answers = Arc::new(answers);
    let service = service_fn(move |request: Request<kube::client::Body>| {
        let answers = answers.clone();
        async move {
            let asked = format!("{} {}", request.method(), request.uri());
            let (code, body) = match answers.get(&asked) {
                Some(Value::Object(status)) if status.get("kind").is_some_and(|kind| kind == "Status") => {
                    (status["code"].as_u64().unwrap_or(500), Value::Object(status.clone()))
                }
                Some(body) => (200, body.clone()),
                None => {
                    (404, json!({"kind": "Status", "code": 404, "message": format!("{asked}: not found")}))
                }
            };
            let status = StatusCode::from_u16(u16::try_from(code).unwrap()).unwrap();
            let response = Response::builder().status(status).body(Body::from(body.to_string())).unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "default")
}

/// A request about an object as the API server words it; `given` takes the place of what is derived.
pub(crate) fn request(given: &Value) -> Value {
    let object = given.get("object").filter(|object| !object.is_null());
    let about = object.or(given.get("oldObject")).cloned().unwrap_or_default();
    let (group, version) = about["apiVersion"]
        .as_str()
        .unwrap_or("v1")
        .split_once('/')
        .unwrap_or(("", about["apiVersion"].as_str().unwrap_or("v1")));
    let kind = about["kind"].as_str().unwrap_or("Pod");
    let plural = match kind.to_lowercase() {
        plural if plural.ends_with('y') => format!("{}ies", plural.trim_end_matches('y')),
        plural => format!("{plural}s"),
    };
    let namespace =
        if kind == "Namespace" { &about["metadata"]["name"] } else { &about["metadata"]["namespace"] };
    let mut request = json!({
        "uid": "7a", "operation": "CREATE",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": plural},
        "name": about["metadata"]["name"].as_str().unwrap_or_default(),
        "namespace": namespace.as_str().unwrap_or_default(),
        "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]},
        "object": null, "oldObject": null, "dryRun": false,
    });
    for (name, value) in given.as_object().into_iter().flatten() {
        request[name] = value.clone();
    }
    request
}
