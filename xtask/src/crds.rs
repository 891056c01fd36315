//! `cargo xtask crds`: the custom resource definitions that the chart brings, made from the types that the product reads.

use anyhow::{Context, Result};

use crate::{chart, docs, run};

pub(crate) fn run(check: bool) -> Result<()> {
    let kept = chart::chart().join("definitions");
    if !check {
        return write(&kept);
    }
    let fresh = tempfile::tempdir().context("cannot make a folder for the fresh definitions")?;
    write(fresh.path())?;
    docs::compare(&kept, fresh.path(), "cargo xtask crds")
}

fn write(folder: &std::path::Path) -> Result<()> {
    let mut command = run::cargo(&["run", "--quiet", "--package", "meshward-definitions", "--"]);
    run::step("custom resource definitions", command.arg(folder))
}
