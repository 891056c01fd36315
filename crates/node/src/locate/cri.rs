//! Pods as the container runtime lists them over CRI: what was there before the agent, what NRI missed, and every node
//! whose runtime has no NRI.

mod client;
mod connect;
mod containerd;
mod events;
mod message;
mod sandbox;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Mutex, watch as state};
use tonic::{Code, Status};
use tracing::{debug, info, warn};

pub use connect::{Found, Runtime, Tried};

use super::settings::CriSettings;
use crate::located::Located;
use client::Client;
use containerd::Place;
use message::{Filter, Item, List, Listed, READY, State, StatusAnswer, StatusRequest};
use sandbox::{Network, Sandbox};

/// Statuses asked for at one time.
const AT_ONCE: usize = 8;

/// The label that the kubelet puts on every sandbox (pkg/kubelet/types/labels.go).
const POD_UID: &str = "io.kubernetes.pod.uid";

/// Why the runtime cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// Nothing answers.
    #[error(
        "no container runtime answers over CRI: tried {} (is the runtime's socket mounted, and is its path set?)",
        list(.0)
    )]
    NoRuntime(Vec<Tried>),
    /// A call failed.
    #[error("{runtime} failed {method}: {}: {}", source.code(), source.message())]
    Call {
        /// The runtime.
        runtime: Runtime,
        /// The call.
        method: &'static str,
        /// Its answer.
        source: Box<Status>,
    },
}

fn list(tried: &[Tried]) -> String {
    tried.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether the runtime answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CriState {
    /// Not, and why.
    Disconnected {
        /// What stands in the way.
        reason: String,
    },
    /// It does.
    Connected {
        /// Which it is.
        runtime: Runtime,
    },
}

/// The runtime's CRI socket. Connects when it is needed and again when it has to; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cri {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: CriSettings,
    connected: Mutex<Option<(Client, Runtime)>>,
    state: state::Sender<CriState>,
}

impl Cri {
    /// Nothing is connected yet.
    pub fn new(settings: CriSettings) -> Self {
        let state = CriState::Disconnected { reason: "not tried yet".into() };
        let shared = Shared { settings, connected: Mutex::new(None), state: state::Sender::new(state) };
        Self { shared: Arc::new(shared) }
    }

    /// Whether the runtime answers, for readiness.
    pub fn state(&self) -> state::Receiver<CriState> {
        self.shared.state.subscribe()
    }

    /// Which runtime answers.
    pub async fn runtime(&self) -> Result<Runtime, CriError> {
        self.connected().await.map(|(_, runtime)| runtime)
    }

    /// Where every ready pod with a network of its own is, in the runtime's order.
    pub async fn list(&self) -> Result<Vec<Located>, CriError> {
        let (client, runtime) = self.connected().await?;
        let call = Call { client: &client, runtime: &runtime };
        let items = call.sandboxes(None).await?;
        let found: Vec<Option<Located>> = futures::stream::iter(items)
            .map(|item| call.located(item.id))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Where one pod is now; none when the runtime has no ready sandbox of it with a network of its own, or does not
    /// answer (which is logged).
    pub async fn find(&self, uid: &str) -> Option<Located> {
        match self.look_up(uid).await {
            Ok(located) => located,
            Err(error) => {
                warn!(uid, error = error.to_string(), "cannot look a pod up over CRI");
                None
            }
        }
    }

    async fn look_up(&self, uid: &str) -> Result<Option<Located>, CriError> {
        let (client, runtime) = self.connected().await?;
        let call = Call { client: &client, runtime: &runtime };
        let mut items = call.sandboxes(Some(uid)).await?;
        // While a sandbox is replaced both may be listed: the later one is the pod's.
        items.sort_by_key(|item| std::cmp::Reverse(item.created_at));
        for item in items {
            if let Some(located) = call.located(item.id).await? {
                return Ok(Some(located));
            }
        }
        Ok(None)
    }

    async fn connected(&self) -> Result<(Client, Runtime), CriError> {
        let mut connected = self.shared.connected.lock().await;
        if let Some(connected) = &*connected {
            return Ok(connected.clone());
        }
        let fresh = connect::connect(&self.shared.settings).await.map_err(CriError::NoRuntime)?;
        info!(runtime = fresh.1.to_string(), "the container runtime answers over CRI");
        self.shared.state.send_replace(CriState::Connected { runtime: fresh.1.clone() });
        Ok(connected.insert(fresh).clone())
    }

    /// The next call looks for the runtime anew: it may be another version, at another place.
    async fn forget(&self, reason: String) {
        *self.shared.connected.lock().await = None;
        self.shared.state.send_replace(CriState::Disconnected { reason });
    }
}

/// Calls to one connected runtime.
#[derive(Clone, Copy)]
struct Call<'a> {
    client: &'a Client,
    runtime: &'a Runtime,
}

impl Call<'_> {
    /// The ready sandboxes, of one pod or of all.
    async fn sandboxes(&self, uid: Option<&str>) -> Result<Vec<Item>, CriError> {
        let labels = uid.map(|uid| (POD_UID.to_owned(), uid.to_owned())).into_iter().collect();
        let filter = Filter { state: Some(State { state: READY }), labels };
        let method = "/runtime.v1.RuntimeService/ListPodSandbox";
        let listed: Listed = self.ask(method, List { filter: Some(filter) }).await?;
        let mut items = listed.items;
        if let Some(uid) = uid {
            items.retain(|item| item.metadata.as_ref().is_some_and(|metadata| metadata.uid == uid));
        }
        Ok(items)
    }

    /// Where the `wanted` sandboxes are, as far as the runtime has one answer for all of them.
    async fn places(self, wanted: &[Item]) -> HashMap<String, Place> {
        if self.runtime.name != containerd::NAME || wanted.is_empty() {
            return HashMap::new();
        }
        let deadline = self.client.timeout();
        let asked = tokio::time::timeout(deadline, containerd::places(self.client, wanted)).await;
        asked
            .map_err(|_| format!("no answer within {deadline:?}"))
            .and_then(|places| places.map_err(|status| format!("{}: {}", status.code(), status.message())))
            .unwrap_or_else(|reason| {
                debug!(
                    reason,
                    "containerd's own list cannot be read: the status of each sandbox is asked for"
                );
                HashMap::new()
            })
    }

    async fn located(self, id: String) -> Result<Option<Located>, CriError> {
        match self.sandbox(id).await? {
            Sandbox::Located(located) => Ok(Some(*located)),
            Sandbox::Without(_) => Ok(None),
        }
    }

    async fn sandbox(&self, id: String) -> Result<Sandbox, CriError> {
        let method = "/runtime.v1.RuntimeService/PodSandboxStatus";
        let answer: Result<StatusAnswer, _> = self.ask(method, StatusRequest { id, verbose: true }).await;
        match answer {
            Ok(answer) => Ok(sandbox::read(answer)),
            Err(CriError::Call { source, .. }) if source.code() == Code::NotFound => {
                Ok(Sandbox::Without(Network::Gone))
            }
            Err(error) => Err(error),
        }
    }

    async fn ask<Q, R>(&self, method: &'static str, question: Q) -> Result<R, CriError>
    where
        Q: prost::Message + 'static,
        R: prost::Message + Default + 'static,
    {
        self.client.unary(method, question).await.map_err(|status| CriError::Call {
            runtime: self.runtime.clone(),
            method: method.rsplit('/').next().unwrap_or(method),
            source: Box::new(status),
        })
    }
}

/// For the fuzz target: whether this verbose information names a network namespace.
pub fn describe_info(text: &str) -> bool {
    matches!(sandbox::network_of_info(text), Network::Path(_))
}
