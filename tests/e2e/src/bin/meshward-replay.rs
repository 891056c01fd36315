//! `cargo xtask replay FOLDER`: Kyverno's declarative cases on the cluster of KUBECONFIG.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use meshward_e2e::replay::{Options, Outcome, Verdict, discover, replay};
use meshward_e2e::{Cluster, Tools};
use serde_json::Value;

/// Replay Kyverno's declarative end-to-end cases (folders with a chainsaw-test.yaml) on the cluster of KUBECONFIG.
#[derive(Parser)]
#[command(
    name = "cargo xtask replay",
    after_help = "Exit codes: 0 none failed, 1 one failed, 2 nothing to replay, 3 no cluster."
)]
struct Arguments {
    /// Folders with cases in or below them
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Only cases with one of these words in their path
    #[arg(long, value_name = "WORD", value_delimiter = ',')]
    only: Vec<String>,
    /// Run the programs that cases bring (script, command), with all of your rights
    #[arg(long)]
    programs: bool,
    /// Form of what is printed
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut folders = Vec::new();
    for root in &arguments.folders {
        match discover(root) {
            Ok(found) => folders.extend(found),
            Err(error) => {
                eprintln!("{error:#}");
                return ExitCode::from(2);
            }
        }
    }
    let chosen = |path: &PathBuf| {
        let text = path.to_string_lossy();
        arguments.only.is_empty() || arguments.only.iter().any(|word| text.contains(word.as_str()))
    };
    folders.retain(chosen);
    if folders.is_empty() {
        eprintln!("no chainsaw-test.yaml here");
        return ExitCode::from(2);
    }
    match Cluster::connect(Tools::none(), None).await {
        Ok(cluster) => all(&cluster, &folders, &arguments).await,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(3)
        }
    }
}

/// One after the other: a policy of one case is in force for all.
async fn all(cluster: &Cluster, folders: &[PathBuf], arguments: &Arguments) -> ExitCode {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for folder in folders {
        let outcome = replay(cluster, folder, Options { programs: arguments.programs }).await;
        if arguments.output == Form::Text {
            println!("{outcome}");
        }
        outcomes.push(outcome);
    }
    let count = |is: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| is(&outcome.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    match arguments.output {
        Form::Json => println!("{:#}", Value::Array(outcomes.iter().map(Outcome::to_json).collect())),
        Form::Text => println!(
            "{} cases: {} passed, {failed} failed, {} unsupported, {} skipped",
            outcomes.len(),
            count(|verdict| *verdict == Verdict::Passed),
            count(|verdict| matches!(verdict, Verdict::Unsupported(_))),
            count(|verdict| *verdict == Verdict::Skipped),
        ),
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
