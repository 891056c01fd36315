//! The agent under test: installed by its own chart, asked at its own socket, and ended in every way that nodes know.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1;
use kube::api::{DeleteParams, ListParams, LogParams};
use kube::{Api, ResourceExt};
use meshward_mesh::PodRecord;

use crate::cluster::Cluster;
use crate::http::{self, Answer};
use crate::rig::{self, Paused};
use crate::until::until;

/// The chart's release.
const RELEASE: &str = "meshward";
/// The chart's namespace.
pub const NAMESPACE: &str = "meshward-system";
/// Its DaemonSet.
pub const DAEMONSET: &str = "meshward-node";
const PROGRAM: &str = "/meshward-node";
/// The chart's `runFolder`, where no value names another.
const RUN_FOLDER: &str = "/run/meshward";
/// Of the chart's `admin.port`.
pub const ADMIN_PORT: u16 = 9901;
/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(120);

/// The agent of the cluster's node.
#[derive(Clone)]
pub struct Agent {
    cluster: Cluster,
}

impl Agent {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Installs or upgrades the chart with further `--set` values, and waits until the agent is ready.
    ///
    /// # Errors
    /// helm's or the agent's own words.
    pub async fn install(&self, values: &[&str]) -> Result<Duration> {
        let begin = Instant::now();
        self.apply(values).await?;
        self.ready(ROLLOUT).await?;
        Ok(begin.elapsed())
    }

    /// The same, and the agent may be as it will: for what keeps it from being ready.
    ///
    /// # Errors
    /// helm's own words.
    pub async fn apply(&self, values: &[&str]) -> Result<()> {
        let tools = &self.cluster.tools;
        let chart = tools.chart.to_string_lossy();
        let mut arguments =
            vec!["upgrade", "--install", RELEASE, &chart, "--namespace", NAMESPACE, "--create-namespace"];
        // The agent alone, unless a case asks for more.
        let given = tools.chart_values.iter().map(String::as_str).chain(values.iter().copied());
        for value in std::iter::once("controller.enabled=false").chain(given) {
            arguments.extend(["--set", value]);
        }
        tools.helm(&arguments).await.map(|_| ())
    }

    /// Takes away a release that a run left in the middle of an installation: helm refuses to go on with it.
    ///
    /// # Errors
    /// helm's own words.
    pub async fn clear_unfinished(&self) -> Result<()> {
        let list = ["list", "--namespace", NAMESPACE, "--filter", &format!("^{RELEASE}$"), "-o", "json"];
        let found: serde_json::Value =
            serde_json::from_str(&self.cluster.tools.helm(&list).await?).context("helm's list is no JSON")?;
        let status = found[0]["status"].as_str().unwrap_or_default();
        if matches!(status, "" | "deployed" | "uninstalled" | "failed" | "superseded") {
            Ok(())
        } else {
            self.uninstall().await
        }
    }

