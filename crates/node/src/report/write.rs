//! The requests themselves: one attempt each, sorted by what their answer means.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use meshward_kit::client::{self, Kind, RequestError};
use meshward_kit::events::{Author, EventAction, Published, publish};

use super::display::{Display, Shown};

/// Bounds one attempt: the client itself waits for an answer as long as the connection stands.
const PATIENCE: Duration = Duration::from_secs(15);
const CONTROLLER: &str = "meshward.dev/node";

/// Which pod.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum Written<T> {
    /// It is there.
    Yes(T),
    /// It was there already.
    Unchanged(T),
    /// The pod is not there any more.
    Gone,
    /// It failed.
    Failed(Failure),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer in time.
    Late,
    /// The request failed.
    Request(RequestError),
}

impl Failure {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Failure::Late => Kind::Unreachable,
            Failure::Request(error) => error.kind(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Late => write!(f, "the API server did not answer within {PATIENCE:?}"),
            Failure::Request(error) => error.fmt(f),
        }
    }
}

/// Brings a pod's status up to date; `shown` is what it shows, where that is known.
pub(super) async fn status(
    client: Client,
    pod: Target,
    display: Display,
    shown: Option<Shown>,
) -> Written<Shown> {
    let attempt = patch_status(client, &pod, &display, shown);
    tokio::time::timeout(PATIENCE, attempt).await.unwrap_or(Written::Failed(Failure::Late))
}

async fn patch_status(
    client: Client,
    pod: &Target,
    display: &Display,
    shown: Option<Shown>,
) -> Written<Shown> {
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let shown = match shown {
        Some(shown) => shown,
        None => match pods.get(&pod.name).await {
            Ok(found) if found.metadata.uid.as_ref() == Some(&pod.uid) => Shown::of(&found),
            Ok(_) => return Written::Gone,
            Err(error) => return failed(error, "read", pod),
        },
    };
    if !display.is_worth(&shown) || display.is_shown(&shown) {
        return Written::Unchanged(shown);
    }
    let patch = display.patch(&pod.uid, &shown, &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let params = PatchParams { field_manager: Some("meshward-node".into()), ..PatchParams::default() };
    match pods.patch_status(&pod.name, &params, &Patch::Strategic(&patch)).await {
        Ok(_) => Written::Yes(display.shown(&shown)),
        Err(error) => failed(error, "write the status of", pod),
    }
}

fn failed<T>(error: kube::Error, attempted: &str, pod: &Target) -> Written<T> {
    if is_gone(&error) {
        return Written::Gone;
    }
    let attempted = format!("{attempted} pod {}/{}", pod.namespace, pod.name);
    Written::Failed(Failure::Request(RequestError::of(attempted)(error)))
}

/// Whether the pod, or its namespace, is gone: also when another pod has its name now, or when its namespace is on its
/// way out, which the API server answers with 403.
fn is_gone(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match client::kind(error) {
        Kind::Gone => true,
        Kind::Conflict => status.message.contains("UID in precondition"),
        Kind::Invalid => status.message.contains("metadata.uid"),
        Kind::Denied => status.message.contains("because it is being terminated"),
        Kind::Busy | Kind::Unreachable => false,
    }
}

/// Writes an Event, or raises the count of one.
pub(super) async fn event(client: Client, node: &str, pod: &Target, action: &EventAction) -> Written<()> {
    let author = Author { controller: CONTROLLER, instance: node };
    let regarding = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    };
    let attempt = publish(client, author, &regarding, None, action);
    match tokio::time::timeout(PATIENCE, attempt).await {
        Err(_) => Written::Failed(Failure::Late),
        Ok(Ok(Published::Written)) => Written::Yes(()),
        Ok(Ok(Published::Unchanged)) => Written::Unchanged(()),
        Ok(Err(error)) => failed(error, "write an Event of", pod),
    }
}
