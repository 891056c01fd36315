//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, each for a bounded time.

use anyhow::{Context, Result, bail};

use crate::run;

/// Seconds that one input may take; an input that takes longer counts as found.
const SLOWEST: &str = "-timeout=10";
/// Bytes of an input. Above libFuzzer's own 4096: lists are bounded at higher numbers than fit there.
const LARGEST: &str = "-max_len=65536";

/// What is looked for is panics and slowness: there is no unsafe code for a sanitizer to watch.
const NO_SANITIZER: &str = "--sanitizer=none";

pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    if !run::works("cargo", &["+nightly", "fuzz", "--version"]) {
        bail!("this needs a nightly toolchain and cargo-fuzz: cargo install --locked cargo-fuzz");
    }
    let mut targets = all_targets()?;
    if let Some(wanted) = target {
        let all = targets.join(", ");
        targets.retain(|one| one == wanted);
        if targets.is_empty() {
            bail!("no fuzz target {wanted:?}, accepted: {all}");
        }
    }
    for target in targets {
        // libFuzzer reads both folders and writes what it finds to the first.
        let corpus = format!("fuzz/corpus/{target}");
        let seeds = format!("fuzz/seeds/{target}");
        let folder = run::root().join(&corpus);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let limit = format!("-max_total_time={seconds}");
        let mut command = std::process::Command::new("cargo");
        command.args(["+nightly", "fuzz", "run", NO_SANITIZER, &target, &corpus, &seeds]);
        command.args(["--", &limit, SLOWEST, LARGEST]);
        run::step(&format!("fuzz {target} for {seconds} s"), command.current_dir(run::root()))?;
    }
    Ok(())
}

fn all_targets() -> Result<Vec<String>> {
    let folder = run::root().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}
