//! `cargo xtask deny`: supply-chain checks, where cargo-deny is installed.

use anyhow::{Result, bail};

use crate::run;

pub(crate) fn run() -> Result<()> {
    if !run::works("cargo-deny", &["--version"]) {
        bail!("cargo-deny is not installed: cargo install --locked cargo-deny (takes minutes to compile)");
    }
    run::step("cargo deny", &mut run::cargo(&["deny", "--workspace", "check"]))
}
