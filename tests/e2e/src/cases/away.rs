//! Somebody the agent needs is away, or the agent itself is slow: pods wait or go on, and everything comes right by itself.

use anyhow::{Context, Result, bail, ensure};
use meshward_e2e::agent::ADMIN_PORT;
use meshward_e2e::rig::kill;
use meshward_e2e::{Bed, Case, case, http, until};

use super::looks::{captured, handles, is_captured, is_held, unrecorded, web};
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(alone "an agent that starts while the API server is away leaves traffic alone", Node, api_away_at_start),
    case!(alone "an API server that goes away and comes back is caught up with", Node, api_away_in_the_middle),
    case!(alone "a pod waits for an agent that is slow, and starts when it is not", Node, slow),
];

const PROGRAM: &str = "/meshward-node";

async fn api_away_at_start(bed: &Bed) -> Result<()> {
    let (shop, agent, rig) = (bed.restricted("away").await?, bed.agent(), bed.rig()?);
    // The kubelet lets one that has ended before wait.
    agent.restart().await?;
    let pod = web(bed, &shop).await?;
    captured(&pod).await?;
    let before = handles(bed, &pod, &shop).await?;
    let agents = agent.pods().await?;
    let Some(one) = agents.first() else { bail!("no agent runs") };
    let uid = one.metadata.uid.clone().unwrap_or_default();
    let admin = format!("{}:9901", one.status.clone().and_then(|status| status.pod_ip).unwrap_or_default());
    let (pid, address) = (agent.pid().await?, pod.ip().await?);
    let away = rig.pause("kube-apiserver")?;
    kill(pid)?;
    until("the next agent to say that it is not ready", SOON, async || {
        ensure!(
            rig.processes(&uid, PROGRAM)?.iter().any(|now| *now != pid),
            "the agent has not been started"
        );
        let answer = http::get(admin.parse()?, "/readyz").await?;
        ensure!(answer.status == 503, "it says {answer:?}");
        Ok(())
    })
    .await?;
    let answer = http::get((address, pods::WORKLOAD).into(), "/").await?;
    ensure!(is_captured(&answer), "inbound is not captured: {answer:?}");
    drop(away);
    agent.ready(SOON).await?;
    let after = handles(bed, &pod, &shop).await?;
    ensure!(after == before, "rules were written:\n{before}\n{after}");
    let later = shop.pod(&bed.swapped(&pods::linkerd()?).await?).await?;
    later.ready(SOON).await?;
    captured(&later).await
}

async fn api_away_in_the_middle(bed: &Bed) -> Result<()> {
    let (shop, agent, rig) = (bed.restricted("middle").await?, bed.agent(), bed.rig()?);
    let pod = shop.pod(&unrecorded(bed.swapped(&pods::istio()?).await?)).await?;
    pod.ready(SOON).await?;
    captured(&pod).await?;
    let before = (handles(bed, &pod, &shop).await?, pod.record().await?);
    let (own, workload) = (agent.ip().await?, (pod.ip().await?, pods::WORKLOAD).into());
    // Ended, not paused: watches break, and connections are refused.
    let away = rig.end("kube-apiserver")?;
    let cut_off = async || {
        let answer = http::get((own, ADMIN_PORT).into(), "/readyz").await?;
        ensure!(answer.status == 503 && answer.body.contains("pods"), "it says {answer:?}");
        Ok(())
    };
    until("the agent to say that it is cut off", SOON, cut_off).await?;
    ensure!(is_captured(&http::get(workload, "/").await?), "inbound is not captured");
    ensure!(handles(bed, &pod, &shop).await? == before.0, "rules were written meanwhile");
    // The API server is back for everybody else first, so that the agent cannot see the change when it happens.
    let cut = rig.cut_off(own).await?;
    away.start()?;
    let client = bed.cluster().client.clone();
    until("the API server to be back", SOON, async || Ok(client.apiserver_version().await.map(|_| ())?))
        .await?;
    pod.annotate("traffic.sidecar.istio.io/excludeInboundPorts", Some("8080")).await?;
    cut_off().await.context("the agent has found a way to the API server")?;
    ensure!(is_captured(&http::get(workload, "/").await?), "inbound is not captured");
    cut.end().await?;
    agent.ready(SOON).await?;
    until("the port to be left alone", SOON, async || {
        ensure!(!is_captured(&http::get(workload, "/").await?), "it is captured");
        Ok(())
    })
    .await?;
    pod.in_force().await?;
    pod.event("RulesReconfigured", SOON).await?;
    let record = pod.record().await?;
    ensure!(
        record.sandbox == before.1.sandbox && !record.adopted,
        "the agent or the pod was restarted: {record:?}"
    );
    Ok(())
}

/// The runtime waits for an NRI plugin for a moment (`plugin_request_timeout`, 2 s), and then goes on without it.
async fn slow(bed: &Bed) -> Result<()> {
    let (shop, agent) = (bed.restricted("slow").await?, bed.agent());
    let incidents = agent.metric("meshward_incidents_total", &[]).await?;
    let frozen = agent.freeze().await?;
    let pod = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
    pod.awaits("held by its wait container", SOON, is_held).await?;
    pod.untouched().await?;
    drop(frozen);
    pod.ready(SOON).await?;
    captured(&pod).await?;
    let now = agent.metric("meshward_incidents_total", &[]).await?;
    ensure!(now == incidents, "{} incidents", now - incidents);
    // The runtime has thrown the plugin out; it comes back by itself, and serves the next pod in time.
    until("NRI to be connected again", SOON, async || {
        let answer = agent.admin("/readyz").await?;
        ensure!(answer.status == 200 && !answer.body.contains("nri"), "it says {answer:?}");
        Ok(())
    })
    .await?;
    let next = shop.pod(&bed.swapped(&pods::linkerd()?).await?).await?;
    next.ready(SOON).await?;
    let record = next.record().await?;
    ensure!(record.source.as_deref() == Some("nri"), "{record:?}");
    captured(&next).await
}
