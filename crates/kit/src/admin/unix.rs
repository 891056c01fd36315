//! A unix socket for root on the node only. A stale one of an earlier process is replaced, anything else is left alone,
//! and the socket is never open to others, not even for a moment.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::BindError;

/// A bound socket; its path is removed when this is dropped, if it is still ours.
#[derive(Debug)]
pub struct UnixSocket {
    path: PathBuf,
    /// Device and inode, so that a successor's socket at the same path is not removed.
    identity: (u64, u64),
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path` with mode 0600; the folder is made when it is not there. Keep the second value as long as the
/// socket is served.
///
/// # Errors
/// The path holds something else, another process answers there, or it cannot be written.
pub async fn bind_unix(path: &Path) -> Result<(UnixListener, UnixSocket), BindError> {
    let failed = |cause| BindError::Unix { path: path.display().to_string(), cause };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    free(path).await?;
    // Bound under another name, closed to others, and only then moved to the name that clients know: between bind and
    // chmod the socket has the mode that the umask leaves.
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft).map_err(failed)?;
    let placed = place(&draft, path);
    if placed.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    let identity = placed.map_err(failed)?;
    Ok((listener, UnixSocket { path: path.to_path_buf(), identity }))
}

fn place(draft: &Path, path: &Path) -> io::Result<(u64, u64)> {
    std::fs::set_permissions(draft, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(draft, path)?;
    identity(path)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// Sees that nothing is at `path` but, at most, a socket that nobody serves.
async fn free(path: &Path) -> Result<(), BindError> {
    let text = || path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(BindError::Unix { path: text(), cause }),
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket { path: text() }),
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => Err(BindError::InUse { path: text() }),
            // Replaced by the rename.
            Err(_) => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/admin.sock");
        let (listener, socket) = bind_unix(&path).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        let taken = bind_unix(&path).await.unwrap_err().to_string();
        assert_eq!(taken, format!("cannot listen on {}: another process answers there", path.display()));
        drop((listener, socket));
        assert!(!path.exists());
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn replaces_a_stale_socket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a socket outlives its process");
        let (listener, socket) = bind_unix(&path).await.unwrap();
        // A successor took the path: the predecessor's end must not remove it.
        std::fs::remove_file(&path).unwrap();
        let successor = bind_unix(&path).await.unwrap();
        drop((listener, socket));
        assert!(path.exists());
        drop(successor);

        std::fs::write(&path, "notes").unwrap();
        let error = bind_unix(&path).await.unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
    }
}
