//! What the API server knows: pods, agents, nodes. Only the pods are needed; what may not be listed is told and left out.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use meshward_kit::client::{Access, Kind, RequestError, connect};
use serde::de::DeserializeOwned;

/// The label of the DaemonSet's pods, as the chart sets it.
const AGENTS: &str = "app.kubernetes.io/name=meshward,app.kubernetes.io/component=node";
const PAGE: u32 = 500;
/// For everything: a person waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was listed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pods: Vec<Pod>,
    /// None when they may not be listed.
    pub(super) agents: Option<Vec<Pod>>,
    /// None when they may not be listed.
    pub(super) nodes: Option<Vec<Node>>,
    pub(super) notes: Vec<String>,
}

/// Lists everything, or says why nothing can be learned.
pub(super) async fn read(access: &Access, namespace: Option<&str>) -> Result<Found, String> {
    let client = connect(access).await.map_err(|error| error.to_string())?;
    match tokio::time::timeout(PATIENCE, lists(client, namespace)).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the API server did not answer within {PATIENCE:?}")),
    }
}

async fn lists(client: Client, namespace: Option<&str>) -> Result<Found, RequestError> {
    let (pods, what) = match namespace {
        Some(name) => (Api::namespaced(client.clone(), name), format!("list the pods of namespace {name}")),
        None => (Api::all(client.clone()), "list the pods of the cluster".to_string()),
    };
    let pods = list(&pods, ListParams::default()).await.map_err(RequestError::of(what))?;
    let mut found = Found { pods, ..Found::default() };
    let agents = list(&Api::<Pod>::all(client.clone()), ListParams::default().labels(AGENTS)).await;
    found.agents = found.or_note(agents, "list the agents")?;
    let nodes = list(&Api::<Node>::all(client), ListParams::default()).await;
    found.nodes = found.or_note(nodes, "list the nodes")?;
    Ok(found)
}

impl Found {
    /// A list that we may not have is a note; any other failure is one.
    fn or_note<T>(&mut self, list: kube::Result<Vec<T>>, what: &str) -> Result<Option<Vec<T>>, RequestError> {
        match list.map_err(RequestError::of(what)) {
            Ok(list) => Ok(Some(list)),
            Err(error) if error.kind() == Kind::Denied => {
                self.notes.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

async fn list<K>(api: &Api<K>, params: ListParams) -> kube::Result<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug + Resource,
{
    let mut params = params.limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}
