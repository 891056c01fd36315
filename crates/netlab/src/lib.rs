//! A test bed of real packets: a "pod" and a "peer" network namespace joined by a cable, listeners that say where
//! they are, and connections made as any user, with any mark, from either side. Rules are only believed when
//! packets obey them, and packets need a place to run that leaves nothing behind: the namespaces are held by file
//! descriptors alone, so they are gone when the [`Bed`] is dropped, on a panic too.
//!
//! ```text
//!        pod                                   peer
//!  ┌───────────────────┐               ┌────────────────────────┐
//!  │ lo                │               │ lo: every address that │
//!  │ eth0 10.77.0.2/24 ├───── veth ────┤     is not the pod's   │
//!  │ default via .1    │               │ pod0 10.77.0.1/24      │
//!  └───────────────────┘               └────────────────────────┘
//! ```
//!
//! Works as root, and as any user inside `unshare -Urn` (there without other users' ids).

mod bed;
mod connection;
mod listener;
mod namespace;
mod probe;
mod setup;
mod skipped;
mod stray;

pub use bed::{Bed, Layout, Link};
pub use connection::Connection;
pub use listener::Arrival;
pub use namespace::{Namespace, can_switch_users};
pub use probe::{Outcome, Probe};
pub use skipped::skipped;
pub use stray::Stray;

/// Which of the two namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// The one the rules are for.
    Pod,
    /// The rest of the world.
    Peer,
}

/// Transport protocol of a listener or probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// What can go wrong with the bed itself (never with a packet: that is an [`Outcome`]).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not let us have namespaces.
    #[error(
        "cannot make a network namespace: not permitted (needs CAP_SYS_ADMIN, or run under `unshare -Urn`)"
    )]
    NotPermitted,
    /// Making or entering a namespace failed otherwise.
    #[error("cannot {action} a network namespace: {source}")]
    Namespace {
        /// `make`, `open` or `enter`
        action: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// A program could not be run or failed.
    #[error("`{command}` failed: {reason}")]
    Command {
        /// Program and arguments.
        command: String,
        /// Its error output, or why it could not start.
        reason: String,
    },
    /// A socket could not be prepared.
    #[error("cannot {action} ({what}): {source}")]
    Socket {
        /// The step.
        action: &'static str,
        /// The probe or listener.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
}
