//! Which files are meant: those named, and the manifests in the folders named, in the order of their names. A folder
//! that cannot be listed, or has no manifest, is told: whoever names it expects something in it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Stat;

use super::unreadable;
use crate::results::Problem;

/// Endings of manifests in folders. A file that is named is read whatever its ending.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A file to read.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it is; `-` for standard input.
    pub(crate) path: PathBuf,
    /// As messages name it.
    pub(crate) name: Arc<str>,
}

/// The files that `paths` mean, and what cannot be listed.
pub(crate) fn files(paths: &[PathBuf]) -> Vec<Result<Found, Problem>> {
    let mut walk = Walk { found: Vec::new(), entered: HashSet::new() };
    for path in paths {
        if path != Path::new("-") && path.is_dir() {
            walk.folder(path, true);
        } else {
            walk.file(path.clone());
        }
    }
    walk.found
}

/// A path as messages name it.
fn name(path: &Path) -> Arc<str> {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string().into() }
}

struct Walk {
    found: Vec<Result<Found, Problem>>,
    /// Folders by device and inode: links may lead back into a folder that is being listed.
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn file(&mut self, path: PathBuf) {
        self.found.push(Ok(Found { name: name(&path), path }));
    }

    /// Lists a folder and those in it. Names that begin with a dot are left out, as `ls` does.
    fn folder(&mut self, path: &Path, named: bool) {
        let before = self.found.len();
        let entries = match self.enter(path) {
            Ok(Some(entries)) => entries,
            Ok(None) => return,
            Err(error) => {
                self.found.push(Err(unreadable(&name(path), format!("cannot list the folder: {error}"))));
                return;
            }
        };
        for entry in entries {
            if entry.is_dir() {
                self.folder(&entry, false);
            } else if has_ending(&entry) {
                self.file(entry);
            }
        }
        if named && self.found.len() == before {
            let message = "no manifest in this folder; accepted: files ending in .yaml, .yml or .json";
            self.found.push(Err(unreadable(&name(path), message.into())));
        }
    }

    /// The entries of a folder, sorted; `None` if it was listed already.
    fn enter(&mut self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let Stat { st_dev, st_ino, .. } = rustix::fs::stat(path)?;
        if !self.entered.insert((st_dev, st_ino)) {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.push(entry.path());
            }
        }
        entries.sort();
        Ok(Some(entries))
    }
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}
