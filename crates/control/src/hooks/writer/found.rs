//! The webhook configurations of ours as the API server has them.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::ApiResource;
use meshward_kit::admin::Condition;
use meshward_kit::watch::{Event, Watched, resource};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Instance;

const GROUP: &str = "admissionregistration.k8s.io";
const KINDS: [(&str, &str); 2] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
];

/// By kind and name; `None` before the first list.
pub type Configurations = Option<BTreeMap<(String, String), Value>>;

/// The resources of both kinds.
pub(super) fn resources() -> [ApiResource; 2] {
    KINDS.map(|(kind, plural)| resource(GROUP, "v1", kind, plural))
}

/// The resource of the validating ones.
pub(in crate::hooks) fn validating() -> ApiResource {
    let (kind, plural) = KINDS[1];
    resource(GROUP, "v1", kind, plural)
}

/// Keeps `found` as the API server has them, until `token` is cancelled.
pub async fn watch_configurations(
    client: Client,
    instance: Instance,
    found: watch::Sender<Configurations>,
    shown: [Condition; 2],
    token: CancellationToken,
) {
    let lists: [watch::Sender<Configurations>; 2] = Default::default();
    let mut changes = lists.each_ref().map(watch::Sender::subscribe);
    let follow = |at: usize, condition: Condition| {
        let [mutating, validating] = resources();
        let mut watched = Watched::all(client.clone(), if at == 0 { mutating } else { validating });
        watched.config = watched.config.labels(&instance.selector());
        follow_one(watched, KINDS[at].0, &lists[at], condition)
    };
    let [mutating, validating] = shown;
    let (mutating, validating) = (follow(0, mutating), follow(1, validating));
    let merge = async {
        loop {
            let all = changes.each_mut().map(|list| list.borrow_and_update().clone());
            if let [Some(mutating), Some(validating)] = all {
                found.send_replace(Some(mutating.into_iter().chain(validating).collect()));
            }
            let [first, second] = &mut changes;
            tokio::select! {
                _ = first.changed() => {}
                _ = second.changed() => {}
            }
        }
    };
    let all = Box::pin(async { tokio::join!(mutating, validating, merge) });
    token.run_until_cancelled(all).await;
}

async fn follow_one(
    watched: Watched,
    kind: &'static str,
    list: &watch::Sender<Configurations>,
    shown: Condition,
) {
    let (mut events, mut fresh) = (watched.follow(shown), BTreeMap::new());
    let key = |object: &Value| {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        (kind.to_owned(), name.to_owned())
    };
    while let Some(event) = events.next().await {
        match event {
            Event::Init => fresh.clear(),
            Event::InitApply(object) => drop(fresh.insert(key(&object.value), object.value)),
            Event::InitDone => drop(list.send_replace(Some(std::mem::take(&mut fresh)))),
            Event::Apply(object) => list.send_modify(|all| {
                all.get_or_insert_default().insert(key(&object.value), object.value);
            }),
            Event::Delete(object) => list.send_modify(|all| {
                all.get_or_insert_default().remove(&key(&object.value));
            }),
        }
    }
}
