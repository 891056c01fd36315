//! Reports on their way to whoever tells people. The engine only ever drops them here, so a reporter that waits for the
//! API server holds up nothing: what happened to a pod is kept (the latest few), of what it is only the latest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use meshward_mesh::PodRecord;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::report::{Happened, Report};

/// What can have happened to a pod before it is told; the oldest goes first.
const MOST_HAPPENED: usize = 16;

/// What is still to be told. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pods: Mutex<Pending>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    order: VecDeque<String>,
    pods: BTreeMap<String, OfPod>,
}

#[derive(Debug)]
struct OfPod {
    record: Arc<PodRecord>,
    happened: VecDeque<Happened>,
    gone: bool,
}

impl Outbox {
    /// Puts a report there.
    pub(super) fn put(&self, key: &str, report: Report) {
        let mut guard = self.0.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = &mut *guard;
        let of_pod = pending.pods.entry(key.to_string()).or_insert_with(|| {
            pending.order.push_back(key.to_string());
            OfPod { record: Arc::clone(&report.record), happened: VecDeque::new(), gone: false }
        });
        of_pod.record = report.record;
        of_pod.gone = report.gone;
        if let Some(happened) = report.happened {
            if of_pod.happened.len() == MOST_HAPPENED {
                of_pod.happened.pop_front();
            }
            of_pod.happened.push_back(happened);
        }
        drop(guard);
        self.0.filled.notify_one();
    }

    /// The next report, with the pod as it is by now.
    fn take(&self) -> Option<Report> {
        let mut guard = self.0.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = &mut *guard;
        let key = pending.order.pop_front()?;
        let of_pod = pending.pods.get_mut(&key)?;
        let happened = of_pod.happened.pop_front();
        let record = Arc::clone(&of_pod.record);
        let last = of_pod.happened.is_empty();
        let gone = of_pod.gone && last;
        if last {
            pending.pods.remove(&key);
        } else {
            pending.order.push_back(key);
        }
        Some(Report { record, happened, gone })
    }

    /// Hands reports on until the receiver goes or `token` says so.
    pub(super) async fn forward(self, reports: mpsc::Sender<Report>, token: CancellationToken) {
        loop {
            let filled = self.0.filled.notified();
            while let Some(report) = self.take() {
                let sent = tokio::select! {
                    sent = reports.send(report) => sent,
                    () = token.cancelled() => return,
                };
                if sent.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = filled => {}
                () = token.cancelled() => return,
            }
        }
    }
}
