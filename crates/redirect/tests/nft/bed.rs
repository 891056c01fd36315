//! A network namespace without a name: it lives as long as the descriptor that holds it, so nothing is left behind
//! whatever happens to a test.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use meshward_redirect::nft::NfSocket;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

pub(crate) struct Bed {
    namespace: File,
}

impl Bed {
    /// A new namespace; `None`, and a line that says so, where this user may not make one.
    pub(crate) fn new() -> Option<Self> {
        // Safe here: of the flags, only CLONE_FILES could take descriptors from other threads.
        #[allow(deprecated)]
        let made = std::thread::spawn(|| {
            rustix::thread::unshare(UnshareFlags::NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        match made.join().unwrap() {
            Ok(namespace) => Some(Self { namespace }),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                meshward_netlab::skipped("needs CAP_NET_ADMIN");
                None
            }
            Err(error) => panic!("cannot make a network namespace: {error}"),
        }
    }

    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    pub(crate) fn socket(&self) -> NfSocket {
        self.run(|| NfSocket::open().unwrap())
    }

    /// Runs nft inside, with this input; its output, or its complaint.
    pub(crate) fn try_nft(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        self.run(|| {
            let mut child = Command::new("nft")
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // A program that refuses what it has read closes its end.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            let output = child.wait_with_output().unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
        })
    }

    pub(crate) fn nft(&self, arguments: &[&str], input: &str) -> String {
        self.try_nft(arguments, input).unwrap_or_else(|error| panic!("nft {arguments:?}: {error}\n{input}"))
    }

    /// One nft command line.
    pub(crate) fn command(&self, line: &str) -> String {
        self.nft(&["-f", "-"], line)
    }
}

/// Whether nft is installed; says so where it is not.
pub(crate) fn has_nft() -> bool {
    let found = Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        meshward_netlab::skipped("needs nft");
    }
    found
}
