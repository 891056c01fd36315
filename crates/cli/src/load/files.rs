//! Which files are meant: those named, and the manifests in the folders named, in the order of their names. A folder
//! that cannot be listed, or has no manifest, is told: whoever names it expects something in it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::Stat;

use meshward_manifest::{ChunkReader, Documents, Options, OwnedChunk};

use super::reader::holds_text;
use super::{LIMITS, unreadable};
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
    /// What was in it, where it can be read only once and had to be read already.
    pub(crate) text: Option<Vec<u8>>,
}

impl Found {
    /// A file that is going to be read more than once: pipes are read here and kept.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub(crate) fn to_read_again(path: PathBuf) -> io::Result<Self> {
        let mut found = Self { name: name(&path), path, text: None };
        let seekable = found.path != Path::new("-") && fs::metadata(&found.path)?.is_file();
        let mut text = Vec::new();
        // A file is only opened, so that one that cannot be is told before anything is judged.
        let all = if seekable { 0 } else { u64::MAX };
        found.open()?.take(all).read_to_end(&mut text)?;
        found.text = (!seekable).then_some(text);
        Ok(found)
    }

    /// Its text.
    ///
    /// # Errors
    /// What keeps it from being opened.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        if let Some(text) = &self.text {
            return Ok(Box::new(text.as_slice()));
        }
        if self.path == Path::new("-") {
            return Ok(Box::new(io::stdin().lock()));
        }
        let file = File::open(&self.path)?;
        match file.metadata()?.is_dir() {
            true => Err(io::Error::from(ErrorKind::IsADirectory)),
            false => Ok(Box::new(file)),
        }
    }

    /// How many objects it holds, without parsing what is plainly one. What cannot be read does not count.
    pub(crate) fn count(&self) -> usize {
        let Ok(source) = self.open() else { return 0 };
        let mut reader = ChunkReader::new(source, &LIMITS);
        let mut count = 0;
        while let Ok(Some(chunk)) = reader.next_chunk() {
            count += chunk.map_or(0, |chunk| count_in(&chunk));
        }
        count
    }
}

fn count_in(chunk: &OwnedChunk) -> usize {
    let text = chunk.bytes();
    let may_be_several =
        text.trim_ascii_start().starts_with(b"{") || memchr::memmem::find(text, b"List").is_some();
    if !may_be_several {
        return usize::from(holds_text(text));
    }
    let options = Options { limits: LIMITS, spans: false, ..Options::default() };
    let documents = Documents::of_chunk(chunk.chunk(), options);
    documents.map(|document| document.map_or(1, |document| document.objects().count())).sum()
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
        self.found.push(Ok(Found { name: name(&path), path, text: None }));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &[u8]) -> usize {
        Found { path: "-".into(), name: "a".into(), text: Some(text.to_vec()) }.count()
    }

    #[test]
    fn objects_are_counted_without_reading_them() {
        assert_eq!(count(b"a: 1\n---\n# nothing\n---\nb: 2\n...\n"), 2);
        assert_eq!(count(b"kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"), 3);
        assert_eq!(count(b"{\"kind\": \"A\"} {\"kind\": \"B\"}"), 2);
        assert_eq!(count(b""), 0);
    }
}
