//! Writes the definitions below a folder, for `cargo xtask crds`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use meshward_manifest::to_yaml;

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: meshward-definitions FOLDER")?);
    for definition in meshward_definitions::all() {
        let path = folder.join(definition.path());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&path, format!("# Written by `cargo xtask crds`.\n{}", to_yaml(&definition.object)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
