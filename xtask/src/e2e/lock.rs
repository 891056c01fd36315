//! One run at a time on the cluster that we start ourselves: a second one waits for the first, and says for whom. The
//! kernel lets go of the lock with the process, however that ends, so nothing has to be cleared up by hand.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};

use crate::run;

/// The right to use the cluster, until it is dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

impl Lock {
    /// Takes it; waits, and says who has it, while somebody else does.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who has it is only told; that somebody has it is certain.
                let _ = file.read_to_string(&mut holder);
                eprintln!("==> waiting for another run to end ({shown}: {})", holder.trim());
                file.lock().with_context(|| format!("cannot lock {shown}"))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {shown}"));
            }
        }
        file.set_len(0).and_then(|()| file.rewind()).with_context(|| format!("cannot write {shown}"))?;
        writeln!(file, "process {} in {}", std::process::id(), run::root().display())
            .with_context(|| format!("cannot write {shown}"))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = Lock::take(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        let (taken, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = Lock::take(&path).unwrap();
                taken.send(()).unwrap();
                drop(second);
            });
            assert!(told.recv_timeout(std::time::Duration::from_millis(200)).is_err());
            drop(first);
            told.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        });
    }
}
