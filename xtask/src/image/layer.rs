//! A layer: the files of an image as one tar archive, the same bytes for the same content whenever and wherever it is
//! written.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// What is at a path.
enum Entry {
    Folder,
    File { mode: u32, content: Vec<u8> },
}

/// Files by path, without the leading slash; the order of a map is the order in the archive.
#[derive(Default)]
pub(crate) struct Layer(BTreeMap<String, Entry>);

impl Layer {
    /// Puts a file at an absolute path, with the folders that lead to it.
    pub(crate) fn file(mut self, path: &str, mode: u32, content: Vec<u8>) -> Self {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            self.0.entry(path[..end].to_string()).or_insert(Entry::Folder);
        }
        self.0.insert(path.to_string(), Entry::File { mode, content });
        self
    }

    /// The archive. Owner is root, and there is no time: nothing of this machine is in it.
    pub(crate) fn to_tar(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in &self.0 {
            let (kind, mode, content) = match entry {
                Entry::Folder => (EntryType::Directory, 0o755, &[][..]),
                Entry::File { mode, content } => (EntryType::Regular, *mode, &content[..]),
            };
            append(&mut archive, path, kind, mode, content)?;
        }
        archive.into_inner().context("cannot end the archive")
    }
}

/// One entry, with every field of its header said.
pub(crate) fn append(
    archive: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content).with_context(|| format!("cannot archive {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_putting_does_not_matter() {
        let one = Layer::default().file("/b/c", 0o755, b"1".to_vec()).file("/a", 0o644, b"2".to_vec());
        let other = Layer::default().file("/a", 0o644, b"2".to_vec()).file("/b/c", 0o755, b"1".to_vec());
        assert_eq!(one.to_tar().unwrap(), other.to_tar().unwrap());
    }

    #[test]
    fn entries_say_nothing_of_this_machine() {
        let bytes = Layer::default().file("/usr/bin/x", 0o755, b"x".to_vec()).to_tar().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
            seen.push((entry.path().unwrap().to_string_lossy().into_owned(), header.mode().unwrap()));
        }
        assert_eq!(seen, [("usr".into(), 0o755), ("usr/bin".into(), 0o755), ("usr/bin/x".into(), 0o755)]);
    }
}
