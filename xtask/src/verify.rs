//! `cargo verify`: everything a change has to pass, with nothing installed but what Debian packages. Kernel tests run
//! wherever this user may make network namespaces; what could not run is listed at the end, never passed over.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{chart, crds, docs, run, setup, tools, wasm};

pub(crate) fn run() -> Result<()> {
    let missing = setup::install()?;
    run::step("format", &mut run::cargo(&["fmt", "--all", "--", "--check"]))?;
    let lint = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::step("lint", &mut run::cargo(&lint))?;
    let skipped = tempfile::NamedTempFile::new().context("cannot make a file for skipped tests")?;
    run::step("tests", &mut tests(skipped.path()))?;
    docs::run(true)?;
    crds::run(true)?;
    wasm::run()?;
    let helm = tools::built_helm()?;
    if let Some(helm) = &helm {
        chart::run(helm, false)?;
    }
    report(&missing, skipped.path(), helm.is_some())
}

/// Everything is run, whatever fails: one report of all failures saves a round.
const TEST: [&str; 3] = ["test", "--workspace", "--no-fail-fast"];

/// `cargo test`, inside a user namespace of its own when we are not root.
fn tests(skipped: &Path) -> Command {
    let mut command = run::cargo(&TEST);
    if !run::is_root() {
        match unprivileged() {
            Some(words) => {
                println!("not root: kernel tests run in a user namespace ({})", words.join(" "));
                let cargo = command.get_program().to_owned();
                command = Command::new(words[0]);
                command.args(&words[1..]).arg(cargo).args(TEST).current_dir(run::root());
            }
            None => println!("not root, and no user namespaces here: kernel tests will be skipped"),
        }
    }
    // sbin folders hold nft and iptables, and are often not on a user's PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("MESHWARD_SKIPPED", skipped);
    command
}

/// How to get a user namespace: with every id of this user's range where that is set up (traffic tests need other ids),
/// else with root alone.
fn unprivileged() -> Option<&'static [&'static str]> {
    const ALL_IDS: &[&str] = &["unshare", "--map-root-user", "--map-auto", "--mount", "--net"];
    const ROOT_ONLY: &[&str] = &["unshare", "--map-root-user", "--mount", "--net"];
    [ALL_IDS, ROOT_ONLY].into_iter().find(|words| {
        let arguments: Vec<&str> = words[1..].iter().copied().chain(["true"]).collect();
        run::works(words[0], &arguments)
    })
}

/// Says what was left out, and why.
fn report(missing: &setup::Missing, skipped: &Path, has_helm: bool) -> Result<()> {
    let text = std::fs::read_to_string(skipped).context("cannot read the list of skipped tests")?;
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    text.lines().for_each(|line| *reasons.entry(line).or_default() += 1);
    if reasons.is_empty() && missing.0.is_empty() && has_helm {
        println!("verified: nothing was left out");
        return Ok(());
    }
    println!("verified, but left out:");
    if !has_helm {
        println!("  whether the chart renders what is kept of it (`cargo xtask chart` builds helm for that)");
    }
    missing.0.iter().for_each(|package| println!("  what needs the package {package}"));
    reasons.iter().for_each(|(reason, times)| println!("  {reason} ({times} times)"));
    Ok(())
}
