//! Programs that the verbs need and that no Debian package has: built from Go modules of pinned versions
//! (`xtask/tools/go.mod`), kept outside of the workspace so that a fresh clone finds them again.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::run;

/// Where built tools and clusters are kept: `MESHWARD_CACHE`, else `meshward` in the user's cache folder.
pub(crate) fn cache() -> Result<PathBuf> {
    path_in("MESHWARD_CACHE")
        .or_else(|| path_in("XDG_CACHE_HOME").map(|cache| cache.join("meshward")))
        .or_else(|| path_in("HOME").map(|home| home.join(".cache/meshward")))
        .context("none of MESHWARD_CACHE, XDG_CACHE_HOME and HOME is set")
}

/// The path that an environment variable names.
pub(crate) fn path_in(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Helm, if it has been built.
pub(crate) fn built_helm() -> Result<Option<PathBuf>> {
    let path = helm_path()?;
    Ok(path.exists().then_some(path))
}

/// Helm, built when it is not there yet.
pub(crate) fn helm() -> Result<PathBuf> {
    let path = helm_path()?;
    if path.exists() {
        return Ok(path);
    }
    need_go("helm")?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // Renamed when it is whole: two builds at once must not see each other's halves.
    let unfinished = path.with_extension(format!("{}", std::process::id()));
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
        .arg(&unfinished)
        .arg("helm.sh/helm/v4/cmd/helm")
        .current_dir(run::root().join("xtask/tools"))
        .envs([("CGO_ENABLED", "0"), ("GOFLAGS", "-mod=readonly"), ("GOTOOLCHAIN", "local")]);
    run::step(
        &format!("building helm from its Go module into {} (once, minutes)", path.display()),
        &mut command,
    )?;
    std::fs::rename(&unfinished, &path).with_context(|| format!("cannot put {} in place", path.display()))?;
    Ok(path)
}

/// Named by what it is built from, so that another version is another file.
fn helm_path() -> Result<PathBuf> {
    let folder = run::root().join("xtask/tools");
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let path = folder.join(file);
        hash.update(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    let digest: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(cache()?.join(format!("tools/helm-{digest}")))
}

/// Fails with what to do when there is no Go toolchain.
pub(crate) fn need_go(what: &str) -> Result<()> {
    if !run::works("go", &["version"]) {
        bail!(
            "{what} is built from its Go module, and there is no go on the PATH: install Go 1.26 or newer (https://go.dev/dl)"
        );
    }
    Ok(())
}
