//! Pods as the node's processes show them, for nodes where no runtime can be asked. The last resort: it needs hostPID, it
//! cannot see a sandbox without processes (istio#60478), and a process can leave its pod's network namespace. So it tells
//! a uid and a path, and the guards decide whether that path is the pod's.

mod cgroup;
mod scan;

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use cgroup::pod_uid;
pub use scan::scan;

use super::settings::ProcSettings;
use crate::located::{Located, Notice, Sighting, Source};

/// Why the processes cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    /// No list of processes.
    #[error("cannot list the processes in {}: {source}", path.display())]
    List {
        /// The proc file system.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The host's own network namespace is not known, so no pod's can be told from it.
    #[error(
        "cannot read {}: {source} (locating pods by process needs hostPID and CAP_SYS_PTRACE)",
        path.display()
    )]
    Host {
        /// Process 1's namespace.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
}

/// Tells `notices` of all pods, at every interval at which something changed, until `stop`. Sending waits for room in
/// the channel: nobody waits for these notices.
pub async fn watch(settings: ProcSettings, notices: mpsc::Sender<Notice>, stop: CancellationToken) {
    let mut before: Option<Result<Vec<Located>, String>> = None;
    loop {
        let found = scan_aside(settings.root.clone()).await;
        if before.as_ref() != Some(&found) {
            match &found {
                Ok(pods) => {
                    info!(pods = pods.len(), "found pods by their processes");
                    let notice = Notice { sighting: Sighting::All(Source::Proc, pods.clone()), done: None };
                    // An error means that the engine is gone: then the agent is stopping.
                    let _ = notices.send(notice).await;
                }
                Err(reason) => warn!(reason, "pods cannot be found by their processes"),
            }
            before = Some(found);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(settings.interval) => {}
        }
    }
}

/// Where one pod is now; none when no process of it is in a network of its own.
pub async fn find(root: &Path, uid: &str) -> Option<Located> {
    let found = scan_aside(root.to_owned()).await;
    found.ok()?.into_iter().find(|pod| pod.uid == uid)
}

/// Reading some thousand small files takes long enough to be kept off the async workers.
async fn scan_aside(root: PathBuf) -> Result<Vec<Located>, String> {
    match tokio::task::spawn_blocking(move || scan(&root)).await {
        Ok(found) => found.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
