//! `cargo bench-peers`: our figures and the peers' in one run, so that the ratios hold on a noisy machine.

use anyhow::{Result, bail};

use crate::{run, setup};

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let missing = setup::install()?;
    if !missing.0.is_empty() {
        bail!("nothing to compare with: {} missing", missing.0.join(", "));
    }
    let mut command = run::cargo(&["run", "--quiet", "--release", "--package", "meshward-benches", "--"]);
    run::step("benches against the peers' tools", command.args(arguments))
}
