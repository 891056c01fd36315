//! What the API server serves: policies name kinds, webhook configurations resources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;
use kube::core::discovery::v2::{APIGroupDiscovery, APIVersionDiscovery};
use meshward_kit::admin::Condition;
use meshward_kit::client::RequestError;
use meshward_kit::watch::resource;
use meshward_policy::kyverno::matching::{Gvk, Operations};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::live::Definitions;

/// After a change of definitions: the API server serves what it defines a little later.
const SOON: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];
/// Otherwise: what other API servers serve through this one changes without a definition.
const EVERY: Duration = Duration::from_secs(60);

/// A resource or subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Of the object; of a subresource, of the object it belongs to.
    pub gvk: Gvk,
    /// What it sends: of a subresource often another kind.
    pub kind: String,
    /// The plural.
    pub plural: String,
    /// Or empty.
    pub subresource: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// What can be asked for.
    pub operations: Operations,
    /// Whether its version is the one that clients are told to use.
    pub preferred: bool,
    /// Whether its objects can be listed and watched.
    pub watchable: bool,
}

impl Api {
    /// As rules name it: `pods`, `pods/exec`.
    pub fn resource(&self) -> String {
        match self.subresource.as_str() {
            "" => self.plural.clone(),
            subresource => format!("{}/{subresource}", self.plural),
        }
    }

    /// As the client wants it.
    pub fn client_resource(&self) -> ApiResource {
        resource(&self.gvk.group, &self.gvk.version, &self.gvk.kind, &self.plural)
    }
}

/// Everything that is served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Apis(Vec<Api>);

impl Apis {
    /// What objects are of, without subresources; of each the preferred version first.
    pub fn objects(&self) -> impl Iterator<Item = &Api> {
        self.0.iter().filter(|api| api.subresource.is_empty())
    }

    /// All of it.
    pub fn iter(&self) -> impl Iterator<Item = &Api> {
        self.0.iter()
    }

    /// Reads the API server's answers. What an API server behind it serves that does not answer at the moment is taken
    /// from `before`: its objects must not go unchecked when it is back.
    pub fn read(groups: &[APIGroupDiscovery], before: &Apis) -> Self {
        let mut all = Vec::new();
        for group in groups {
            let name = group.metadata.as_ref().and_then(|meta| meta.name.clone()).unwrap_or_default();
            let mut seen: BTreeMap<String, String> = BTreeMap::new();
            for version in &group.versions {
                let label = version.version.clone().unwrap_or_default();
                let stale = version.freshness.as_deref() == Some("Stale");
                if stale && version.resources.is_empty() {
                    let known =
                        before.0.iter().filter(|api| api.gvk.group == name && api.gvk.version == label);
                    all.extend(known.cloned());
                    continue;
                }
                read_version(&name, &label, version, &mut seen, &mut all);
            }
        }
        Self(all)
    }
}

fn read_version(
    group: &str,
    label: &str,
    version: &APIVersionDiscovery,
    seen: &mut BTreeMap<String, String>,
    all: &mut Vec<Api>,
) {
    for resource in &version.resources {
        let plural = resource.resource.clone().unwrap_or_default();
        let kind = resource.response_kind.as_ref().and_then(|kind| kind.kind.clone()).unwrap_or_default();
        let gvk = Gvk { group: group.to_owned(), version: label.to_owned(), kind: kind.clone() };
        // Versions come in the order of preference.
        let preferred = *seen.entry(plural.clone()).or_insert_with(|| label.to_owned()) == label;
        let of = |kind: String, subresource: &str, verbs: &[String]| Api {
            operations: operations(&kind, subresource, verbs),
            gvk: gvk.clone(),
            kind,
            plural: plural.clone(),
            subresource: subresource.to_owned(),
            namespaced: resource.scope.as_deref() == Some("Namespaced"),
            preferred,
            watchable: ["list", "watch"].iter().all(|verb| verbs.iter().any(|has| has == verb)),
        };
        if !resource.verbs.is_empty() {
            all.push(of(kind, "", &resource.verbs));
        }
        for sub in &resource.subresources {
            let kind = sub.response_kind.as_ref().and_then(|kind| kind.kind.clone()).unwrap_or_default();
            all.push(of(kind, sub.subresource.as_deref().unwrap_or_default(), &sub.verbs));
        }
    }
}

/// What can come of the verbs. Kinds such as PodExecOptions are those of connections; discovery says no more of them.
fn operations(kind: &str, subresource: &str, verbs: &[String]) -> Operations {
    let has = |names: &[&str]| verbs.iter().any(|verb| names.contains(&verb.as_str()));
    if !subresource.is_empty() && kind.ends_with("Options") {
        return Operations::of(["CONNECT"]);
    }
    // A patch by server-side apply can create an object, though not a subresource.
    let creates = has(&["create"]) || (subresource.is_empty() && has(&["patch"]));
    let table = [
        ("CREATE", creates),
        ("UPDATE", has(&["update", "patch"])),
        ("DELETE", has(&["delete", "deletecollection"])),
    ];
    Operations::of(table.into_iter().filter(|(_, can)| *can).map(|(name, _)| name))
}

/// Asks the API server.
///
/// # Errors
/// The request failed.
pub async fn discover(client: &Client, before: &Apis) -> Result<Apis, RequestError> {
    let core = client.list_core_api_versions_aggregated().await;
    let core = core.map_err(RequestError::of("discover the core API"))?;
    let groups = client.list_api_groups_aggregated().await;
    let groups = groups.map_err(RequestError::of("discover the API groups"))?;
    Ok(Apis::read(&[core.items, groups.items].concat(), before))
}

/// Keeps `apis` as the API server has them, until `token` is cancelled. `None` before the first answer.
pub async fn watch_apis(
    client: Client,
    mut definitions: watch::Receiver<Option<Definitions>>,
    apis: watch::Sender<Option<Arc<Apis>>>,
    shown: Condition,
    token: CancellationToken,
) {
    let mut tries = 0;
    loop {
        let before = apis.borrow().clone().unwrap_or_default();
        match token.run_until_cancelled(discover(&client, &before)).await {
            None => return,
            Some(Ok(found)) => {
                shown.hold();
                apis.send_if_modified(|now| {
                    let news = now.as_deref() != Some(&found);
                    if news {
                        *now = Some(Arc::new(found));
                    }
                    news
                });
            }
            Some(Err(error)) => {
                tries = 0;
                if shown.fail(error.to_string()) {
                    tracing::warn!("{error}; trying again");
                }
            }
        }
        tries += 1;
        let pause = SOON.get(tries).copied().unwrap_or(EVERY);
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            changed = definitions.changed() => match changed {
                Ok(()) => tries = 0,
                Err(_) => return,
            },
        }
    }
}

#[cfg(test)]
mod tests;
