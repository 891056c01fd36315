//! Following the runtime's list: everything once, then what is new and what is gone. Of a sandbox that is known nothing is
//! asked again.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::events::Listener;
use super::sandbox::{Network, Sandbox};
use super::{AT_ONCE, Call, Cri, CriError, CriState};
use crate::locate::backoff::Backoff;
use crate::locate::nri::NriState;
use crate::located::{Located, Notice, Outcome, Sighting, Source};

const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

impl Cri {
    /// Tells `notices` of every pod at the start and after every time the runtime was away, and of changes in between:
    /// seldom while `nri` is connected (it tells sooner), by the runtime's events or often otherwise. Sending waits for
    /// room in the channel, since nobody holds a pod for these notices. `first` is told when all is done about what the
    /// first list brings, and dropped when there is no list. Ends with `stop`.
    pub async fn watch(
        self,
        notices: mpsc::Sender<Notice>,
        first: oneshot::Sender<Outcome>,
        mut nri: watch::Receiver<NriState>,
        stop: CancellationToken,
    ) {
        let mut first = Some(first);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let first = first.take();
            let mut follow =
                Follow { cri: &self, notices: &notices, first, known: Known::default(), began: false };
            let error = tokio::select! {
                () = stop.cancelled() => return,
                error = follow.run(&mut nri) => match error {
                    Ok(never) => match never {},
                    Err(error) => error,
                },
            };
            if follow.began {
                backoff.reset();
            }
            self.lost(&error).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// Says what happened once, not at every attempt.
    async fn lost(&self, error: &CriError) {
        let reason = error.to_string();
        let before = self.shared.state.borrow().clone();
        match before {
            CriState::Disconnected { reason: known } if known == reason => {
                debug!(reason, "CRI is still not there");
            }
            CriState::Disconnected { .. } => warn!(reason, "pods cannot be listed over CRI"),
            CriState::Connected { .. } => info!(reason, "CRI connection ended, connecting again"),
        }
        self.forget(reason).await;
    }
}

/// One connection's worth of following.
struct Follow<'a> {
    cri: &'a Cri,
    notices: &'a mpsc::Sender<Notice>,
    /// Told of the first list.
    first: Option<oneshot::Sender<Outcome>>,
    known: Known,
    began: bool,
}

/// Ids of sandboxes.
#[derive(Debug, Default)]
struct Known {
    told: HashSet<String>,
    without: HashSet<String>,
}

impl Follow<'_> {
    async fn run(&mut self, nri: &mut watch::Receiver<NriState>) -> Result<Infallible, CriError> {
        let (client, runtime) = self.cri.connected().await?;
        let call = Call { client: &client, runtime: &runtime };
        let (all, asked) = self.begin(call).await?;
        info!(runtime = runtime.to_string(), pods = all.len(), asked, "CRI listed the node's pods");
        let done = self.first.take();
        self.tell(Notice { sighting: Sighting::All(Source::Cri, all), done }).await;
        self.began = true;
        let settings = &self.cri.shared.settings;
        let mut listener = None;
        let mut nri_gone = false;
        loop {
            let nri_tells = nri.borrow_and_update().is_connected();
            if nri_tells || !settings.events || !runtime.shares_events() {
                listener = None;
            } else {
                listener.get_or_insert_with(|| Listener::start(client.clone()));
            }
            let told_otherwise = nri_tells || listener.as_ref().is_some_and(Listener::listens);
            let interval = if told_otherwise { settings.slow_poll } else { settings.poll };
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = rung(listener.as_ref()) => {}
                changed = nri.changed(), if !nri_gone => nri_gone = changed.is_err(),
            }
            self.look(call).await?;
        }
    }

    /// Everything, or an error: a list that lacks a pod would say that the pod is gone. And how many statuses it took.
    async fn begin(&mut self, call: Call<'_>) -> Result<(Vec<Located>, usize), CriError> {
        let items = call.sandboxes(None).await?;
        let mut places = call.places(&items).await;
        let (mut all, mut fresh) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match places.remove(&item.id).and_then(|place| place.located(&item)) {
                Some(located) => {
                    self.known.told.insert(item.id);
                    all.push(located);
                }
                None => fresh.push(item.id),
            }
        }
        let asked = fresh.len();
        let mut found = futures::stream::iter(fresh)
            .map(|id| async move { (id.clone(), call.sandbox(id).await) })
            .buffered(AT_ONCE);
        while let Some((id, sandbox)) = found.next().await {
            all.extend(self.known.keep(id, sandbox?, call));
        }
        Ok((all, asked))
    }

    /// What changed. A status that fails is asked for again the next time.
    async fn look(&mut self, call: Call<'_>) -> Result<(), CriError> {
        let ids: Vec<String> = call.sandboxes(None).await?.into_iter().map(|item| item.id).collect();
        let there: HashSet<&str> = ids.iter().map(String::as_str).collect();
        self.known.without.retain(|id| there.contains(id.as_str()));
        let gone: Vec<String> =
            self.known.told.iter().filter(|id| !there.contains(id.as_str())).cloned().collect();
        for sandbox in gone {
            self.known.told.remove(&sandbox);
            self.send(Sighting::Stopped { sandbox }).await;
        }
        let fresh: Vec<String> = ids.into_iter().filter(|id| !self.known.has(id)).collect();
        let mut found = futures::stream::iter(fresh)
            .map(|id| async move { (id.clone(), call.sandbox(id).await) })
            .buffered(AT_ONCE);
        while let Some((id, sandbox)) = found.next().await {
            match sandbox {
                Ok(sandbox) => {
                    if let Some(located) = self.known.keep(id, sandbox, call) {
                        self.send(Sighting::Started(located)).await;
                    }
                }
                Err(error) => debug!(sandbox = id, error = error.to_string(), "cannot look at a sandbox"),
            }
        }
        Ok(())
    }

    async fn send(&self, sighting: Sighting) {
        self.tell(Notice { sighting, done: None }).await;
    }

    async fn tell(&self, notice: Notice) {
        // An error means that the engine is gone: then the agent is stopping, and so are we.
        let _ = self.notices.send(notice).await;
    }
}

impl Known {
    fn has(&self, id: &str) -> bool {
        self.told.contains(id) || self.without.contains(id)
    }

    fn keep(&mut self, id: String, sandbox: Sandbox, call: Call<'_>) -> Option<Located> {
        match sandbox {
            Sandbox::Located(located) => {
                self.told.insert(id);
                Some(*located)
            }
            Sandbox::Without(network) => {
                if network == Network::Untold {
                    let runtime = call.runtime.to_string();
                    warn!(runtime, sandbox = id, "the runtime does not tell where a sandbox's network is");
                }
                self.without.insert(id);
                None
            }
        }
    }
}

async fn rung(listener: Option<&Listener>) {
    match listener {
        Some(listener) if listener.listens() => listener.rung().await,
        _ => std::future::pending().await,
    }
}
