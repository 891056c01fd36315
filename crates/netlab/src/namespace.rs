//! A network namespace that lives as long as this value: nothing but a file descriptor holds it, so no name has to
//! be cleaned up. All work inside happens on a thread that enters and dies.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::Error;

/// A network namespace of our own.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// A new, empty namespace.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without the privilege, [`Error::Namespace`] otherwise.
    pub fn new() -> Result<Self, Error> {
        on_thread(|| {
            unshare_network().map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => Error::NotPermitted,
                _ => Error::Namespace { action: "make", source },
            })?;
            let file = File::open("/proc/thread-self/ns/net")
                .map_err(|source| Error::Namespace { action: "open", source })?;
            Ok(Self { fd: file.into() })
        })
    }

    /// Runs `work` on a thread inside the namespace. Sockets it makes stay in the namespace wherever they are used.
    ///
    /// # Errors
    /// [`Error::Namespace`] when it cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        on_thread(|| {
            move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| Error::Namespace { action: "enter", source: errno.into() })?;
            Ok(work())
        })
    }

    /// Runs a program inside, with `input` on its standard input, and returns what it printed.
    ///
    /// # Errors
    /// [`Error::Command`] with its error output when it fails.
    pub fn command(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, Error> {
        let failed = |reason: String| Error::Command {
            command: std::iter::once(program).chain(arguments.iter().copied()).collect::<Vec<_>>().join(" "),
            reason,
        };
        let output =
            self.run(|| spawn(program, arguments, input))?.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_string()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A path by which other processes of the same user can open the namespace while this value lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.fd.as_raw_fd()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn spawn(program: &str, arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops reading early says why on its error output.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

// rustix deprecates the safe name because of UnshareFlags::FILES, which is not used here; the other name is
// `unsafe`, which this workspace forbids.
#[allow(deprecated)]
fn unshare_network() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNET)?)
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(payload) => std::panic::resume_unwind(payload),
    })
}

/// Whether sockets of other users can be made here: not where a user namespace maps a single id.
pub fn can_switch_users() -> bool {
    let wide = |map: &str| {
        std::fs::read_to_string(map).is_ok_and(|text| {
            text.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok()).is_some_and(|n| n > 1)
        })
    };
    rustix::process::geteuid().is_root() && wide("/proc/self/uid_map") && wide("/proc/self/gid_map")
}
