//! Which definitions of objects the cluster has. Kyverno's may be installed after us, or taken away while we run; a
//! watch of objects begins and ends with its definition, so that neither is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::watch::{Event, Watched, resource};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Definitions in one answer: one with the schemas of three versions is a megabyte and more.
const PAGE: u32 = 10;

/// The served versions of every definition, by `plural.group`.
pub type Definitions = Arc<BTreeMap<String, Vec<String>>>;

/// Keeps `definitions` as the API server has them, until `token` is cancelled. `None` before the first list.
pub async fn watch_definitions(
    client: Client,
    definitions: watch::Sender<Option<Definitions>>,
    shown: Condition,
    token: CancellationToken,
) {
    let kind =
        resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
    let watched = Watched::all(client, kind).pages_of(PAGE);
    let (mut events, mut all) = (watched.follow(shown), BTreeMap::new());
    while let Some(Some(event)) = token.run_until_cancelled(events.next()).await {
        match event {
            Event::Init => all.clear(),
            Event::InitApply(object) => put(&mut all, &object.value),
            Event::InitDone => tell(&definitions, &all),
            Event::Apply(object) => {
                put(&mut all, &object.value);
                tell(&definitions, &all);
            }
            Event::Delete(object) => {
                all.remove(name(&object.value));
                tell(&definitions, &all);
            }
        }
    }
}

fn tell(definitions: &watch::Sender<Option<Definitions>>, all: &BTreeMap<String, Vec<String>>) {
    let news = Some(Arc::new(all.clone()));
    definitions.send_if_modified(|now| {
        *now != news && {
            *now = news.clone();
            true
        }
    });
}

fn name(definition: &Value) -> &str {
    definition.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// One that the API server has not accepted yet serves nothing.
fn put(all: &mut BTreeMap<String, Vec<String>>, definition: &Value) {
    let list = |pointer: &str| definition.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let established = list("/status/conditions").any(|condition| {
        let is = |name: &str, value: &str| condition.get(name).and_then(Value::as_str) == Some(value);
        is("type", "Established") && is("status", "True")
    });
    let served = list("/spec/versions").filter(|version| version.get("served") == Some(&Value::Bool(true)));
    let versions: Vec<String> =
        served.filter_map(|version| Some(version.get("name")?.as_str()?.to_owned())).collect();
    if established && !versions.is_empty() {
        all.insert(name(definition).to_owned(), versions);
    } else {
        all.remove(name(definition));
    }
}
