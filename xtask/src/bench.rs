//! `cargo bench-peers`: our figures and the peers' in one run, so that the ratios hold on a noisy machine.

use anyhow::{Result, bail};

use crate::{run, setup};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let missing = setup::install()?;
    if !missing.0.is_empty() {
        bail!("nothing to compare with: {} missing", missing.0.join(", "));
    }
    // The command line's start is measured too, and it has to be built from this source.
    let mut build = run::cargo(&["build", "--quiet", "--release", "--package", "meshward-cli"]);
    run::quiet_step("build of the command line", &mut build)?;
    let mut command = run::cargo(&["run", "--quiet", "--release", "--package", "meshward-benches", "--"]);
    run::quiet_step("benches against the peers' tools", command.args(arguments))
}
