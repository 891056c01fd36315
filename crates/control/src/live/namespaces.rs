//! The labels of every namespace: Pod Security is asked for by them, and policies select by them.

use std::collections::HashMap;
use std::sync::Arc;

use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::watch::{Event, Watched, resource};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Live, NAMESPACES};

/// Every namespace by its name.
#[derive(Debug, Clone, Default)]
pub struct Namespaces(HashMap<String, Arc<Value>>);

impl Namespaces {
    /// The Namespace object, of which only name, uid, labels and annotations are kept.
    pub fn get(&self, name: &str) -> Option<&Arc<Value>> {
        self.0.get(name)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Value>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Puts a Namespace object in, or in the place of the one of its name.
    pub fn insert(&mut self, object: &Value) {
        let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) else { return };
        let member = |name: &str| object.pointer(&format!("/metadata/{name}")).cloned().unwrap_or_default();
        let kept = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": name, "uid": member("uid"), "labels": member("labels"), "annotations": member("annotations"),
        }});
        self.0.insert(name.to_owned(), Arc::new(kept));
    }
}

/// Keeps [`super::Snapshot::namespaces`] as the API server has them, until `token` is cancelled.
pub async fn watch_namespaces(client: Client, live: Live, shown: Condition, token: CancellationToken) {
    let watched = Watched::all(client, resource("", "v1", "Namespace", "namespaces"));
    let (mut events, mut list) = (watched.follow(shown), Namespaces::default());
    while let Some(Some(event)) = token.run_until_cancelled(events.next()).await {
        match event {
            Event::Init => list = Namespaces::default(),
            Event::InitApply(object) => list.insert(&object.value),
            Event::InitDone => {
                let all = Arc::new(std::mem::take(&mut list));
                live.change(|snapshot| {
                    snapshot.namespaces = all;
                    snapshot.has(NAMESPACES);
                });
            }
            Event::Apply(object) => {
                live.change(|snapshot| Arc::make_mut(&mut snapshot.namespaces).insert(&object.value));
            }
            Event::Delete(object) => live.change(|snapshot| {
                let name = object.value.pointer("/metadata/name").and_then(Value::as_str);
                Arc::make_mut(&mut snapshot.namespaces).0.remove(name.unwrap_or_default());
            }),
        }
    }
}
