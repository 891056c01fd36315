//! `cargo bench-node`: the figures of the node agent, on the same cluster as the end-to-end cases and prepared alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::rig::Rig;
use super::{given, images, on_own_cluster};
use crate::{demo, run, tools};

/// The bench's own program, `benches/node`.
const PROGRAM: &str = "meshward-bench-node";

/// How it is run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Few runs, and no real Istio: whether everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Only these measures (see --list)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Name the measures, and do nothing
    #[arg(long)]
    list: bool,
    /// Leave the cluster running
    #[arg(long)]
    keep: bool,
    /// Use the images that `cargo xtask image node wait test-app` has left here, instead of building them
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let build = ["build", "--quiet", "--workspace", "--bin", "meshward", "--bin", PROGRAM];
    run::step("building the command line and the bench", &mut run::cargo(&build))?;
    let mut command = Command::new(demo::target_folder().join("debug").join(PROGRAM));
    if arguments.list {
        given(&mut command, Path::new("helm"));
        return run::quiet_step("the list of measures", command.arg("--list"));
    }
    given(&mut command, &tools::helm()?);
    let rig = Rig::prepare()?;
    let mut images = images(arguments.images.as_deref())?;
    if !arguments.quick {
        let istio = rig.istio()?;
        images.push(istio.join("proxyv2.tar"));
        command.arg("--istio").arg(istio);
    }
    for (flag, is_on) in [("--quick", arguments.quick), ("--json", arguments.json)] {
        if is_on {
            command.arg(flag);
        }
    }
    for name in &arguments.only {
        command.args(["--only", name]);
    }
    on_own_cluster(&rig, &images, arguments.keep, "bench", command)
}
