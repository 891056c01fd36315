//! What the tests, benches and the demo compare with or run on: Debian packages, installed when they are missing
//! and when we may.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// A program a verb needs, and the Debian package it comes in.
const NEEDED: [(&str, &str); 5] = [
    ("nft", "nftables"),
    ("iptables-nft-restore", "iptables"),
    ("iptables-legacy-restore", "iptables"),
    ("ip", "iproute2"),
    ("wasm-opt", "binaryen"),
];

/// What could not be had.
#[derive(Debug, Default)]
pub(crate) struct Missing(pub(crate) Vec<&'static str>);

/// Installs what is missing, says so, and returns what is still missing afterwards.
pub(crate) fn install() -> Result<Missing> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(Missing::default());
    }
    let names = missing.join(", ");
    if !run::works("apt-get", &["--version"]) {
        println!(
            "not installed: {names} (no apt-get here; install them with this machine's package manager)"
        );
        return Ok(Missing(missing));
    }
    let Some(prefix) = privilege() else {
        println!("not installed: {names} (neither root nor sudo without a password)");
        return Ok(Missing(missing));
    };
    println!("installing with apt-get: {names}");
    apt(prefix, &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(&missing);
    apt(prefix, &arguments)?;
    let still = missing_packages();
    if !still.is_empty() {
        bail!("apt-get ended well, but these programs are still missing: {}", still.join(", "));
    }
    Ok(Missing::default())
}

fn missing_packages() -> Vec<&'static str> {
    let mut packages: Vec<&str> =
        NEEDED.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
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
