//! What `cargo e2e` and `cargo bench-node` have prepared, as the programs that use it are told on their command lines.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cluster::{Cluster, Tools};
use crate::rig::Rig;

/// Where everything is.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// helm
    #[arg(long, value_name = "PROGRAM")]
    pub helm: PathBuf,
    /// The product's command line
    #[arg(long, value_name = "PROGRAM")]
    pub meshward: PathBuf,
    /// The chart's folder
    #[arg(long, value_name = "FOLDER")]
    pub chart: PathBuf,
    /// A value of the chart that this cluster needs, as for helm's --set
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The node is the one that tests/e2e/cluster keeps here (its RIG_STATE)
    #[arg(long, value_name = "FOLDER")]
    pub rig: Option<PathBuf>,
    /// The cluster has the image of a real Envoy
    #[arg(long)]
    pub envoy: bool,
    /// What tests/e2e/peers/istio/build.sh has made is here
    #[arg(long, value_name = "FOLDER")]
    pub istio: Option<PathBuf>,
    /// What benches/peers/kyverno/build.sh has made is here
    #[arg(long, value_name = "FOLDER")]
    pub kyverno: Option<PathBuf>,
    /// What tests/e2e/peers/operators/build.sh has made is here
    #[arg(long, value_name = "FOLDER")]
    pub operators: Option<PathBuf>,
}

impl Options {
    /// Connects to the cluster of KUBECONFIG.
    ///
    /// # Errors
    /// There is none, or nobody answers.
    pub async fn connect(&self) -> Result<Cluster> {
        let tools = Tools {
            helm: self.helm.clone(),
            meshward: self.meshward.clone(),
            chart: self.chart.clone(),
            chart_values: self.set.clone(),
            envoy: self.envoy,
            istio: self.istio.clone(),
            kyverno: self.kyverno.clone(),
            operators: self.operators.clone(),
        };
        Cluster::connect(tools, self.node()).await
    }

    fn node(&self) -> Option<Rig> {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
        Some(Rig {
            state: self.rig.clone()?,
            netns: variable("RIG_NETNS", "meshrig"),
            node: variable("RIG_NODE", "rig-node"),
        })
    }
}
