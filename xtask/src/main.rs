//! The project's own verbs, behind the cargo aliases of `.cargo/config.toml`. Each does its own set-up and says what it
//! installs, so that a clone and a Rust toolchain are all a newcomer needs.
#![allow(clippy::print_stdout)]

mod bench;
mod chart;
mod crds;
mod demo;
mod deny;
mod docs;
mod e2e;
mod fuzz;
mod image;
mod run;
mod setup;
mod tools;
mod verify;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own verbs.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the other verbs need (nftables, iptables, iproute2), and say so
    Setup,
    /// Run the product's main job on this machine, without a cluster
    Demo {
        /// Passed on to `meshward demo`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Format, lint, and run every test
    Verify,
    /// Time us beside the peers' tools, in one run, and print the ratios
    BenchPeers {
        /// Passed on to the bench
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the fuzz targets for a while (needs a nightly toolchain and cargo-fuzz)
    Fuzz {
        /// One target; all of them when absent
        target: Option<String>,
        /// Seconds for each target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Build the policy engine for the browser, and weigh it
    Wasm,
    /// Check licences, advisories and duplicate crates (needs cargo-deny)
    Deny,
    /// Build the container images, without Docker: static, reproducible, with a bill of materials
    Image(image::Arguments),
    /// Run the end-to-end cases on a real Kubernetes
    E2e(e2e::Arguments),
    /// Replay Kyverno's declarative end-to-end cases on the cluster of KUBECONFIG
    Replay {
        /// Passed on to the program; `--help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Time the node agent on a real Kubernetes
    BenchNode(e2e::BenchNodeArguments),
    /// Time the admission controller on a real API server, beside Kyverno's
    BenchAdmission(e2e::BenchAdmissionArguments),
    /// Lint the Helm chart, and compare what it renders with what is kept
    Chart {
        /// Keep what it renders now
        #[arg(long)]
        bless: bool,
    },
    /// Write the custom resource definitions of the chart, from the types that are read
    Crds {
        /// Change nothing; fail when something is out of date
        #[arg(long)]
        check: bool,
    },
    /// Write the generated parts of the documentation: command reference, man pages, completions
    Docs {
        /// Change nothing; fail when something is out of date
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<run::Told>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Setup => setup::install().map(|_| ()),
        Verb::Demo { arguments } => demo::run(&arguments),
        Verb::Verify => verify::run(),
        Verb::BenchPeers { arguments } => bench::run(&arguments),
        Verb::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Verb::Wasm => wasm::run(),
        Verb::Deny => deny::run(),
        Verb::Image(arguments) => image::run(&arguments),
        Verb::E2e(arguments) => e2e::run(&arguments),
        Verb::Replay { arguments } => e2e::replay(&arguments),
        Verb::BenchNode(arguments) => e2e::bench_node(&arguments),
        Verb::BenchAdmission(arguments) => e2e::bench_admission(&arguments),
        Verb::Chart { bless } => chart::verb(bless),
        Verb::Crds { check } => crds::run(check),
        Verb::Docs { check } => docs::run(check),
    }
}
