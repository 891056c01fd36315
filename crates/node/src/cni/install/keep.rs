//! Staying installed: network plugins' own installers write the configuration anew when they restart (linkerd2#11228), and
//! others may come with a file of an earlier name. The files are compared at intervals: a watch on a folder that is mounted
//! into a container misses what happens to it on the host, and a few seconds are soon enough, since the wait container
//! guards the pods meanwhile.

use std::path::PathBuf;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Installer;
use crate::cni::InstallSettings;

/// Installs, and installs again whenever something is not as it should be, until `stop`. `state` always says how it
/// stands: the configuration in use, or why there is none. Then everything is taken away again: a plugin that outlives
/// the agent's last pod breaks the node for every pod (istio#20238), while pods that start between two agents are held
/// by their wait container whether or not the plugin is called.
pub async fn keep(
    settings: InstallSettings,
    binary: PathBuf,
    state: watch::Sender<Result<PathBuf, String>>,
    stop: CancellationToken,
) {
    let interval = settings.interval;
    let mut installer = Installer::new(settings, binary);
    loop {
        let worked = tokio::task::spawn_blocking(move || {
            let outcome = installer.install();
            (installer, outcome)
        });
        let Ok((back, outcome)) = worked.await else { return };
        installer = back;
        let now = match outcome {
            Ok(installed) => {
                if installed.changed {
                    let configuration = installed.configuration.display().to_string();
                    info!(configuration, "installed the CNI plugin");
                }
                Ok(installed.configuration)
            }
            Err(error) => Err(error.to_string()),
        };
        let differs = *state.borrow() != now;
        if let (true, Err(reason)) = (differs, &now) {
            warn!(reason, "the CNI plugin is not installed");
        }
        state.send_if_modified(|before| std::mem::replace(before, now) != *before);
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(interval) => {}
        }
    }
    match tokio::task::spawn_blocking(move || installer.uninstall()).await {
        Ok(Ok(())) => info!("uninstalled the CNI plugin"),
        Ok(Err(error)) => warn!(%error, "the CNI plugin is still installed"),
        Err(_) => {}
    }
}
