//! Many pods on one node: whether their gates were open before anybody asked, what the agent takes while nothing happens,
//! what a restart costs, and what a rollout of all of them does.

mod agent;
mod restart;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_e2e::deployment::{deployment, rolled_out};
use meshward_e2e::{Namespace, Pod};

use crate::bench::{Bench, injected};

/// For all pods to start, on a machine with few cores.
const LONG: Duration = Duration::from_secs(400);
const NAME: &str = "web";
/// What the wait container writes when the gate was not open.
const WAITING: &str = "waiting:";

/// The pods, and where the network of each is.
struct Crowd {
    shop: Namespace,
    pods: Vec<Pod>,
    netns: Vec<PathBuf>,
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let shop = bench.bed.restricted("crowd").await?;
    let count = bench.scale.crowd;
    eprintln!("{count} pods at once");
    let manifest = bench.bed.swapped(&deployment(NAME, &injected()?, count)?).await?;
    shop.apply(&manifest).await?;
    rolled_out(&bench.bed, &shop, NAME, LONG).await?;
    let crowd = Crowd::of(bench, shop, count).await?;
    let mut sections = vec![gates(bench, &crowd).await?];
    sections.extend(agent::idle(bench, count).await?);
    sections.push(restart::measure(bench, &crowd).await?);
    sections.push(agent::rollout(bench, &crowd).await?);
    Ok(sections)
}

impl Crowd {
    async fn of(bench: &Bench, shop: Namespace, count: usize) -> Result<Self> {
        let pods = shop.pods(&format!("app={NAME}")).await?;
        ensure!(pods.len() == count, "there are {} pods, expected {count}", pods.len());
        let mut netns = Vec::new();
        for pod in &pods {
            netns.push(bench.sentinel.passage(&pod.uid().await?)?.netns);
        }
        Ok(Self { shop, pods, netns })
    }
}

/// What came first, the open gate or the question.
async fn gates(bench: &Bench, crowd: &Crowd) -> Result<Section> {
    let (mut held, mut early) = (Series::default(), 0);
    for pod in &crowd.pods {
        let passage = bench.sentinel.passage(&pod.uid().await?)?;
        held.push(passage.held().context("the last plugin was not asked")?);
        let said = pod.logs("meshward-wait", false).await?;
        ensure!(!said.is_empty(), "the wait container of {} has said nothing", pod.name());
        early += usize::from(!said.contains(WAITING));
    }
    let count = crowd.pods.len();
    let title = format!("{count} pods at once");
    let note = "of one Deployment; what was between the bench's two NRI plugins while all of them started, and what the \
                wait containers have written: one that finds the gate shut says so";
    let slow = held.summary().p99;
    let section = Section::new(title, note, "ms", &[("NRI: added to a sandbox".to_string(), held)]);
    let share = early as f64 * 100.0 / count as f64;
    Ok(section
        .at_most(5.0, "at most 5 ms added to a sandbox")
        .aim("at most 5 ms in 99 of 100 sandboxes", slow, slow <= 5.0)
        .aim("gate open before the wait container asked, of 100", share, share >= 99.0))
}
