//! `cargo bench-node` and `cargo bench-admission`: the figures of both daemons, on the same cluster as the end-to-end
//! cases and prepared alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::rig::Rig;
use super::{given, images, on_node_of, on_own_cluster};
use crate::{demo, run, tools};

/// The node agent's own program, `benches/node`.
const NODE: &str = "meshward-bench-node";
/// The admission controller's, `benches/admission`.
const ADMISSION: &str = "meshward-bench-admission";

/// Kyverno's admission controller, as its `build.sh` calls it.
const KYVERNO: &str = "kyverno-admission";

/// How the node agent is timed.
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

pub(crate) fn node(arguments: &Arguments) -> Result<()> {
    let build = ["build", "--quiet", "--workspace", "--bin", "meshward", "--bin", NODE];
    run::step("building the command line and the bench", &mut run::cargo(&build))?;
    let mut command = Command::new(demo::target_folder().join("debug").join(NODE));
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
    on_node_of(&rig, &mut command);
    on_own_cluster(&rig, &images, arguments.keep, vec![("bench", command)])
}

/// How the admission controller is timed.
#[derive(Args)]
pub(crate) struct AdmissionArguments {
    /// Leave the cluster running
    #[arg(long)]
    keep: bool,
    /// Do without Kyverno, which takes some minutes to build the first time
    #[arg(long)]
    alone: bool,
    /// Passed on to the bench, after `--`
    #[arg(last = true)]
    arguments: Vec<String>,
}

pub(crate) fn admission(arguments: &AdmissionArguments) -> Result<()> {
    // Optimised, the generator of load too: they share the processors.
    let build = ["build", "--quiet", "--release", "--bin", "meshward-control", "--bin", ADMISSION];
    run::step("building the controller and the bench, optimised", &mut run::cargo(&build))?;
    let built = demo::target_folder().join("release");
    let rig = Rig::prepare()?;
    let mut command = Command::new(built.join(ADMISSION));
    command.current_dir(run::root()).env("MESHWARD_CONTROL", built.join("meshward-control"));
    if !arguments.alone {
        let program = match tools::path_in("MESHWARD_KYVERNO_ADMISSION") {
            Some(program) => program,
            None => rig.kyverno(&[KYVERNO])?.join(KYVERNO),
        };
        command.env("MESHWARD_KYVERNO_ADMISSION", program);
    }
    command.args(&arguments.arguments);
    on_own_cluster(&rig, &[], arguments.keep, vec![("bench", command)])
}
