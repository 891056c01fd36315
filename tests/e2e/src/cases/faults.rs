//! What goes wrong on a node, by accident or on purpose: no pod runs without its rules because of it, and nothing is
//! hidden.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use meshward_e2e::rig::kill;
use meshward_e2e::{Bed, Case, Manifest, case, until};
use meshward_mesh::STATUS_ANNOTATION;

use super::looks::{WAIT, captured, handles, is_captured, is_held, unrecorded, web, with_agent};
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!("a pod whose sandbox is killed comes back redirected", Node, sandbox),
    case!("a changed annotation changes the rules of the running pod", Node, reconfigured),
    case!("opting out takes the rules of the running pod away", Node, opted_out),
    case!("locked rules withstand a privileged attacker", Node, locked),
    case!(alone "a pod waits for an agent that is killed, whatever it is marked as", Node, killed),
    case!(alone "a gate that is forged in the pod is not believed, and is told", Node, forged),
    case!(alone "rules that an attacker flushes are put back at once, and it is told", Node, flushed),
    case!(alone "pods start redirected without NRI", Node, without_nri),
];

/// For the agent to put right what somebody changed, where nobody had to look for it.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn sandbox(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("sandbox").await?;
    let (pod, rig) = (web(bed, &shop).await?, bed.rig()?);
    let old = rig.sandbox(shop.name(), pod.name()).await?;
    kill(old.pid)?;
    until("another sandbox", SOON, async || match rig.sandbox(shop.name(), pod.name()).await? {
        new if new.id == old.id => bail!("{} is there still", old.id),
        _ => Ok(()),
    })
    .await?;
    until("its rules and its proxy", SOON, async || captured(&pod).await).await?;
    let record = pod.record().await?;
    ensure!(record.sandbox.as_ref() != Some(&old.id), "the agent speaks of the old sandbox: {record:?}");
    Ok(())
}

async fn reconfigured(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("live").await?;
    let pod = shop.pod(&unrecorded(bed.swapped(&pods::istio()?).await?)).await?;
    pod.ready(SOON).await?;
    captured(&pod).await?;
    let before = pod.record().await?;
    pod.annotate("traffic.sidecar.istio.io/excludeInboundPorts", Some("8080")).await?;
    // Without the annotation 8080 is captured; with it, it is not.
    until("the port to be left alone", SOON, async || {
        let answer = pod.get(pods::WORKLOAD, "/").await?;
        ensure!(!is_captured(&answer), "it is captured");
        Ok(())
    })
    .await?;
    pod.in_force().await?;
    until("the new fingerprint", SOON, async || {
        let now = pod.record().await?;
        ensure!(now.fingerprint != before.fingerprint && now.sandbox == before.sandbox, "{now:?}");
        Ok(())
    })
    .await?;
    pod.event("RulesReconfigured", SOON).await?;
    Ok(())
}

async fn opted_out(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("out").await?;
    let pod = web(bed, &shop).await?;
    captured(&pod).await?;
    pod.annotate("sidecar.istio.io/inject", Some("false")).await?;
    until("the rules to be gone", SOON, async || pod.untouched().await).await?;
    let answer = pod.get(pods::WORKLOAD, "/").await?;
    ensure!(!is_captured(&answer), "inbound is captured without rules: {answer:?}");
    let told = pod.event("RulesRemoved", SOON).await?;
    ensure!(told.contains("sidecar.istio.io/inject"), "the Event does not say why: {told}");
    until("the condition to say so", SOON, async || {
        ensure!(!pod.is_redirected().await?, "it says that the pod is redirected");
        Ok(())
    })
    .await
}

async fn locked(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("locked").await?;
    let (pod, rig) = (web(bed, &shop).await?, bed.rig()?);
    ensure!(pod.record().await?.locked, "the agent has not locked its table");
    let before = handles(bed, &pod, &shop).await?;
    let netns = rig.sandbox(shop.name(), pod.name()).await?.netns;
    let tables = rig.in_netns(&netns, &["nft", "list", "tables"]).await?;
    for table in tables.lines() {
        let words: Vec<&str> = ["nft", "delete"].into_iter().chain(table.split_whitespace()).collect();
        ensure!(rig.in_netns(&netns, &words).await.is_err(), "{table} could be deleted");
    }
    // The kernel leaves out what somebody else owns.
    rig.in_netns(&netns, &["nft", "flush", "ruleset"]).await?;
    let after = handles(bed, &pod, &shop).await?;
    ensure!(after == before, "the rules were written:\n{before}\n{after}");
    captured(&pod).await
}

