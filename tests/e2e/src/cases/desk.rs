//! What the pages say to type, and a place to type it: with the chart and the programs of this run, and stand-ins for
//! commands that no cluster of ours has.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use meshward_e2e::Bed;
use meshward_e2e::manifest::workspace;

/// Blocks of `sh` on a page that have `word` in them.
pub(super) fn blocks(page: &str, word: &str) -> Result<Vec<String>> {
    let path = workspace().join("docs").join(page);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("\n```sh\n") {
        let (block, after) = after.split_once("\n```").context("a block without an end")?;
        if block.contains(word) {
            found.push(block.to_string());
        }
        rest = after;
    }
    ensure!(!found.is_empty(), "{page} has no block of sh with {word:?} in it");
    Ok(found)
}

/// A folder to type in, with stand-ins for commands.
pub(super) struct Desk {
    folder: PathBuf,
}

impl Desk {
    pub(super) fn new(bed: &Bed, name: &str) -> Result<Self> {
        let folder = bed.rig()?.state.join(name);
        let (programs, tools) = (folder.join("bin"), &bed.cluster().tools);
        std::fs::create_dir_all(&programs)?;
        let link = folder.join("charts");
        if !link.exists() {
            std::os::unix::fs::symlink(workspace().join("charts").canonicalize()?, link)?;
        }
        // Where this cluster's node keeps its sockets is the one thing that the pages cannot know.
        let sets: String = tools.chart_values.iter().map(|value| format!(" --set '{value}'")).collect();
        let helm = tools.helm.display();
        let stand_ins = [
            (
                "helm",
                format!("case $1 in install | upgrade) set -- \"$@\"{sets} ;; esac\nexec {helm} \"$@\""),
            ),
            ("meshward", format!("exec {} \"$@\"", tools.meshward.canonicalize()?.display())),
            ("istioctl", "exec cat istio.yaml".to_string()),
            ("linkerd", "exec cat linkerd.yaml".to_string()),
            (
                "oc",
                "if [ \"$1\" = new-project ]; then set -- create namespace \"$2\"; fi\nexec kubectl \"$@\""
                    .into(),
            ),
        ];
        let desk = Self { folder };
        for (name, text) in stand_ins {
            desk.stand_in(name, &text)?;
        }
        Ok(desk)
    }

    /// Has a command be this text of `sh`.
    pub(super) fn stand_in(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        Ok(std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?)
    }

    pub(super) fn put(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.join(name), text)?)
    }

    pub(super) fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join(name))?)
    }

    /// Types a block; every command in it has to end well.
    pub(super) async fn types(&self, bed: &Bed, block: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let script = format!(
            "set -eu\nset -o pipefail\ncd '{folder}'\nexport PATH='{folder}/bin':'{path}'\n\
             trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{block}\n",
            folder = self.folder.display(),
        );
        bed.rig()?.here(&["bash", "-c", &script]).await.with_context(|| format!("typed:\n{block}"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It is within the cluster's own folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
