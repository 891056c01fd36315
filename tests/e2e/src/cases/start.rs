//! Pods start, and what they ask for holds.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use meshward_e2e::manifest::APP;
use meshward_e2e::{Bed, Case, Manifest, Pod, case, until};

use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!("an Istio pod is refused by restricted, and starts redirected once swapped", Node, istio),
    case!("a Linkerd pod starts redirected under restricted once swapped", Node, linkerd),
    case!("an Istio pod's traffic passes a real Envoy both ways", Envoy, istio_with_envoy),
    case!("a Linkerd pod's traffic passes a real Envoy both ways", Envoy, linkerd_with_envoy),
    case!("a pod with a user namespace of its own starts redirected", Node, user_namespace),
    case!("a hostNetwork pod is left alone", Node, host_network),
    case!("a bad annotation keeps a pod from starting, and is told", Node, bad_annotation),
];

async fn istio(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("istio").await?;
    let injected = pods::istio()?;
    let refusal = shop.refused(&injected).await?;
    ensure!(refusal.contains("violates PodSecurity"), "refused for another reason: {refusal}");
    redirected(bed, &shop, &injected, "web").await
}

async fn linkerd(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("linkerd").await?;
    redirected(bed, &shop, &pods::linkerd()?, "cart").await
}

async fn istio_with_envoy(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("istio-envoy").await?;
    redirected(bed, &shop, &pods::istio_with_envoy()?, "web").await
}

async fn linkerd_with_envoy(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("linkerd-envoy").await?;
    redirected(bed, &shop, &pods::linkerd_with_envoy()?, "cart").await
}

/// Starts the swapped pod beside a server of no mesh, and sees both directions pass its proxy.
async fn redirected(
    bed: &Bed,
    shop: &meshward_e2e::Namespace,
    injected: &Manifest,
    name: &str,
) -> Result<()> {
    let server = shop.pod(&pods::plain("server")?).await?;
    let pod = shop.pod(&bed.swapped(injected).await?).await?;
    server.ready(SOON).await?;
    pod.ready(SOON).await?;
    pod.in_force().await?;
    ensure!(pod.is_redirected().await?, "the pod's condition does not say that it is redirected");
    captured_both_ways(&pod, &server).await.with_context(|| format!("traffic of {name}"))
}

async fn captured_both_ways(pod: &Pod, server: &Pod) -> Result<()> {
    let own = format!("{}:{}", pod.ip().await?, pods::WORKLOAD);
    let inbound = pod.get(pods::WORKLOAD, "/").await?;
    ensure!(
        inbound.header("x-captured-inbound") == Some(own.as_str()),
        "inbound is not captured: {inbound:?}"
    );
    let target = format!("{}:{}", server.ip().await?, pods::WORKLOAD);
    let outbound = pod.call(pods::WORKLOAD, &format!("{target}/")).await?;
    ensure!(
        outbound.header("x-captured-outbound") == Some(target.as_str()),
        "outbound is not captured: {outbound:?}"
    );
    Ok(())
}

/// With `hostUsers: false` the agent is nobody that the pod could name, and is believed all the same.
async fn user_namespace(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("users").await?;
    let server = shop.pod(&pods::plain("server")?).await?;
    let own = bed.swapped(&pods::istio()?).await?.with(|pod| pod["spec"]["hostUsers"] = false.into());
    let pod = shop.pod(&own).await?;
    server.ready(SOON).await?;
    pod.ready(SOON).await?;
    let map = bed.rig()?.user_map(&pod.uid().await?, "/e2e-app")?;
    ensure!(!map.split_whitespace().eq(["0", "0", "4294967295"]), "the pod has the node's users: {map}");
    pod.in_force().await?;
    let said = pod.logs("meshward-wait", false).await?;
    ensure!(said.contains("redirected: "), "the wait container has proved nothing: {said:?}");
    captured_both_ways(&pod, &server).await
}

async fn host_network(bed: &Bed) -> Result<()> {
    let open = bed.namespace("host", &[]).await?;
    let on_host = pods::istio()?.with(|pod| {
        pod["spec"]["hostNetwork"] = true.into();
        if let Some(spec) = pod["spec"].as_object_mut() {
            spec.remove("initContainers");
        }
    });
    // Another pod's ports on the node would be in the way.
    let on_host =
        on_host.workload("web", &["sleep"])?.proxy("istio-proxy", APP, &["/e2e-app", "sleep"])?.with(|pod| {
            for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
                container
                    .as_object_mut()
                    .map(|fields| (fields.remove("ports"), fields.remove("readinessProbe")));
            }
        });
    let pod = open.pod(&on_host).await?;
    pod.ready(SOON).await?;
    let rules = bed.rig()?.in_node(&["nft", "list", "tables"]).await?;
    ensure!(!rules.contains("meshward"), "the node's own network namespace was written to: {rules}");
    Ok(())
}

async fn bad_annotation(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("bad").await?;
    let key = "traffic.sidecar.istio.io/excludeOutboundPorts";
    // Swapped while it was good, changed after: only the agent can refuse it.
    let swapped = bed.swapped(&pods::istio()?).await?.with(|pod| {
        pod["metadata"]["annotations"].as_object_mut().map(|all| all.remove("meshward.dev/redirect"));
    });
    let pod = shop.pod(&swapped.annotated(key, "5432,seventy")).await?;
    let told = pod.event("seventy", SOON).await?;
    ensure!(told.contains(key), "the Event does not name the annotation: {told}");
    until("the wait container to say why", SOON, async || {
        let log = pod.logs("meshward-wait", false).await?;
        ensure!(log.contains("seventy"), "it says {log:?}");
        Ok(())
    })
    .await?;
    pod.untouched().await?;
    ensure!(
        pod.ready(Duration::from_secs(1)).await.is_err(),
        "the pod started although what it asks for is invalid"
    );
    Ok(())
}