async fn killed(bed: &Bed) -> Result<()> {
    let (shop, agent) = (bed.restricted("killed").await?, bed.agent());
    // In our own words and in those of istio-pod-network-controller: nobody may believe them.
    let marked = bed
        .swapped(&pods::istio()?)
        .await?
        .annotated(STATUS_ANNOTATION, r#"{"phase":"redirected","reason":"by hand","fingerprint":"0"}"#)
        .annotated("pod-network-controller.istio.io/status", "initialized");
    let frozen = agent.freeze().await?;
    let pod = shop.pod(&marked).await?;
    pod.awaits("held by its wait container", SOON, is_held).await?;
    pod.untouched().await?;
    agent.kill().await?;
    drop(frozen);
    pod.ready(SOON).await?;
    captured(&pod).await?;
    agent.ready(SOON).await?;
    until("the agent's own words on the pod", SOON, async || {
        let written = pod.annotation(STATUS_ANNOTATION).await?.unwrap_or_default();
        let fingerprint = pod.record().await?.fingerprint.unwrap_or_default();
        ensure!(written.contains(&fingerprint) && !written.contains("by hand"), "it says {written}");
        Ok(())
    })
    .await
}

async fn forged(bed: &Bed) -> Result<()> {
    let (shop, agent) = (bed.restricted("forged").await?, bed.agent());
    let forger = Manifest::parse(
        "{kind: Pod, spec: {initContainers: [{name: forger, restartPolicy: Always}], containers: []}}",
    )?
    .workload("forger", &["forge"])?;
    let forger = forger.objects()[0]["spec"]["initContainers"][0].clone();
    let hostile = bed.swapped(&pods::istio()?).await?.with(|pod| {
        if let Some(containers) = pod["spec"]["initContainers"].as_array_mut() {
            containers.insert(0, forger.clone());
        }
    });
    // An agent that is there has the name before any container starts.
    let frozen = agent.freeze().await?;
    let pod = shop.pod(&hostile).await?;
    until("the wait container to see through it", SOON, async || {
        let log = pod.logs(WAIT, false).await?;
        ensure!(log.contains("is held by user"), "it says {log:?}");
        Ok(())
    })
    .await?;
    drop(frozen);
    pod.event("GateTaken", SOON).await?;
    until("the incident to be counted", SOON, async || {
        let count = agent.metric("meshward_incidents_total", &["gate-taken"]).await?;
        ensure!(count >= 1.0, "{count} are");
        Ok(())
    })
    .await?;
    ensure!(is_held(&pod.object().await?), "the pod has started on the word of a forger");
    agent.ready(SOON).await
}

async fn flushed(bed: &Bed) -> Result<()> {
    // Locked tables cannot be flushed; kernels before 6.9 have no lock.
    with_agent(
        bed,
        &["config.lock=off"],
        Box::pin(async {
            let shop = bed.restricted("flushed").await?;
            let (pod, rig) = (web(bed, &shop).await?, bed.rig()?);
            ensure!(!pod.record().await?.locked, "the table is locked");
            let netns = rig.sandbox(shop.name(), pod.name()).await?.netns;
            rig.in_netns(&netns, &["nft", "flush", "ruleset"]).await?;
            until("the rules to be back", AT_ONCE, async || pod.in_force().await).await?;
            captured(&pod).await?;
            let told = pod.event("RulesRepaired", SOON).await?;
            ensure!(told.contains("nft"), "the Event does not say who it was: {told}");
            ensure!(
                bed.agent().metric("meshward_drift_repairs_total", &[]).await? >= 1.0,
                "it is not counted"
            );
            Ok(())
        }),
    )
    .await
}

async fn without_nri(bed: &Bed) -> Result<()> {
    with_agent(
        bed,
        &["nri.mode=off"],
        Box::pin(async {
            let shop = bed.restricted("cri").await?;
            let pod = web(bed, &shop).await?;
            captured(&pod).await?;
            let record = pod.record().await?;
            ensure!(record.source.as_deref() == Some("cri"), "{record:?}");
            Ok(())
        }),
    )
    .await
}
