//! Files that others read at any moment: replaced whole, or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::InstallError;

/// Mode of the executable.
pub(super) const EXECUTABLE: u32 = 0o755;

/// Files that are being written have this name until they are whole. The runtimes look at suffixes, and pass it over; a
/// crash may leave one behind, which the next run overwrites or sweeps away.
const UNFINISHED: &str = ".meshward-unfinished";

/// A file that cannot be read, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FileError {
    /// `read`, `write`, …
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The kernel's reason.
    pub source: io::Error,
}

impl FileError {
    pub(super) fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// What tells a file from a changed one without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
    mode: u32,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = fs::symlink_metadata(path).ok()?;
        Some(Self {
            identity: (file.dev(), file.ino()),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            mode: file.mode(),
        })
    }

    pub(super) fn is_executable(&self) -> bool {
        self.mode & 0o777 == EXECUTABLE
    }
}

/// The files of a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    let entries: io::Result<Vec<_>> = entries.collect();
    let entries = entries.map_err(failed("list", folder))?;
    let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir()));
    Ok(files.map(fs::DirEntry::path).collect())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(failed("read", path))
}

/// A text of bounded length from a plain file: a symbolic link is refused, since a rename would replace the link.
pub(super) fn read_text(path: &Path, longest: usize) -> Result<String, FileError> {
    let kind = fs::symlink_metadata(path).map_err(failed("read", path))?.file_type();
    if !kind.is_file() {
        let what = if kind.is_symlink() { "it is a symbolic link" } else { "it is no plain file" };
        return Err(failed("edit", path)(io::Error::other(format!("{what}, accepted is a plain file"))));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed("read", path))?;
    file.take(longest as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    let text = String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
    text.map_err(failed("read", path))
}

/// Writes a file under another name and renames it. Its content is on the disk before its name is.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let unfinished = unfinished(path);
    write(&unfinished, content, mode, None)?;
    fs::rename(&unfinished, path).map_err(failed("write", path))?;
    sync_folder(path)
}

/// The same for a text that was read before: only when it still is what was read, and with its mode and owner.
pub(super) fn replace_text(path: &Path, before: &str, after: &str) -> Result<(), InstallError> {
    let unfinished = unfinished(path);
    let file = fs::symlink_metadata(path).map_err(failed("read", path))?;
    write(&unfinished, after.as_bytes(), file.mode() & 0o7777, Some((file.uid(), file.gid())))?;
    // As late as it can be: another writer has to come within the next microseconds, and is found at the next look.
    if read_text(path, before.len() + 1)? != before {
        remove(&unfinished)?;
        return Err(InstallError::Contended { path: path.to_owned() });
    }
    fs::rename(&unfinished, path).map_err(failed("write", path))?;
    Ok(sync_folder(path)?)
}

/// Removes a file; one that is not there is removed already.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes what a crash left behind.
pub(super) fn sweep(folder: &Path) -> Result<(), FileError> {
    remove(&folder.join(UNFINISHED))
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_file_name(UNFINISHED)
}

fn write(path: &Path, content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> Result<(), FileError> {
    remove(path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(content).map_err(failed("write", path))?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::fchown(&file, Some(user), Some(group)).map_err(failed("give away", path))?;
    }
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("write", path))
}

fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}
