//! The controller under test: installed by its own chart beside the agent, and ended in every way that nodes know.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::ask::{Reply, send};
use crate::cluster::Cluster;
use crate::until::until;
use crate::{http, rig};

/// The chart's release.
const RELEASE: &str = "meshward";
/// The chart's namespace.
pub const NAMESPACE: &str = "meshward-system";
/// Its Deployment, its Service and its Lease.
pub const NAME: &str = "meshward-control";
/// The only namespace whose PolicyExceptions count.
pub const EXCEPTIONS: &str = "e2e-exceptions";
const PROGRAM: &str = "/meshward-control";
const ADMIN_PORT: u16 = 9902;
/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(120);
/// What the cases need of the chart. Definitions go with the release: nothing is to be left behind.
const VALUES: [&str; 7] = [
    "controller.enabled=true",
    "controller.config.exception-namespaces=e2e-exceptions",
    "controller.config.drain-delay=3s",
    "controller.config.lease-duration=5s",
    // A policy about ConfigMaps is scanned for.
    "controller.extraRules[0].apiGroups[0]=,controller.extraRules[0].resources[0]=configmaps,controller.extraRules[0].verbs={get,list,watch}",
    "kyvernoDefinitions.install=true,kyvernoDefinitions.keep=false",
    "reportDefinitions.install=true,reportDefinitions.keep=false",
];

/// The controller of the cluster.
#[derive(Clone)]
pub struct Controller {
    cluster: Cluster,
}

impl Controller {
    /// Of this cluster.
    pub fn of(cluster: &Cluster) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// Installs or upgrades the chart with further `--set` values, and waits until every replica is ready.
    ///
    /// # Errors
    /// helm's or the controller's own words.
    pub async fn install(&self, values: &[&str]) -> Result<Duration> {
        let begin = Instant::now();
        let tools = &self.cluster.tools;
        let chart = tools.chart.to_string_lossy();
        let mut arguments =
            vec!["upgrade", "--install", RELEASE, &chart, "--namespace", NAMESPACE, "--create-namespace"];
        let given = tools.chart_values.iter().map(String::as_str);
        for value in given.chain(VALUES).chain(values.iter().copied()) {
            arguments.extend(["--set", value]);
        }
        tools.helm(&arguments).await?;
        self.ready(ROLLOUT).await?;
        Ok(begin.elapsed())
    }

