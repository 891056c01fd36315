//! How long a pod takes from its creation to Ready: with our wait container, with nothing of a mesh's set-up, and with the
//! privileged init container that ours replaces, the real one of Istio. All three take turns.

use std::time::Instant;

use anyhow::{Context, Result};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_e2e::{Manifest, Namespace};
use serde_json::json;

use crate::bench::{Bench, SOON, injected};
use crate::journal::between;

/// Istio's image, as `tests/e2e/peers/istio/lib.sh` names it.
const ISTIO: &str = "meshpeer.local/istio/proxyv2:1.31-peer";

/// One kind of pod.
struct Contender {
    name: &'static str,
    shop: Namespace,
    pod: Manifest,
    /// Its init container, where it has one.
    init: Option<&'static str>,
    ready: Series,
    own: Series,
}

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let shop = bench.bed.restricted("start").await?;
    // The agent has no part in these pods.
    let open = bench.bed.namespace("start-open", &[]).await?;
    let excluded = format!("config.exclude-namespaces={}", open.name());
    bench.agent.install(&[&excluded]).await?;
    // The kubelet takes its time to show a changed file to an agent that runs.
    bench.agent.restart().await?;
    let mut contenders = vec![
        Contender::new("meshward", &shop, bench.bed.swapped(&injected()?).await?, Some("meshward-wait")),
        Contender::new("no init container", &open, bare()?, None),
    ];
    if bench.tools().istio.is_some() {
        contenders.push(Contender::new("istio-init", &open, with_istio_init()?, Some("istio-init")));
    }
    let raced = race(bench, &mut contenders).await;
    bench.agent.install(&[]).await?;
    raced?;
    Ok(sections(contenders))
}

async fn race(bench: &Bench, contenders: &mut [Contender]) -> Result<()> {
    let count = contenders.len();
    for round in 0..=bench.scale.starts {
        progress("starts of pods", round, bench.scale.starts);
        for turn in 0..count {
            let contender = &mut contenders[(round + turn) % count];
            let name = contender.name;
            contender.once(bench, round).await.with_context(|| format!("{name}, round {round}"))?;
        }
    }
    Ok(())
}

fn sections(contenders: Vec<Contender>) -> Vec<Section> {
    let peer = contenders.len() > 2;
    let mut ready = Vec::new();
    let mut own = Vec::new();
    for Contender { name, init, ready: times, own: runs, .. } in contenders {
        ready.push((name.to_string(), times));
        if let Some(init) = init {
            own.push((init.to_string(), runs));
        }
    }
    let left_out = if peer { "" } else { "; istio-init was left out, as there is no build of Istio" };
    let note = format!(
        "from the call that creates a pod to the watch that shows it Ready; two containers, no probes. The kubelet looks \
         about once a second whether an init container has ended, which is most of what any of them costs{left_out}"
    );
    let whole = Section::new("Start of a pod, created to Ready", note, "ms", &ready);
    let note = "from the runtime being asked to start it to the runtime's note of its end";
    let mut init = Section::new("The init container's own run", note, "ms", &own);
    if let [_, (_, istio)] = &own[..] {
        let factor = istio.ratio_to(&own[0].1);
        init = init.aim("shorter than istio-init's, how many times", factor, factor > 1.0);
    }
    vec![whole, init]
}

impl Contender {
    fn new(name: &'static str, shop: &Namespace, pod: Manifest, init: Option<&'static str>) -> Self {
        let (ready, own) = (Series::default(), Series::default());
        Self { name, shop: shop.clone(), pod, init, ready, own }
    }

    /// One pod from its creation to its end. The first round does not count.
    async fn once(&mut self, bench: &Bench, round: usize) -> Result<()> {
        let pod = self.pod.clone().named(&format!("{}-{round}", self.name.replace(' ', "-")));
        let begin = Instant::now();
        let (pod, _) = bench.start(&self.shop, &pod).await?;
        let took = begin.elapsed();
        if round > 0 {
            self.ready.push(took);
            if let Some(init) = self.init {
                let sandbox = bench.rig()?.sandbox(self.shop.name(), pod.name()).await?.id;
                let run = bench.journal()?.container(&sandbox, init)?;
                let ended = run.ended.context("the init container's end is not in the runtime's log")?;
                self.own.push(between(run.asked, ended).context("an end before its start")?);
            }
        }
        pod.delete(SOON).await
    }
}

/// The same pod as if it were in no mesh at all.
fn bare() -> Result<Manifest> {
    Ok(injected()?.with(|pod| {
        pod["metadata"]["annotations"] = json!({});
        pod["spec"].as_object_mut().map(|spec| spec.remove("initContainers"));
    }))
}

/// The same pod as Istio leaves it, with the real image of its init container.
fn with_istio_init() -> Result<Manifest> {
    Ok(injected()?.with(|pod| {
        let init = &mut pod["spec"]["initContainers"][0];
        init["image"] = ISTIO.into();
        init["imagePullPolicy"] = "IfNotPresent".into();
    }))
}
