//! `cargo demo`: builds the command line and lets it tell the story.

use std::process::Command;

use anyhow::Result;

use crate::run;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    run::step("building meshward", &mut run::cargo(&["build", "--quiet", "--package", "meshward-cli"]))?;
    let program = target_folder().join("debug/meshward");
    run::step("meshward demo", Command::new(program).arg("demo").args(arguments))
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| run::root().join("target"), |folder| run::root().join(folder))
}
