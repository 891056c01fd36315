//! From the kubelet's wish for a sandbox to the gate that lets the pod through, with the runtime telling of the sandbox
//! (NRI) and with the agent having to find it (CRI); and what the agent's NRI call adds to the sandbox.

use anyhow::{Context, Result};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_e2e::Namespace;

use crate::bench::{Bench, SOON, injected, sandbox};
use crate::journal::{between, moment};

/// One way to the gate.
#[derive(Default)]
struct Way {
    /// Between the two plugins, where no gate was watched.
    held: Series,
    /// From the network to the open gate.
    opened: Series,
    /// From the kubelet's call to the open gate.
    asked: Series,
    /// The kubelet's whole call, where no gate was watched.
    sandbox: Series,
    /// From the gate's opening to the runtime being asked to start the wait container.
    lead: Series,
    /// From the runtime being asked to start the wait container to its end.
    waited: Series,
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let shop = bench.bed.restricted("path").await?;
    let told = walk(bench, &shop, "told by the runtime (NRI)", bench.scale.told).await?;
    bench.agent.install(&["nri.mode=off"]).await?;
    let found = walk(bench, &shop, "found over CRI", bench.scale.found).await;
    bench.agent.install(&[]).await?;
    let found = found?;
    let held = told.held.summary();
    let rows = [
        ("NRI: added to a sandbox", told.held),
        ("the same two plugins without the agent's", found.held),
        ("NRI: network made → gate open", told.opened),
        ("NRI: RunPodSandbox asked for → gate open", told.asked),
        ("NRI: gate open → wait container asked for", told.lead),
        ("NRI: wait container asked for → ended", told.waited),
        ("NRI: RunPodSandbox, whole", told.sandbox),
        ("watch: network made → gate open", found.opened),
        ("watch: RunPodSandbox asked for → gate open", found.asked),
        ("watch: wait container asked for → ended", found.waited),
        ("watch: RunPodSandbox, whole", found.sandbox),
    ]
    .map(|(name, series)| (name.to_string(), series));
    let note = "pods as Istio injects them, swapped, one after the other; two NRI plugins of the bench, before the agent's \
                and behind it, tell what is between them, and in every other pod the first one watches the gate instead; \
                the rest is from the runtime's log";
    let section = Section::of_parts("From a sandbox to its open gate", note, "ms", &rows);
    Ok(vec![section.aim("NRI adds at most 5 ms to a sandbox", held.median, held.median <= 5.0)])
}

async fn walk(bench: &Bench, shop: &Namespace, what: &str, pods: usize) -> Result<Way> {
    let manifest = bench.bed.swapped(&injected()?).await?;
    let mut way = Way::default();
    // The first one does not count: images and caches are cold for it.
    for number in 0..=pods * 2 {
        progress(what, number, pods * 2);
        let watched = number % 2 == 0;
        bench.sentinel.watch_gates(watched);
        let (pod, uid) = bench.start(shop, &manifest.clone().named(&format!("web-{number}"))).await?;
        if number > 0 {
            let sandbox = sandbox(&bench.agent, &uid).await?;
            way.keep(bench, &uid, &sandbox, watched).with_context(|| format!("pod {number}, {what}"))?;
        }
        pod.delete(SOON).await?;
    }
    bench.sentinel.watch_gates(false);
    Ok(way)
}

impl Way {
    fn keep(&mut self, bench: &Bench, uid: &str, sandbox: &str, watched: bool) -> Result<()> {
        let (passage, journal) = (bench.sentinel.passage(uid)?, bench.journal()?);
        let (asked, answered) = journal.sandbox(uid)?;
        let wait = journal.container(sandbox, "meshward-wait")?;
        if !watched {
            self.held.push(passage.held().context("the last plugin was not asked")?);
            self.sandbox.push(between(asked, answered).context("a sandbox before it was asked for")?);
            let ended = wait.ended.context("the wait container's end is not in the runtime's log")?;
            self.waited.push(between(wait.asked, ended).unwrap_or_default());
            return Ok(());
        }
        let opened = passage.to_gate().context("the gate was not seen open")?;
        self.opened.push(opened);
        let opened = moment(passage.at + opened)?;
        self.asked.push(between(asked, opened).context("a gate before its sandbox")?);
        // Late gates give no lead.
        self.lead.push(between(opened, wait.asked).unwrap_or_default());
        Ok(())
    }
}