    /// Uninstalls the chart, and waits until its pods are gone.
    ///
    /// # Errors
    /// helm's own words.
    pub async fn uninstall(&self) -> Result<()> {
        self.cluster.tools.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE]).await?;
        until("the controller to be gone", ROLLOUT, async || {
            let left = self.pods().await?.len();
            if left == 0 { Ok(()) } else { bail!("{left} pods of it are there") }
        })
        .await
    }

    /// Waits until every replica is of the newest version and ready.
    ///
    /// # Errors
    /// They are not in time; what they said last.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        let all: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let rolled_out = until("the controller's rollout", deadline, async || {
            let deployment = all.get(NAME).await?;
            let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = deployment.status.clone().unwrap_or_default();
            let counts = [status.ready_replicas, status.updated_replicas, status.replicas];
            let is_seen = status.observed_generation >= deployment.metadata.generation;
            ensure!(
                is_seen && counts == [Some(wanted); 3],
                "ready, updated and all are {counts:?} of {wanted}"
            );
            Ok(())
        });
        match rolled_out.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("the controller's log:\n{}", self.logs().await))),
        }
    }

    /// Its pods, those that are going included.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn pods(&self) -> Result<Vec<v1::Pod>> {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let of = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=control");
        Ok(pods.list(&ListParams::default().labels(&of)).await?.items)
    }

    /// The logs of its pods, as far as they can be had.
    pub async fn logs(&self) -> String {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let mut text = String::new();
        for pod in self.pods().await.unwrap_or_default() {
            let asked = LogParams { tail_lines: Some(30), ..LogParams::default() };
            let log = pods.logs(&pod.name_any(), &asked).await.unwrap_or_else(|error| error.to_string());
            text.push_str(&format!("{} {}\n{log}\n", pod.name_any(), crate::diagnosis::state(&pod)));
        }
        text
    }

    /// The identity of the process that leads: its pod's name, and what tells it from the pod's earlier processes.
    ///
    /// # Errors
    /// None does.
    pub async fn leader(&self) -> Result<String> {
        let all: Api<Lease> = Api::namespaced(self.cluster.client.clone(), NAMESPACE);
        let lease = all.get(NAME).await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        holder.context("nobody leads")
    }

    /// Ends the process of a replica, given by its name or identity, at once, as the kernel would when memory runs out.
    /// The kubelet starts it again.
    ///
    /// # Errors
    /// It does not run, or the node is not ours.
    pub async fn kill(&self, replica: &str) -> Result<()> {
        let pod = replica.split_once('_').map_or(replica, |(pod, _)| pod);
        let rig = self.cluster.rig.as_ref().context("this cluster's node cannot be reached from here")?;
        let pods = self.pods().await?;
        let uid = pods.iter().find(|one| one.name_any() == pod).and_then(|one| one.metadata.uid.clone());
        let pids = rig.processes(&uid.context("there is no such replica")?, PROGRAM)?;
        rig::kill(*pids.first().context("the replica has no process")?)
    }

    /// Ends all of them at once.
    ///
    /// # Errors
    /// As [`Controller::kill`].
    pub async fn kill_all(&self) -> Result<()> {
        for pod in self.pods().await? {
            self.kill(&pod.name_any()).await?;
        }
        Ok(())
    }

    /// The sum over all replicas of a metric's samples whose line has all of `labels` in it.
    ///
    /// # Errors
    /// A replica does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let mut sum = 0.0;
        for pod in self.pods().await? {
            let ip = pod.status.and_then(|status| status.pod_ip).context("a replica has no address")?;
            let answer = http::get(format!("{ip}:{ADMIN_PORT}").parse()?, "/metrics").await?;
            sum += answer.metric(name, labels);
        }
        Ok(sum)
    }

    /// Creates an object of any kind, in `namespace` where its kind has namespaces.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub async fn create(&self, object: &Value, namespace: &str) -> Result<Reply> {
        let path = self.path(object, namespace, false).await?;
        send(&self.cluster, Method::POST, &path, &placed(object, namespace)).await
    }

    /// Asks what would be, without anything being stored.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub async fn try_create(&self, object: &Value, namespace: &str) -> Result<Reply> {
        let path = self.path(object, namespace, false).await?;
        send(&self.cluster, Method::POST, &format!("{path}?dryRun=All"), &placed(object, namespace)).await
    }

    /// Merges into an object that is there.
    ///
    /// # Errors
    /// Nobody answers. A refusal is an answer.
    pub async fn merge(&self, object: &Value, namespace: &str) -> Result<Reply> {
        send(&self.cluster, Method::PATCH, &self.path(object, namespace, true).await?, object).await
    }

    /// Deletes an object; gone already is as good.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn delete(&self, object: &Value, namespace: &str) -> Result<Reply> {
        let how = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        send(&self.cluster, Method::DELETE, &self.path(object, namespace, true).await?, &how).await
    }

    /// An object as it is now.
    ///
    /// # Errors
    /// It is not there.
    pub async fn get(&self, object: &Value, namespace: &str) -> Result<Value> {
        let path = self.path(object, namespace, true).await?;
        Ok(send(&self.cluster, Method::GET, &path, &Value::Null).await?.taken()?.body)
    }

    /// All objects of a kind in a namespace, or of a kind without namespaces.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>> {
        let object = json!({"apiVersion": api_version, "kind": kind});
        let path = self.path(&object, namespace, false).await?;
        let list = send(&self.cluster, Method::GET, &path, &Value::Null).await?.taken()?.body;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// The results about a namespace's objects in its PolicyReports, by the name of the object.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn results(&self, namespace: &str) -> Result<BTreeMap<String, Vec<Value>>> {
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for report in self.list("wgpolicyk8s.io/v1alpha2", "PolicyReport", namespace).await? {
            let scope = report["scope"]["name"].as_str().unwrap_or_default().to_owned();
            for result in report["results"].as_array().into_iter().flatten() {
                let name =
                    result["resources"][0]["name"].as_str().map_or_else(|| scope.clone(), str::to_owned);
                found.entry(name).or_default().push(result.clone());
            }
        }
        Ok(found)
    }

    async fn path(&self, object: &Value, namespace: &str, one: bool) -> Result<String> {
        let path = self.cluster.path(object, namespace).await?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        Ok(if one { format!("{path}/{name}") } else { path })
    }
}

/// Objects of examples name a namespace of their own.
fn placed(object: &Value, namespace: &str) -> Value {
    let mut object = object.clone();
    if object["metadata"]["namespace"].is_string() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}
