//! Which kinds of objects the API server has, under which names: policies speak of kinds, requests of plurals. Read from
//! aggregated discovery (`apidiscovery.k8s.io/v2`), which tells everything in two answers.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Request;
use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::backoff::Backoff;
use meshward_kit::client::RequestError;
use meshward_kit::watch::resource;
use meshward_policy::kyverno::matching::{Gvk, KindSelector};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Definitions;

/// What is asked for; a server that has no aggregated discovery answers 406.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// Kinds of aggregated API servers come and go without a definition that could be watched.
const REFRESH: Duration = Duration::from_secs(300);
/// A definition is served a moment after it is established.
const SETTLE: Duration = Duration::from_secs(1);
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// One version of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// The name in requests.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
    /// Its subresources, each with the kind that it takes, which may be of another group.
    pub subresources: Vec<(String, Gvk)>,
}

impl Served {
    /// Whether its objects can be listed and watched.
    pub fn is_watchable(&self) -> bool {
        let can = |verb: &str| self.verbs.iter().any(|has| has == verb);
        can("list") && can("watch")
    }

    /// As the client wants it.
    pub fn resource(&self) -> kube::api::ApiResource {
        resource(&self.gvk.group, &self.gvk.version, &self.gvk.kind, &self.plural)
    }
}

/// Everything that is served: of each group the preferred version first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources(Vec<Served>);

impl Resources {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Served> {
        self.0.iter()
    }

    /// Those that a selector is about, every version of each.
    pub fn matching(&self, selector: &KindSelector) -> impl Iterator<Item = &Served> {
        self.0.iter().filter(|served| selector.matches(&served.gvk, ""))
    }

    /// One by its group and plural, in the preferred version.
    pub fn find(&self, group: &str, plural: &str) -> Option<&Served> {
        self.0.iter().find(|served| served.gvk.group == group && served.plural == plural)
    }

    /// Reads `APIGroupDiscoveryList`s. What has not the right shape is left out.
    pub fn read<'a>(lists: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut all = Vec::new();
        for group in lists.into_iter().flat_map(|list| members(list, "items")) {
            let name = text(group.get("metadata"), "name");
            for version in members(group, "versions") {
                // A stale one is as it was; it is better than none.
                let of = text(Some(version), "version");
                all.extend(members(version, "resources").filter_map(|served| one(served, &name, &of)));
            }
        }
        Self(all)
    }
}

fn one(served: &Value, group: &str, version: &str) -> Option<Served> {
    let plural = text(Some(served), "resource");
    let gvk = kind_of(served.get("responseKind")?, group, version)?;
    let list = |name| members(served, name);
    let subresources = list("subresources").filter_map(|sub| {
        Some((text(Some(sub), "subresource"), kind_of(sub.get("responseKind")?, group, version)?))
    });
    Some(Served {
        namespaced: text(Some(served), "scope") == "Namespaced",
        verbs: list("verbs").filter_map(|verb| Some(verb.as_str()?.to_owned())).collect(),
        subresources: subresources.collect(),
        gvk,
        plural,
    })
}

/// A kind whose group or version are those of the resource is told without them.
fn kind_of(value: &Value, group: &str, version: &str) -> Option<Gvk> {
    let kind = text(Some(value), "kind");
    let or = |name: &str, other: &str| match text(Some(value), name) {
        found if found.is_empty() => other.to_owned(),
        found => found,
    };
    let version = or("version", version);
    // `meta/v1` answers have the empty group as their own.
    let group = if value.get("group").is_some() { text(Some(value), "group") } else { group.to_owned() };
    (!kind.is_empty()).then_some(Gvk { group, version, kind })
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: Option<&Value>, name: &str) -> String {
    value.and_then(|value| value.get(name)?.as_str()).unwrap_or_default().to_owned()
}

/// Keeps `resources` as the API server has them, until `token` is cancelled. `None` before the first answer.
pub async fn watch_resources(
    client: Client,
    mut definitions: watch::Receiver<Option<Definitions>>,
    resources: watch::Sender<Option<Arc<Resources>>>,
    shown: Condition,
    token: CancellationToken,
) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let work = async {
        loop {
            let pause = match discover(&client).await {
                Ok(found) => {
                    shown.hold();
                    backoff.reset();
                    tell(&resources, found);
                    REFRESH
                }
                Err(error) => {
                    let told = error.to_string();
                    if shown.fail(told.clone()) {
                        tracing::warn!("{told}; trying again");
                    }
                    backoff.next_delay()
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = definitions.changed() => match changed {
                    Ok(()) => tokio::time::sleep(SETTLE).await,
                    Err(_) => return,
                },
            }
        }
    };
    token.run_until_cancelled(work).await;
}

fn tell(resources: &watch::Sender<Option<Arc<Resources>>>, found: Resources) {
    resources.send_if_modified(|now| {
        let news = now.as_deref() != Some(&found);
        if news {
            *now = Some(Arc::new(found));
        }
        news
    });
}

async fn discover(client: &Client) -> Result<Resources, RequestError> {
    let mut lists = Vec::new();
    for path in ["/api", "/apis"] {
        let attempted = format!("ask what {path} serves");
        let request = Request::get(path).header("accept", ACCEPT).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError).map_err(RequestError::of(attempted.clone()))?;
        lists.push(client.request::<Value>(request).await.map_err(RequestError::of(attempted))?);
    }
    Ok(Resources::read(&lists))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_kinds_with_their_subresources() {
        let core = json!({"items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [
            {"resource": "pods", "responseKind": {"group": "", "version": "v1", "kind": "Pod"}, "scope": "Namespaced",
             "verbs": ["list", "watch"], "subresources": [
                {"subresource": "eviction", "responseKind": {"group": "policy", "version": "v1", "kind": "Eviction"}},
                {"subresource": "log"}]},
            {"resource": "bindings", "responseKind": {"kind": "Binding"}, "scope": "Namespaced", "verbs": ["create"]},
        ]}]}, 7]});
        let others = json!({"items": [{"metadata": {"name": "apps"}, "versions": [
            {"version": "v1", "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"},
             "scope": "Namespaced", "verbs": ["list", "watch"]}]},
            {"version": "v1beta1", "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"}}]},
        ]}]});
        let found = Resources::read([&core, &others]);
        let told: Vec<_> = found.iter().map(|s| (&*s.gvk.group, &*s.gvk.version, &*s.plural)).collect();
        let expected = [
            ("", "v1", "pods"),
            ("", "v1", "bindings"),
            ("apps", "v1", "deployments"),
            ("apps", "v1beta1", "deployments"),
        ];
        assert_eq!(told, expected);
        assert_eq!(found.find("apps", "deployments").unwrap().gvk.version, "v1");
        let pods = found.find("", "pods").unwrap();
        assert!(pods.is_watchable() && pods.namespaced);
        let eviction = Gvk { group: "policy".into(), version: "v1".into(), kind: "Eviction".into() };
        assert_eq!(pods.subresources, [("eviction".to_owned(), eviction)]);
        assert!(!found.find("", "bindings").unwrap().is_watchable());
        assert_eq!(found.matching(&KindSelector::parse("apps/v1/Deploy*")).count(), 1);
    }
}
