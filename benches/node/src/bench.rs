//! What every measure works with: the cluster, the agent on it, and the ways of looking at both from outside.

use std::time::Duration;

use anyhow::{Context, Result};
use meshward_e2e::{Agent, Bed, Manifest, Namespace, Options, Pod, Rig, Tools, Turn};

use crate::journal::{self, Journal};
use crate::measure::Scale;
use crate::process::Process;
use crate::sentinel::Sentinel;

/// For one pod to start or to go.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The bench.
pub(crate) struct Bench {
    pub(crate) bed: Bed,
    pub(crate) agent: Agent,
    pub(crate) sentinel: Sentinel,
    pub(crate) scale: Scale,
    turn: Turn,
}

impl Bench {
    /// Connects to everything and installs the agent.
    pub(crate) async fn prepare(options: &Options, scale: Scale) -> Result<Self> {
        let cluster = options.connect().await?;
        let waits = |holder: &str| eprintln!("waiting for another run on this cluster to end: {holder}");
        let turn = Turn::take(cluster.client.clone(), &cluster.run, waits).await?;
        let bed = Bed::new(cluster, 1);
        let sentinel = Sentinel::start(&bed.rig()?.state.join("nri/nri.sock"))?;
        let agent = bed.agent();
        agent.clear_unfinished().await?;
        let took = agent.install(&[]).await?;
        eprintln!("agent installed and ready in {:.1} s", took.as_secs_f64());
        Ok(Self { bed, agent, sentinel, scale, turn })
    }

    /// Takes away what this has made.
    pub(crate) async fn clear(self) -> Result<()> {
        self.bed.clear().await?;
        self.agent.uninstall().await?;
        self.turn.end().await
    }

    pub(crate) fn rig(&self) -> Result<&Rig> {
        self.bed.rig()
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.bed.cluster().tools
    }

    pub(crate) async fn versions(&self) -> Result<Vec<String>> {
        let kubernetes = self.bed.cluster().client.apiserver_version().await?;
        Ok(vec![format!("Kubernetes {} on one node", kubernetes.git_version)])
    }

    /// The runtime's log as it is now.
    pub(crate) fn journal(&self) -> Result<Journal> {
        Journal::read(&journal::path(&self.rig()?.state))
    }

    /// The agent's process.
    pub(crate) async fn process(&self) -> Result<Process> {
        Process::of(self.agent.pid().await?)
    }

    /// Creates a pod, waits until it is Ready, and gives its uid.
    pub(crate) async fn start(&self, shop: &Namespace, pod: &Manifest) -> Result<(Pod, String)> {
        let pod = shop.pod(pod).await?;
        pod.ready(SOON).await?;
        let uid = pod.uid().await?;
        Ok((pod, uid))
    }
}

/// A pod as Istio's injector leaves it, with small programs for the workload and the proxy: nothing of what is measured
/// is their own start. Nothing probes it, since a probe's period is longer than what is measured.
pub(crate) fn injected() -> Result<Manifest> {
    let proxy = ["/e2e-app", "proxy", "15001", "15006", "127.0.0.6"];
    Manifest::example("istio.yaml")?.workload("web", &["serve", "8080"])?.proxy(
        "istio-proxy",
        meshward_e2e::manifest::APP,
        &proxy,
    )
}

/// The sandbox that the agent speaks of, by the pod's uid.
pub(crate) async fn sandbox(agent: &Agent, uid: &str) -> Result<String> {
    let records = agent.records().await?;
    let record = records.into_iter().find(|record| record.uid == uid);
    record
        .and_then(|record| record.sandbox)
        .with_context(|| format!("the agent knows no sandbox of pod {uid}"))
}
