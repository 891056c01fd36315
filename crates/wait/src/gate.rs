//! The gate: an abstract unix socket that the node agent opens in the pod's network namespace. The name alone proves
//! nothing, since every process of the pod may take it; who holds it does.
//!
//! `SO_PEERCRED` tells who called `listen`, as our own namespaces see it (`cred_to_ucred` in net/core/sock.c):
//!
//! - Its pid is 0 when it is in no PID namespace below ours. A process of this container, or with
//!   `shareProcessNamespace` of any container of the pod, has another one, whatever PID namespaces it makes for itself:
//!   those are below ours. With `hostPID` the agent has one too, and nobody can be told from it.
//! - Without `shareProcessNamespace` the pod's other containers have PID namespaces beside ours, so theirs is 0 as well.
//!   They are told by their user: the agent is the node's root, and no container under *restricted* is root.
//! - In a user namespace (`hostUsers: false`) the node's root has no number, and shows as the overflow id 65534
//!   (`from_kuid_munged`); the pod's own root shows as 0, and is not believed. A container of that pod which runs as
//!   65534 cannot be told from the agent there; the agent, which takes the name before any container starts, can still
//!   not be replaced by it.
//!
//! And whoever holds the gate, it is only believed when packets obey.

use std::io::{ErrorKind, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::greeting::{self, Greeting, LONGEST};

const NAME: &str = "meshward-ready";
/// The id of whoever has none in a user namespace (`/proc/sys/kernel/overflowuid`).
const OVERFLOW_USER: u32 = 65534;
/// How long one read waits, so that a silent agent does not keep us from saying so.
const SILENCE: Duration = Duration::from_secs(1);

/// An open connection to somebody who may be believed.
pub(crate) struct Gate {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Gate {
    /// # Errors
    /// Why the gate is closed, or who holds it that is not the agent.
    pub(crate) fn open() -> Result<Self, String> {
        let address = SocketAddr::from_abstract_name(NAME).map_err(|error| error.to_string())?;
        let stream = UnixStream::connect_addr(&address).map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => {
                format!("the gate @{NAME} is closed: no node agent has set up this pod's rules yet")
            }
            _ => format!("cannot reach the gate @{NAME}: {error}"),
        })?;
        let peer = getsockopt(&stream, PeerCredentials)
            .map_err(|error| format!("cannot tell who holds the gate @{NAME}: {error}"))?;
        check(peer.pid(), peer.uid(), in_user_namespace()?)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The next line, or none when there is none within a second, or before the deadline.
    ///
    /// # Errors
    /// The connection is lost, or the line is not understood.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Option<Greeting>, String> {
        let until = deadline.min(Instant::now() + SILENCE);
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return greeting::parse(&line[..end]).map(Some);
            }
            if self.buffer.len() > LONGEST {
                return Err(format!("the node agent says more than {LONGEST} bytes in a line"));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.read(left)?;
        }
    }

    fn read(&mut self, left: Duration) -> Result<(), String> {
        let lost = |error| format!("the node agent is gone: {error}");
        self.stream.set_read_timeout(Some(left)).map_err(lost)?;
        let mut bytes = [0; 512];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err("the node agent has closed the gate again".into()),
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }
}

/// Whether this is any user namespace but the first, which maps every id to itself.
fn in_user_namespace() -> Result<bool, String> {
    let map = std::fs::read_to_string("/proc/self/uid_map")
        .map_err(|error| format!("cannot read /proc/self/uid_map: {error}"))?;
    Ok(!map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
}

fn check(pid: i32, user: u32, in_user_namespace: bool) -> Result<(), String> {
    if pid != 0 {
        return Err(format!(
            "the gate @{NAME} is held by process {pid} of this pod, accepted: a process outside of it (with hostPID nobody can be told from the agent)"
        ));
    }
    let agent = if in_user_namespace { OVERFLOW_USER } else { 0 };
    if user != agent {
        return Err(format!("the gate @{NAME} is held by user {user}, accepted: the node's root"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_the_nodes_root_outside_of_the_pod_is_believed() {
        assert_eq!(check(0, 0, false), Ok(()));
        assert_eq!(check(0, 65534, true), Ok(()));
        for (pid, user, in_user_namespace) in [
            (1, 0, false),
            (7, 65534, true),
            (0, 65532, false),
            (0, 65534, false),
            (0, 0, true),
            (0, 1000, true),
        ] {
            assert!(check(pid, user, in_user_namespace).is_err(), "{pid} {user} {in_user_namespace}");
        }
    }
}
