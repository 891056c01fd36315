//! What several cases look at, and how they say it.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1;
use meshward_e2e::{Answer, Bed, Manifest, Namespace, Pod};

use super::{SOON, pods};

/// Name of the wait container.
pub(super) const WAIT: &str = "meshward-wait";

/// The swapped Istio pod, ready.
pub(super) async fn web(bed: &Bed, shop: &Namespace) -> Result<Pod> {
    let pod = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
    pod.ready(SOON).await?;
    Ok(pod)
}

/// Settings come from the mesh's own annotations alone, as in a pod that was not swapped.
pub(super) fn unrecorded(manifest: Manifest) -> Manifest {
    manifest.with(|pod| {
        pod["metadata"]["annotations"].as_object_mut().map(|all| all.remove("meshward.dev/redirect"));
    })
}

pub(super) fn is_captured(answer: &Answer) -> bool {
    answer.header("x-captured-inbound").is_some()
}

/// Fails unless what the kernel has is what the pod wants, and a call passes the proxy.
pub(super) async fn captured(pod: &Pod) -> Result<()> {
    pod.in_force().await?;
    let answer = pod.get(pods::WORKLOAD, "/").await?;
    ensure!(is_captured(&answer), "inbound is not captured: {answer:?}");
    Ok(())
}

/// Its wait container runs, and nothing behind it has ever run.
pub(super) fn is_held(pod: &v1::Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let runs = |one: &v1::ContainerStatus| one.state.as_ref().is_some_and(|state| state.running.is_some());
    let has_run = |one: &v1::ContainerStatus| one.container_id.is_some();
    status.init_container_statuses.iter().flatten().any(|one| one.name == WAIT && runs(one))
        && !status.container_statuses.iter().flatten().any(has_run)
}

/// Everything in the pod's network namespace, each rule with its handle: a rule that was written again has another.
pub(super) async fn handles(bed: &Bed, pod: &Pod, shop: &Namespace) -> Result<String> {
    let rig = bed.rig()?;
    let sandbox = rig.sandbox(shop.name(), pod.name()).await?;
    let list = rig.in_netns(&sandbox.netns, &["nft", "-s", "-a", "list", "ruleset"]).await?;
    // Who owns a table, and whether anybody does just now, is not part of the rules.
    let is_of_rules = |line: &&str| !line.contains("progname") && !line.trim_start().starts_with("flags");
    let lines: Vec<&str> = list.lines().filter(is_of_rules).collect();
    ensure!(list.contains("# handle"), "no rules to compare: {list}");
    Ok(lines.join("\n"))
}

/// Tries something with an agent of other settings, and goes back to the usual ones.
pub(super) async fn with_agent(
    bed: &Bed,
    values: &[&str],
    tried: impl Future<Output = Result<()>>,
) -> Result<()> {
    let agent = bed.agent();
    let result = match agent.install(values).await {
        Ok(_) => tried.await,
        Err(error) => Err(error),
    };
    agent.install(&[]).await?;
    result
}