    /// Uninstalls the chart and waits until its pods are gone.
    ///
    /// # Errors
    /// helm's own words.
    pub async fn uninstall(&self) -> Result<()> {
        self.cluster.tools.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE]).await?;
        until("the agent to be gone", ROLLOUT, async || {
            let left = self.pods().await?.len();
            if left == 0 { Ok(()) } else { bail!("{left} pods of it are there") }
        })
        .await
    }

    /// Waits until every node's agent is of the newest version and ready.
    ///
    /// # Errors
    /// They are not in time; what the agent said last.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        let sets: Api<DaemonSet> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let rolled_out = until("the agent's rollout", deadline, async || {
            let set = sets.get(DAEMONSET).await?;
            let status = set.status.clone().unwrap_or_default();
            let is_seen = status.observed_generation >= set.metadata.generation;
            let wanted = status.desired_number_scheduled;
            let counts = (status.number_ready, status.updated_number_scheduled.unwrap_or_default());
            if is_seen && wanted > 0 && counts == (wanted, wanted) {
                return Ok(());
            }
            bail!("of {wanted} agents {} are ready, {} of the newest version", counts.0, counts.1)
        });
        match rolled_out.await {
            Ok(()) => Ok(()),
            Err(error) => {
                let log = self.logs().await.unwrap_or_else(|error| format!("{error:#}"));
                Err(error.context(format!("the agent's log:\n{log}")))
            }
        }
    }

    /// Its pods, those that are going included.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn pods(&self) -> Result<Vec<v1::Pod>> {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let of = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=node");
        Ok(pods.list(&ListParams::default().labels(&of)).await?.items)
    }

    async fn pod(&self) -> Result<v1::Pod> {
        let pods = self.pods().await?;
        let staying = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        staying.context("no agent runs")
    }

    /// The image it is meant to run.
    ///
    /// # Errors
    /// There is no agent.
    pub async fn image(&self) -> Result<String> {
        let sets: Api<DaemonSet> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let spec = sets.get(DAEMONSET).await?.spec.and_then(|spec| spec.template.spec);
        let image = spec.and_then(|spec| spec.containers.into_iter().next()?.image);
        image.context("the agent has no image")
    }

    /// Its address.
    ///
    /// # Errors
    /// It does not run.
    pub async fn ip(&self) -> Result<IpAddr> {
        let ip =
            self.pod().await?.status.and_then(|status| status.pod_ip).context("the agent has no address")?;
        Ok(ip.parse()?)
    }

    /// Its log.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn logs(&self) -> Result<String> {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        Ok(pods.logs(&self.pod().await?.name_any(), &LogParams::default()).await?)
    }

    /// Ends it as a rollout does, and waits for the next one.
    ///
    /// # Errors
    /// The next one is not ready in time.
    pub async fn restart(&self) -> Result<()> {
        self.replace().await?;
        self.ready(ROLLOUT).await
    }

    /// Ends it as a rollout does, and waits until it has gone.
    ///
    /// # Errors
    /// It does not go in time.
    pub async fn replace(&self) -> Result<()> {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let old = self.pod().await?;
        pods.delete(&old.name_any(), &DeleteParams::default()).await?;
        until("the old agent to go", ROLLOUT, async || match self.pod().await {
            Ok(pod) if pod.metadata.uid == old.metadata.uid => bail!("it is there"),
            _ => Ok(()),
        })
        .await
    }

    /// Its process on the node.
    ///
    /// # Errors
    /// It does not run, or the node is not ours.
    pub async fn pid(&self) -> Result<u32> {
        let rig = self.cluster.rig.as_ref().context("this cluster's node cannot be reached from here")?;
        let uid = self.pod().await?.metadata.uid.context("a pod without a uid")?;
        rig.processes(&uid, PROGRAM)?.first().copied().context("the agent has no process")
    }

    /// Ends it at once, as the kernel would when memory runs out. The kubelet starts it again.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&self) -> Result<()> {
        rig::kill(self.pid().await?)
    }

    /// Stops it in its tracks until the result is dropped: its sockets stay open, and it does nothing.
    ///
    /// # Errors
    /// It does not run.
    pub async fn freeze(&self) -> Result<Paused> {
        Paused::process(self.pid().await?.try_into()?)
    }

    /// What it knows about the node's pods, from its admin socket.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn records(&self) -> Result<Vec<PodRecord>> {
        let answer = self.ask("/v1/pods").await?;
        let body: serde_json::Value =
            serde_json::from_str(&answer.body).context("the agent's list is no JSON")?;
        let list = body.get("pods").cloned().unwrap_or(body);
        serde_json::from_value(list).context("the agent's list is not one of pods")
    }

    /// Its admin socket: in a folder of its own on a machine with several clusters.
    fn socket(&self) -> PathBuf {
        let values = &self.cluster.tools.chart_values;
        let folder = values.iter().rev().find_map(|value| value.strip_prefix("runFolder="));
        PathBuf::from(folder.unwrap_or(RUN_FOLDER)).join("admin.sock")
    }

    /// An answer of its admin socket.
    ///
    /// # Errors
    /// It does not answer, or with another status than 200.
    pub async fn ask(&self, path: &str) -> Result<Answer> {
        let answer = http::get_unix(&self.socket(), path).await?;
        if answer.status != 200 {
            bail!("the agent answers {path} with {}: {}", answer.status, answer.body);
        }
        Ok(answer)
    }

    /// The sum of a metric's samples whose line has all of `labels` in it.
    ///
    /// # Errors
    /// The agent does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(self.admin("/metrics").await?.metric(name, labels))
    }

    /// An answer of its admin port: `/healthz`, `/readyz`, `/metrics`.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn admin(&self, path: &str) -> Result<Answer> {
        http::get((self.ip().await?, ADMIN_PORT).into(), path).await
    }
}
