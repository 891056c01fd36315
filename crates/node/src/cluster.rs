//! What the API server shows: the pods of this node and every namespace. Objects are read as loose JSON, so one that is
//! not as it should be is told and counted, and stops nothing.
//!
//! ```text
//! kit::watch ─ Event ─► Input ─► engine
//! ```

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kube::Client;
use kube::api::{Api, ApiResource};
use meshward_kit::admin::Condition;
use meshward_kit::client::RequestError;
use meshward_kit::watch::{self as kit, Event, Loose};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::engine::{Answer, Ask, Fetch, Input, MalformedObject, PodView, namespace};
use crate::report::{Shown, ShownLookup};

/// The API server, as far as this node looks at it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    node: String,
    malformed: Counter,
    shown: Arc<RwLock<HashMap<String, Shown>>>,
}

impl Cluster {
    /// Looks at the pods of `node`.
    pub fn new(client: Client, node: impl Into<String>) -> Self {
        Self { client, node: node.into(), malformed: Counter::default(), shown: Arc::default() }
    }

    /// Adds its metric.
    pub fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "malformed_objects",
            "Objects that the API server showed and that could not be read",
            self.malformed.clone(),
        );
    }

    /// What of ours a pod shows, by its uid, as far as the watch has told.
    pub fn shown(&self) -> ShownLookup {
        let shown = Arc::clone(&self.shown);
        Arc::new(move |uid| shown.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned())
    }

    fn pod(&self, object: Value) -> Option<PodView> {
        let shown = shows(&object);
        let view = self.useful(PodView::read(object))?;
        let mut all = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        match shown.is_empty() {
            true => all.remove(&view.uid),
            false => all.insert(view.uid.clone(), shown),
        };
        Some(view)
    }

    fn gone(&self, object: Value) -> Option<PodView> {
        let view = self.useful(PodView::read(object))?;
        self.shown.write().unwrap_or_else(PoisonError::into_inner).remove(&view.uid);
        Some(view)
    }

    /// Watches the pods of the node until `token` says so or nobody listens. `shown` holds while the API server answers
    /// and the list is known.
    pub async fn watch_pods(self, inputs: mpsc::Sender<Input>, shown: Condition, token: CancellationToken) {
        tokio::select! {
            () = self.watch(Watched::Pods, inputs, shown) => {}
            () = token.cancelled() => {}
        }
    }

    /// The same for namespaces.
    pub async fn watch_namespaces(
        self,
        inputs: mpsc::Sender<Input>,
        shown: Condition,
        token: CancellationToken,
    ) {
        tokio::select! {
            () = self.watch(Watched::Namespaces, inputs, shown) => {}
            () = token.cancelled() => {}
        }
    }

    /// Asks for one pod and its namespace.
    pub fn fetch(&self) -> Fetch {
        let cluster = self.clone();
        Arc::new(move |ask| {
            let cluster = cluster.clone();
            Box::pin(async move { cluster.ask(ask).await })
        })
    }

    async fn ask(&self, ask: Ask) -> Answer {
        let Ask { namespace: place, name, .. } = &ask;
        let pods: Api<Loose> = Api::namespaced_with(self.client.clone(), place, &Watched::Pods.resource());
        let namespaces: Api<Loose> = Api::all_with(self.client.clone(), &Watched::Namespaces.resource());
        let (pod, of) = tokio::join!(pods.get_opt(name), namespaces.get_opt(place));
        let told = |error: RequestError| error.to_string();
        let pod = pod.map_err(RequestError::of(format!("get pod {place}/{name}"))).map_err(told)?;
        let of = of.map_err(RequestError::of(format!("get namespace {place}"))).map_err(told)?;
        let Some(pod) = pod else { return Ok(None) };
        let view = PodView::read(pod.value).map_err(|error| error.to_string())?;
        let of = of.and_then(|object| self.useful(namespace(object.value))).map(|(_, value)| value);
        Ok(Some((view, of)))
    }

    async fn watch(&self, watched: Watched, inputs: mpsc::Sender<Input>, shown: Condition) {
        let all = kit::Watched::all(self.client.clone(), watched.resource());
        let followed = match watched {
            Watched::Pods => all.fields(&format!("spec.nodeName={}", self.node)),
            Watched::Namespaces => all,
        };
        let (mut events, mut list) = (followed.follow(shown), Vec::new());
        while let Some(event) = events.next().await {
            if let Some(input) = self.read(watched, event, &mut list)
                && inputs.send(input).await.is_err()
            {
                return;
            }
        }
    }

    /// What an event means for the engine; the objects of a list gather until it is whole.
    fn read(&self, watched: Watched, event: Event<Loose>, list: &mut Vec<Value>) -> Option<Input> {
        match event {
            Event::Init => {
                list.clear();
                None
            }
            Event::InitApply(object) => {
                // Trimmed at once: a page of whole objects is large.
                list.push(object.value);
                None
            }
            Event::InitDone => {
                let all = std::mem::take(list);
                Some(match watched {
                    Watched::Pods => Input::Pods(
                        all.into_iter().filter_map(|one| self.useful(PodView::read(one))).collect(),
                    ),
                    Watched::Namespaces => Input::Namespaces(
                        all.into_iter().filter_map(|one| self.useful(namespace(one))).collect(),
                    ),
                })
            }
            Event::Apply(object) => match watched {
                Watched::Pods => self.pod(object.value).map(Input::Pod),
                Watched::Namespaces => {
                    self.useful(namespace(object.value)).map(|(name, value)| Input::Namespace(name, value))
                }
            },
            Event::Delete(object) => match watched {
                Watched::Pods => self.gone(object.value).map(Input::PodGone),
                Watched::Namespaces => {
                    self.useful(namespace(object.value)).map(|(name, _)| Input::NamespaceGone(name))
                }
            },
        }
    }

    fn useful<T>(&self, read: Result<T, MalformedObject>) -> Option<T> {
        read.map_err(|error| {
            self.malformed.inc();
            tracing::warn!("the API server shows {error}; it is left out");
        })
        .ok()
    }
}

/// What of ours an object shows. Only that is read as a pod, since the rest may be of any shape.
fn shows(object: &Value) -> Shown {
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let annotations: serde_json::Map<String, Value> = annotations
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_string())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ours = |one: &&Value| one.get("type").and_then(Value::as_str) == Some(meshward_mesh::CONDITION);
    let conditions: Vec<&Value> = conditions.into_iter().flatten().filter(ours).collect();
    let pod = json!({"metadata": {"annotations": annotations}, "status": {"conditions": conditions}});
    serde_json::from_value(pod).map(|pod| Shown::of(&pod)).unwrap_or_default()
}

/// What one list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watched {
    Pods,
    Namespaces,
}

impl Watched {
    fn resource(self) -> ApiResource {
        match self {
            Watched::Pods => kit::resource("", "v1", "Pod", "pods"),
            Watched::Namespaces => kit::resource("", "v1", "Namespace", "namespaces"),
        }
    }
}
