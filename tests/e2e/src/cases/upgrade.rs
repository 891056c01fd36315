//! The agent is replaced while pods serve: by another of the same version, and by one of another version.

use anyhow::{Context, Result, ensure};
use meshward_e2e::{Agent, Answer, Bed, Case, Namespace, Pod, case, until};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::looks::{captured, handles, is_captured, web};
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(alone "an agent that is restarted loses no connection and writes nothing", Node, restarted),
    case!(alone "an agent that is upgraded by helm loses no connection and writes nothing", Node, upgraded),
];

/// What becomes of pods when `replace` replaces their agent: nothing.
async fn undisturbed(bed: &Bed, shop: &Namespace, replace: impl Future<Output = Result<()>>) -> Result<()> {
    let agent = bed.agent();
    let server = shop.pod(&pods::plain("server")?).await?;
    let pod = web(bed, shop).await?;
    server.ready(SOON).await?;
    captured(&pod).await?;
    let before = handles(bed, &pod, shop).await?;
    let target = format!("{}:{}/", server.ip().await?, pods::WORKLOAD);
    let (calls, replaced) = futures::join!(pod_under_load(&pod, &target, &agent), replace);
    replaced?;
    let calls = calls?;
    ensure!(calls >= 10, "only {calls} calls were made meanwhile: that is no load");
    let after = handles(bed, &pod, shop).await?;
    ensure!(after == before, "rules were written:\n{before}\n{after}");
    until("the pod to be adopted", SOON, async || {
        let record = pod.record().await?;
        ensure!(record.adopted && record.repairs == 0, "{record:?}");
        Ok(())
    })
    .await?;
    for outcome in ["programmed", "reconfigured", "repaired", "removed", "failed"] {
        let label = format!("outcome=\"{outcome}\"");
        let count = agent.metric("meshward_programs_total", &[&label]).await?;
        ensure!(count == 0.0, "the new agent has {outcome} {count} pods");
    }
    captured(&pod).await
}

async fn restarted(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("restart").await?;
    let agent = bed.agent();
    undisturbed(bed, &shop, Box::pin(async move { agent.restart().await })).await?;
    listed_at_once(&bed.agent()).await
}

/// A pod's sandbox was in the one answer that containerd has for all of them: no status was asked for, which would be
/// most of the time that a restart takes. Only pods on the node's network are not in it.
async fn listed_at_once(agent: &Agent) -> Result<()> {
    let log = agent.logs().await?;
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let listed = lines.find(|line| line["asked"].is_u64());
    let listed = listed.with_context(|| format!("no list over CRI in {log}"))?;
    let other = listed["runtime"].as_str().is_some_and(|runtime| !runtime.starts_with("containerd"));
    ensure!(other || listed["asked"].as_u64() < listed["pods"].as_u64(), "statuses were asked for: {listed}");
    Ok(())
}

async fn upgraded(bed: &Bed) -> Result<()> {
    const NEXT: &str = "0.1.0-next";
    let (shop, agent) = (bed.restricted("upgrade").await?, bed.agent());
    let image = agent.image().await?;
    let (repository, _) = image.rsplit_once(':').context("an image without a tag")?;
    let next = format!("{repository}:{NEXT}");
    bed.rig()?.tag_image(&image, &next).await?;
    let upgrade = async {
        agent.install(&[&format!("image.tag={NEXT}")]).await?;
        let now = agent.image().await?;
        ensure!(now == next, "the agent is of {now}, expected {next}");
        Ok(())
    };
    let result = undisturbed(bed, &shop, Box::pin(upgrade)).await;
    agent.install(&[]).await?;
    result
}

/// Calls in both directions, and one connection that stays open, until another agent has taken over. How many.
async fn pod_under_load(pod: &Pod, target: &str, agent: &Agent) -> Result<usize> {
    let mut lasting = TcpStream::connect((pod.ip().await?, pods::WORKLOAD)).await?;
    lasting.write_all(b"GET / HTTP/1.1\r\nHost: e2e\r\n").await?;
    let first = agent.pods().await?.first().and_then(|pod| pod.metadata.uid.clone());
    let mut calls = 0;
    loop {
        let outbound = pod.call(pods::WORKLOAD, target).await?;
        ensure!(outbound.header("x-captured-outbound").is_some(), "call {calls} was not captured");
        lasting.write_all(format!("X-Beat: {calls}\r\n").as_bytes()).await?;
        calls += 1;
        let agents = agent.pods().await?;
        if agents.iter().all(|one| one.metadata.uid != first) && agent.records().await.is_ok() {
            break;
        }
    }
    lasting.write_all(b"\r\n").await?;
    let mut answer = String::new();
    lasting.read_to_string(&mut answer).await?;
    ensure!(is_captured(&Answer::parse(&answer)?), "the lasting connection was answered with {answer:?}");
    Ok(calls)
}
