//! The runtime's stream of container events, as a bell: when a sandbox changes, the list is looked at again. What an event
//! says is not used, so a lost or doubled one does no harm.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Status, Streaming};
use tracing::{debug, info};

use super::client::Client;
use super::message::{Event, EventsRequest};

/// Listens until it is dropped. It always reads at once: containerd's queue waits for its slowest listener, the kubelet
/// being one of them (internal/eventq).
#[derive(Debug)]
pub(super) struct Listener {
    bell: Arc<Notify>,
    ended: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

impl Listener {
    pub(super) fn start(client: Client) -> Self {
        let (bell, ended) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(listen(client, Arc::clone(&bell), ended.clone()));
        Self { bell, ended, _task: AbortOnDropHandle::new(task) }
    }

    /// Whether it still listens. Runtimes that tell no events end the stream at once, or refuse it.
    pub(super) fn listens(&self) -> bool {
        !self.ended.is_cancelled()
    }

    /// Returns when a sandbox changed, or the stream ended.
    pub(super) async fn rung(&self) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = self.ended.cancelled() => {}
        }
    }
}

async fn listen(client: Client, bell: Arc<Notify>, ended: CancellationToken) {
    let _ended = ended.drop_guard();
    match hear(&client, &bell).await {
        Ok(()) => info!("the runtime tells no container events: pods are looked for at intervals"),
        Err(status) => {
            let (code, message) = (status.code(), status.message());
            debug!(%code, message, "the runtime's container events ended");
        }
    }
}

async fn hear(client: &Client, bell: &Notify) -> Result<(), Status> {
    let mut events: Streaming<Event> = client
        .stream("/runtime.v1.RuntimeService/GetContainerEvents", Request::new(EventsRequest {}))
        .await?;
    while let Some(event) = events.message().await? {
        if event.sandbox.is_none_or(|sandbox| sandbox.id == event.container) {
            bell.notify_one();
        }
    }
    Ok(())
}
