//! `cargo xtask docs`: the generated parts of the documentation, written by the command line itself so that they cannot
//! say what it does not do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{demo, run};

/// What `meshward generate` writes, and where it is kept.
const FOLDERS: [(&str, &str); 1] = [("reference", "docs/reference")];

pub(crate) fn run(check: bool) -> Result<()> {
    run::step("building meshward", &mut run::cargo(&["build", "--quiet", "--package", "meshward-cli"]))?;
    let program = demo::target_folder().join("debug/meshward");
    for (kind, folder) in FOLDERS {
        let kept = run::root().join(folder);
        if check {
            let fresh = tempfile::tempdir().context("cannot make a folder for the fresh files")?;
            generate(&program, kind, fresh.path())?;
            compare(&kept, fresh.path(), "cargo xtask docs")?;
        } else {
            std::fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
            generate(&program, kind, &kept)?;
        }
    }
    Ok(())
}

fn generate(program: &Path, kind: &str, folder: &Path) -> Result<()> {
    run::step(
        &format!("meshward generate {kind}"),
        Command::new(program).args(["generate", kind]).arg(folder),
    )
}

/// Fails when a file below `fresh` is another one below `kept`, and says which verb writes it.
pub(crate) fn compare(kept: &Path, fresh: &Path, verb: &str) -> Result<()> {
    for entry in std::fs::read_dir(fresh).with_context(|| format!("cannot read {}", fresh.display()))? {
        let path: PathBuf = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            compare(&kept.join(name), &path, verb)?;
            continue;
        }
        let new = std::fs::read(&path)?;
        let old = std::fs::read(kept.join(name)).unwrap_or_default();
        if new != old {
            bail!("{} is out of date: run `{verb}`", kept.join(name).display());
        }
    }
    Ok(())
}
