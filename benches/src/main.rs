//! Our figures and the peers' in one run: a machine's noise hits both alike, so ratios hold where times do not. Every
//! measure takes turns between us and the peers' tools on fresh network namespaces, and prints what was reached beside
//! what was aimed at. Nothing here fails because of a figure.
//!
//! ```text
//! round 1: ours, pair, nft …   round 2: pair, nft …, ours   ─►  medians, and the median of each round's ratio
//! ```

mod bed;
mod measure;
mod peers;
mod rounds;
mod standard;
mod tamper;

use std::ffi::OsString;
use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::Parser;
use meshward_benches::machine::Machine;
use meshward_benches::report::Report;

use measure::{MEASURES, Scale, memory, policy};

/// Time us beside the peers' tools and print the ratios.
#[derive(Parser)]
#[command(name = "cargo bench-peers", max_term_width = 110)]
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
    /// Only program this many pods and tell the memory it took: what the measure of memory starts this program for
    #[arg(long, hide = true, value_name = "N")]
    program_pods: Option<usize>,
    /// Run kyverno on 10,000 pods too: some minutes
    #[arg(long)]
    long: bool,
    /// Only run a program and tell its time and memory: what the measures of policies start this program for
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true, value_name = "COMMAND")]
    weigh: Vec<OsString>,
    /// The same on one core
    #[arg(long, hide = true)]
    one_core: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut out = std::io::stdout().lock();
    if let Some(pods) = arguments.program_pods {
        return memory::program_pods(pods, &mut out);
    }
    if !arguments.weigh.is_empty() {
        return policy::weigh(&arguments.weigh, arguments.one_core, &mut out);
    }
    if arguments.list {
        for (name, _) in MEASURES {
            writeln!(out, "{name}")?;
        }
        return Ok(());
    }
    for name in &arguments.only {
        if !MEASURES.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = MEASURES.iter().map(|(known, _)| *known).collect();
            bail!("no measure is called {name}, accepted: {}", known.join(", "));
        }
    }
    let mut scale = if arguments.quick { Scale::QUICK } else { Scale::FULL };
    if arguments.long {
        scale.kyverno_pods = usize::MAX;
    }
    let machine = Machine::look(peers::versions());
    let mut report = Report { machine, quick: arguments.quick, sections: Vec::new() };
    for (name, measure) in MEASURES {
        if arguments.only.is_empty() || arguments.only.iter().any(|only| only == name) {
            report.sections.extend(measure(scale).with_context(|| format!("measure {name}"))?);
        }
    }
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}
