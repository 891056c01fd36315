//! Takes away what would be in everybody's way once we are gone: webhooks that nobody answers. Replicas may still run,
//! and would write them again; so leadership is taken from them first, and they are waited for.

use std::time::Duration;

use anyhow::Context;
use kube::Client;
use meshward_kit::lease;

use crate::hooks::remove_all;
use crate::settings::Settings;

/// How long no replica may lead. An installation of the same names waits for it at most.
const NOBODY: Duration = Duration::from_secs(300);
/// How often is looked whether somebody wrote once more.
const LOOKS: usize = 5;

/// # Errors
/// A request failed, or configurations keep coming back.
pub(super) async fn uninstall(client: Client, settings: &Settings) -> anyhow::Result<()> {
    let (identity, instance) = (&settings.identity, settings.instance());
    let (namespace, name) = (&identity.namespace, &identity.service_name);
    lease::seize(client.clone(), namespace, name, "uninstalled", NOBODY).await?;
    // A leader looks this often, and stops in the middle of what it does.
    let retry = settings.election().retry + Duration::from_secs(1);
    for look in 0..LOOKS {
        let removed = remove_all(&client, &instance).await?;
        if removed.is_empty() && look > 0 {
            return Ok(());
        }
        if !removed.is_empty() {
            tracing::info!(removed = removed.join(", "), "webhook configurations removed");
        }
        tokio::time::sleep(retry).await;
    }
    let left = remove_all(&client, &instance).await?;
    left.is_empty()
        .then_some(())
        .context("webhook configurations keep coming back; does another release run?")
}
