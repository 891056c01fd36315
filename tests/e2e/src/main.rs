//! Runs the cases against a cluster. `cargo e2e` prepares everything this needs; see `--help` for a cluster of one's own.
#![allow(clippy::print_stdout)]

mod cases;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use meshward_e2e::{Needs, Options};

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
    /// Try a case that fails a second time, after the others, and tell of it
    #[arg(long, conflicts_with = "keep")]
    again: bool,
    #[command(flatten)]
    options: Options,
    /// Write the last line, how many passed and failed, into this file instead of printing it
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
}

impl Arguments {
    /// What this run has.
    fn has(&self, needs: Needs) -> bool {
        match needs {
            Needs::Cluster | Needs::Controller => true,
            Needs::Node | Needs::ControllerNode | Needs::ControllerAgent => self.options.rig.is_some(),
            Needs::Envoy => self.options.rig.is_some() && self.options.envoy,
            Needs::Istio | Needs::ControllerIstio => {
                self.options.rig.is_some() && self.options.istio.is_some()
            }
            Needs::ControllerOperators => self.options.rig.is_some() && self.options.operators.is_some(),
            Needs::ControllerKyverno => self.options.rig.is_some() && self.options.kyverno.is_some(),
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
    let cluster = match arguments.options.connect().await {
        Ok(cluster) => cluster,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(3);
        }
    };
    let (fitting, left_out): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|case| arguments.has(case.needs));
    let Arguments { jobs, keep, again, .. } = arguments;
    let totals = runner::run(&cluster, &fitting, runner::Way { jobs, keep, again }).await;
    for case in left_out {
        println!("left out: {} (needs {:?})", case.name, case.needs);
    }
    let ended = totals.and_then(|totals| match &arguments.result {
        Some(file) => Ok(std::fs::write(file, format!("{totals}\n")).map(|()| totals)?),
        None => {
            println!("{totals}");
            Ok(totals)
        }
    });
    match ended {
        Ok(totals) if totals.all_passed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(3)
        }
    }
}
