//! The real Kyverno (`benches/peers/kyverno`): its admission controller and its reports controller, beside the cluster
//! rather than in it. What its chart says by the replicas of two Deployments is whether these two processes run.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::beside::{self, Beside};
use crate::cluster::{Cluster, run};
use crate::controller::Controller;
use crate::manifest::workspace;
use crate::namespace::Namespace;
use crate::until::until;

/// Its namespace.
const NAMESPACE: &str = "kyverno";
/// For its namespace to go.
const GONE: Duration = Duration::from_secs(60);
/// For it to be ready.
const READY: Duration = Duration::from_secs(120);
/// What its own chart never looks at, as far as a cluster of ours has it.
const FILTERS: &str = "[Event,*,*][*/*,kube-system,*][*/*,kube-public,*][*/*,kube-node-lease,*][Node,*,*][APIService,*,*]\
    [TokenReview,*,*][SubjectAccessReview,*,*][Binding,*,*][Pod/binding,*,*][ReplicaSet,*,*][ReplicaSet/?*,*,*]\
    [EphemeralReport,*,*][ClusterEphemeralReport,*,*]";
/// Groups whose definitions it brings.
const GROUPS: [&str; 4] = ["kyverno.io", "policies.kyverno.io", "reports.kyverno.io", "wgpolicyk8s.io"];

/// One of its controllers, by the name of its Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Answers the API server.
    Admission,
    /// Scans, and writes reports.
    Reports,
}

impl Part {
    /// By the name that its chart gives the Deployment.
    ///
    /// # Errors
    /// It is none of these.
    pub fn named(deployment: &str) -> Result<Self> {
        match deployment {
            "kyverno-admission-controller" => Ok(Self::Admission),
            "kyverno-reports-controller" => Ok(Self::Reports),
            other => bail!("no Deployment {other} of Kyverno is stood in for"),
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Admission => "kyverno-admission",
            Self::Reports => "kyverno-reports",
        }
    }
}

/// Kyverno on this cluster.
pub struct Kyverno {
    cluster: Cluster,
    programs: PathBuf,
    logs: PathBuf,
    /// Of its own, such as those about exceptions.
    flags: Vec<String>,
    /// Where the API server finds it.
    address: String,
    running: Vec<(Part, Beside)>,
}

impl Kyverno {
    /// Its definitions, and both controllers with further `flags`.
    ///
    /// # Errors
    /// This run has no Kyverno, or the script's own words.
    pub async fn install(cluster: &Cluster, flags: &[&str]) -> Result<Self> {
        let programs = cluster.tools.kyverno.clone().context("this run has no Kyverno")?;
        let rig = cluster.rig.as_ref().context("this cluster's node cannot be reached from here")?;
        run(Command::new(script()).arg("--definitions"), "").await?;
        // Free just now; the control plane is on this machine, and reaches it here.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr())?.to_string();
        let mut kyverno = Self {
            cluster: cluster.clone(),
            programs,
            logs: rig.state.join("logs"),
            flags: flags.iter().map(ToString::to_string).collect(),
            address,
            running: Vec::new(),
        };
        kyverno.start(Part::Admission)?;
        kyverno.start(Part::Reports)?;
        Ok(kyverno)
    }

    /// Has as many of its processes as the Deployment's replicas would: none or one.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub async fn scale(&mut self, part: Part, replicas: u32) -> Result<()> {
        match (replicas, self.running.iter().any(|(running, _)| *running == part)) {
            (0, true) => self.stop(part).await,
            (1.., false) => self.start(part),
            _ => Ok(()),
        }
    }

    /// Waits until it has told the API server what to send to it, and listens.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn ready(&self) -> Result<()> {
        let webhooks = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "kyverno-resource-validating-webhook-cfg"},
        });
        until("Kyverno's webhooks", READY, async || {
            let told = Controller::of(&self.cluster).get(&webhooks, "").await?;
            ensure!(told["webhooks"].as_array().is_some_and(|all| !all.is_empty()), "none of them is there");
            TcpStream::connect(&self.address).await.context("it does not listen")?;
            Ok(())
        })
        .await
    }

    fn start(&mut self, part: Part) -> Result<()> {
        let program = self.programs.join(part.program());
        let mut command = Command::new(script());
        match part {
            Part::Admission => command.arg(&program).arg(&self.address),
            Part::Reports => command.arg("--reports").arg(&program),
        };
        command.args(&self.flags).env("KYVERNO_FILTERS", FILTERS);
        self.running.push((part, Beside::start(part.program(), &mut command, &self.logs)?));
        Ok(())
    }

    async fn stop(&mut self, part: Part) -> Result<()> {
        match self.running.iter().position(|(running, _)| *running == part) {
            Some(at) => self.running.swap_remove(at).1.stop().await,
            None => Ok(()),
        }
    }

    /// The ends of its logs.
    pub fn logs(&self) -> String {
        self.running.iter().map(|(_, program)| program.log()).collect()
    }

    /// Takes everything of it away: processes, webhooks, its namespace, and its definitions with all policies.
    ///
    /// # Errors
    /// Something does not go.
    pub async fn uninstall(mut self) -> Result<()> {
        for part in [Part::Reports, Part::Admission] {
            self.stop(part).await?;
        }
        let api = Controller::of(&self.cluster);
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
            let group = "admissionregistration.k8s.io/v1";
            let theirs =
                |object: &Value| object["metadata"]["labels"]["webhook.kyverno.io/managed-by"] == "kyverno";
            for object in api.list(group, kind, "").await?.into_iter().filter(theirs) {
                beside::delete(&api, group, kind, &object).await?;
            }
        }
        beside::undefine(&self.cluster, &GROUPS).await?;
        Namespace::of_name(&self.cluster, NAMESPACE).delete(GONE).await
    }
}

fn script() -> PathBuf {
    workspace().join("benches/peers/kyverno/server.sh")
}
