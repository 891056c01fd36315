//! Runs the cases against a cluster. `cargo e2e` prepares everything this needs; see `--help` for a cluster of one's own.
#![allow(clippy::print_stdout)]

mod cases;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use meshward_e2e::{Cluster, Needs, Rig, Tools};

/// End-to-end cases on the cluster of KUBECONFIG.
#[derive(Parser)]
struct Arguments {
    /// Run only cases with one of these words in their name
    filter: Vec<String>,
    /// Print the cases, and run none
    #[arg(long)]
    list: bool,
    /// Cases that run at once, where they can
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Leave the namespaces of failed cases, and the agent
    #[arg(long)]
    keep: bool,
    /// helm
    #[arg(long, value_name = "PROGRAM")]
    helm: PathBuf,
    /// The product's command line
    #[arg(long, value_name = "PROGRAM")]
    meshward: PathBuf,
    /// The chart's folder
    #[arg(long, value_name = "FOLDER")]
    chart: PathBuf,
    /// A value of the chart that this cluster needs, as for helm's --set
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The node is the one that tests/e2e/cluster keeps here (its RIG_STATE)
    #[arg(long, value_name = "FOLDER")]
    rig: Option<PathBuf>,
    /// The cluster has the image of a real Envoy
    #[arg(long)]
    envoy: bool,
    /// What tests/e2e/peers/istio/build.sh has made is here
    #[arg(long, value_name = "FOLDER")]
    istio: Option<PathBuf>,
}

impl Arguments {
    fn rig(&self) -> Option<Rig> {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
        Some(Rig {
            state: self.rig.clone()?,
            netns: variable("RIG_NETNS", "meshrig"),
            node: variable("RIG_NODE", "rig-node"),
        })
    }

    /// What this run has.
    fn has(&self, needs: Needs) -> bool {
        match needs {
            Needs::Cluster | Needs::Controller => true,
            Needs::Node | Needs::ControllerNode => self.rig.is_some(),
            Needs::Envoy => self.rig.is_some() && self.envoy,
            Needs::Istio | Needs::ControllerIstio => self.rig.is_some() && self.istio.is_some(),
        }
    }
}

// One thread: cases mostly wait, and their futures need not be sent anywhere.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = runner::choose(cases::all(), &arguments.filter);
    if arguments.list {
        chosen.iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    }
    if chosen.is_empty() {
        eprintln!("no case has any of these words in its name: {}", arguments.filter.join(", "));
        return ExitCode::from(2);
    }
    let tools = Tools {
        helm: arguments.helm.clone(),
        meshward: arguments.meshward.clone(),
        chart: arguments.chart.clone(),
        chart_values: arguments.set.clone(),
        envoy: arguments.envoy,
        istio: arguments.istio.clone(),
    };
    let cluster = match Cluster::connect(tools, arguments.rig()).await {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(3);
        }
    };
    let (fitting, left_out): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|case| arguments.has(case.needs));
    let passed = runner::run(&cluster, &fitting, arguments.jobs, arguments.keep).await;
    for case in left_out {
        println!("left out: {} (needs {:?})", case.name, case.needs);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
