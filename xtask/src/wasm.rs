//! `cargo xtask wasm`: the policy engine as the browser gets it, and what it weighs. The crate is pure, so it has to
//! build where there is no operating system; a dependency that breaks or bloats that is found here.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

const TARGET: &str = "wasm32-unknown-unknown";
/// For size, with the instructions that rustc uses by itself.
const SHRINK: [&str; 6] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    "--enable-reference-types",
];
/// Bytes, stripped and shrunk: what a page may load before it answers.
const LARGEST: u64 = 900_000;

pub(crate) fn run() -> Result<()> {
    if !target_installed() {
        println!("wasm: installing the Rust target {TARGET}");
        run::quiet_step("Rust target", Command::new("rustup").args(["target", "add", TARGET]))?;
    }
    let build = ["build", "--quiet", "-p", "meshward-playground", "--target", TARGET];
    run::step("policy engine for the browser", run::cargo(&build).args(["--profile", "small"]))?;
    let module = run::root().join("target").join(TARGET).join("small/meshward-playground.wasm");
    if !run::works("wasm-opt", &["--version"]) {
        println!("wasm: built, not weighed: wasm-opt (package binaryen) is not installed");
        return Ok(());
    }
    let shrunk = module.with_extension("opt.wasm");
    run::quiet_step("wasm-opt", Command::new("wasm-opt").args(SHRINK).arg(&module).arg("-o").arg(&shrunk))?;
    let size = std::fs::metadata(&shrunk).with_context(|| format!("cannot find {}", shrunk.display()))?.len();
    println!("wasm: {size} bytes, at most {LARGEST}");
    if size > LARGEST {
        bail!("the policy engine for the browser has {size} bytes, accepted: {LARGEST}");
    }
    Ok(())
}

/// Whether the toolchain of this workspace has the target's standard library.
fn target_installed() -> bool {
    let mut rustc = Command::new("rustc");
    let path = rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(run::root()).output();
    path.is_ok_and(|out| std::path::Path::new(String::from_utf8_lossy(&out.stdout).trim()).exists())
}
