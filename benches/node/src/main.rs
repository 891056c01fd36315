//! The node agent's figures on a real Kubernetes, where its work is a small part of what starts a pod: what it adds to a
//! sandbox, how soon the gate opens, what it takes with a hundred pods, and how long pods take to start with it, without
//! it, and with the init container that it replaces. `cargo bench-node` prepares everything; nothing fails because of a
//! figure.
//!
//! ```text
//! NRI plugins before and behind the agent ─┐
//! the runtime's log ───────────────────────┼─► figures, what was aimed at, the machine's load
//! the API server, /proc, nf_tables ────────┘
//! ```
#![allow(clippy::print_stdout)]

mod bench;
mod journal;
mod measure;
mod process;
mod sentinel;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use meshward_benches::machine::{Machine, load};
use meshward_benches::report::Report;
use meshward_e2e::Options;

use bench::Bench;
use measure::{MEASURES, Scale};

/// Time the node agent on the cluster that this repository starts.
#[derive(Parser)]
#[command(name = "cargo bench-node", max_term_width = 110)]
struct Arguments {
    /// Few runs: whether everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Only these measures (see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Name the measures and do nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    options: Options,
}

// One thread: the bench mostly waits, and what must not wait has a thread of its own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        MEASURES.iter().for_each(|measure| println!("{:8} {}", measure.name, measure.what));
        return ExitCode::SUCCESS;
    }
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    for name in &arguments.only {
        if !MEASURES.iter().any(|known| known.name == name) {
            let known: Vec<&str> = MEASURES.iter().map(|known| known.name).collect();
            bail!("no measure is called {name}, accepted: {}", known.join(", "));
        }
    }
    let scale = if arguments.quick { Scale::QUICK } else { Scale::FULL };
    let bench = Bench::prepare(&arguments.options, scale).await?;
    let mut report = Report {
        machine: Machine::look(bench.versions().await?),
        quick: arguments.quick,
        sections: Vec::new(),
    };
    let measured = measure(arguments, &bench, &mut report).await;
    let cleared = bench.clear().await;
    // What was measured is told, whatever came after it.
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    measured?;
    cleared
}

async fn measure(arguments: &Arguments, bench: &Bench, report: &mut Report) -> Result<()> {
    for known in MEASURES {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == known.name) {
            continue;
        }
        eprintln!("==> {}", known.what);
        let before = load();
        let measured = (known.run)(bench).await.with_context(|| format!("measure {}", known.name));
        let mut sections = match measured {
            Ok(sections) => sections,
            Err(error) => bail!("{error:#}\n{}", bench.bed.diagnosis().await),
        };
        let after = load();
        sections.iter_mut().for_each(|section| section.load = Some((before.clone(), after.clone())));
        report.sections.append(&mut sections);
        bench.bed.clear().await?;
    }
    Ok(())
}
