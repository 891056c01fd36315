//! What the tests, benches, images and the demo compare with, build with or run on: Debian packages and a target of the
//! Rust toolchain, installed when they are missing and when we may.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// A program that is needed, and the Debian package it comes in.
pub(crate) type Needed = (&'static str, &'static str);

/// What tests, benches and the demo need.
const TESTED_WITH: [Needed; 5] = [
    ("nft", "nftables"),
    ("iptables-nft-restore", "iptables"),
    ("iptables-legacy-restore", "iptables"),
    ("ip", "iproute2"),
    ("wasm-opt", "binaryen"),
];

/// What could not be had.
#[derive(Debug, Default)]
pub(crate) struct Missing(pub(crate) Vec<&'static str>);

/// Installs what tests, benches and the demo lack, says so, and returns what is still missing afterwards.
pub(crate) fn install() -> Result<Missing> {
    install_packages(&TESTED_WITH)
}

/// Installs what is missing of `needed`, says so, and fails when that cannot be.
pub(crate) fn packages(needed: &[Needed]) -> Result<()> {
    let Missing(missing) = install_packages(needed)?;
    if !missing.is_empty() {
        bail!("these packages are missing: {}", missing.join(", "));
    }
    Ok(())
}

/// Installs a target of the Rust toolchain, unless it is there.
pub(crate) fn rust_target(target: &str) -> Result<()> {
    let mut list = Command::new("rustup");
    list.args(["target", "list", "--installed"]).current_dir(run::root());
    let Ok(installed) = run::output("list of installed targets", &mut list) else {
        bail!("no rustup here: install the Rust target {target} with what manages this toolchain");
    };
    if installed.lines().any(|line| line.trim() == target) {
        return Ok(());
    }
    eprintln!("installing with rustup: the target {target}");
    run::step(
        &format!("rustup target add {target}"),
        Command::new("rustup").args(["target", "add", target]).current_dir(run::root()),
    )
}

fn install_packages(needed: &[Needed]) -> Result<Missing> {
    let missing = missing_packages(needed);
    if missing.is_empty() {
        return Ok(Missing::default());
    }
    let names = missing.join(", ");
    if !run::works("apt-get", &["--version"]) {
        eprintln!(
            "not installed: {names} (no apt-get here; install them with this machine's package manager)"
        );
        return Ok(Missing(missing));
    }
    let Some(prefix) = privilege() else {
        eprintln!("not installed: {names} (neither root nor sudo without a password)");
        return Ok(Missing(missing));
    };
    eprintln!("installing with apt-get: {names}");
    apt(prefix, &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(prefix, &arguments)?;
    let still = missing_packages(needed);
    if !still.is_empty() {
        bail!("apt-get ended well, but these programs are still missing: {}", still.join(", "));
    }
    Ok(Missing::default())
}

fn missing_packages(needed: &[Needed]) -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        needed.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}

/// Looks where the packages put their programs too: an ordinary user's PATH often lacks the sbin folders.
fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| std::path::Path::new(folder).join(program).exists())
}

/// The words before a command that needs root: none for root, `sudo -n` where that works without asking.
fn privilege() -> Option<&'static [&'static str]> {
    if run::is_root() {
        return Some(&[]);
    }
    run::works("sudo", &["-n", "true"]).then_some(&["sudo", "-n"])
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Result<()> {
    let words: Vec<&str> =
        prefix.iter().copied().chain(["apt-get"]).chain(arguments.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    run::step(&words.join(" "), &mut command)
}
