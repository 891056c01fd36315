//! Which files a path on the command line stands for.

use std::path::{Path, PathBuf};

use super::problem::{Problem, Problems};

/// How a folder is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only its own files, as Kyverno reads folders of resources.
    Own,
    /// Those of the folders in it too, as it reads folders of policies.
    All,
}

/// A file, and whether the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is; `-` is standard input.
    pub(crate) path: PathBuf,
    /// Named by the user, and not found in a folder: it has to hold what it is named for.
    pub(crate) named: bool,
}

/// The files of a path in alphabetical order. In folders only `.yaml`, `.yml` and `.json` count, and nothing hidden; a
/// path that does not exist is told.
pub(crate) fn files(path: &Path, depth: Depth, problems: &mut Problems) -> Vec<Found> {
    let remote = path.to_str().is_some_and(|text| text.contains("://"));
    if remote {
        let text = format!("{}: found an address, accepted: files and folders", path.display());
        problems.tell(Problem::of_file(&path.display().to_string(), text));
        return Vec::new();
    }
    if path == Path::new("-") || !path.is_dir() {
        return vec![Found { path: path.to_owned(), named: true }];
    }
    let mut found = Vec::new();
    folder(path, depth, &mut found, problems);
    found
}

fn folder(path: &Path, depth: Depth, found: &mut Vec<Found>, problems: &mut Problems) {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let name = path.display().to_string();
            problems.tell(Problem::of_file(&name, format!("cannot read {name}: {error}")));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if depth == Depth::All {
                folder(&path, depth, found, problems);
            }
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
            found.push(Found { path, named: false });
        }
    }
}
