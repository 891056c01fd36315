//! The agent as a plugin of the runtime's node resource interface: the only way to work on a pod's network before any of
//! its containers starts without a file on the node. The runtime holds RunPodSandbox until we answer, and lets the pod
//! start when we are late or gone, so this is the fast path and the wait container stays the guard.
//!
//! ```text
//! connect ─► RegisterPlugin ─► Configure ─► Synchronize… ─► All ─► RunPodSandbox ─► Started ─ done? ─► answer
//!    ▲                                                            └ Stop-, RemovePodSandbox ─► Stopped
//!    └── backoff ◄── the connection ends (runtime restarted)
//! ```

mod call;
mod frame;
mod message;
mod session;

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use frame::{Connection, Decoder, FrameError, Kind, MAX_BODY, MAX_WRITTEN_FRAME, Message, encode};

use super::backoff::Backoff;
use super::settings::NriSettings;
use crate::located::Notice;
use session::Session;

/// First and longest wait between two attempts: a restarted runtime starts pods at once, and a connect costs nothing.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whether the runtime asks us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NriState {
    /// Not, and why. Pods are found over CRI meanwhile.
    Disconnected {
        /// What stands in the way.
        reason: String,
    },
    /// It does, and has told of all pods that were there.
    Connected {
        /// Name and version of the runtime.
        runtime: String,
    },
}

impl NriState {
    /// Whether new pods are told while they start.
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }
}

/// Why a connection to the runtime ended.
#[derive(Debug, thiserror::Error)]
pub enum NriError {
    /// No connection.
    #[error("cannot connect to the runtime's NRI socket {socket}: {source} ({})", hint(source))]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The runtime went away.
    #[error("the runtime closed the NRI connection")]
    Closed,
    /// The runtime is about to go away.
    #[error("the runtime is shutting down")]
    Shutdown,
    /// Reading or writing failed.
    #[error("the NRI connection broke: {0}")]
    Io(#[source] std::io::Error),
    /// The runtime reads no more.
    #[error("the runtime did not take an answer within {0:?}")]
    Stuck(Duration),
    /// What came is not NRI.
    #[error("what the runtime sent is not NRI: {0}")]
    Frame(#[from] FrameError),
    /// It does not want us.
    #[error("the runtime refused to register the plugin: {0}")]
    Refused(String),
    /// It never finished the greeting.
    #[error("the runtime did not synchronize within {0:?}")]
    Handshake(Duration),
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "is NRI on in the runtime, and the socket's folder mounted?",
        std::io::ErrorKind::ConnectionRefused => "is the runtime down?",
        std::io::ErrorKind::PermissionDenied => "it belongs to root; does the agent run as root?",
        _ => "is it the runtime's NRI socket?",
    }
}

/// The plugin. One task runs it; everybody else looks at its state.
#[derive(Debug)]
pub struct Nri {
    settings: NriSettings,
    notices: mpsc::Sender<Notice>,
    state: watch::Sender<NriState>,
}

impl Nri {
    /// A plugin that tells `notices`. The channel is bounded by its maker; when it stays full for the deadline, the
    /// sandbox is answered for without the engine, and CRI tells of the pod later.
    pub fn new(settings: NriSettings, notices: mpsc::Sender<Notice>) -> Self {
        let reason = format!("not tried yet ({})", settings.socket.display());
        Self { settings, notices, state: watch::Sender::new(NriState::Disconnected { reason }) }
    }

    /// Whether the runtime asks us, for readiness and for the CRI source.
    pub fn state(&self) -> watch::Receiver<NriState> {
        self.state.subscribe()
    }

    /// Connects, serves and connects again, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.serve() => ended,
            };
            let was_connected = self.state.borrow().is_connected();
            if was_connected {
                backoff.reset();
            }
            self.tell(&ended, was_connected);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next()) => {}
            }
        }
    }

    /// One connection, from its start to its end.
    async fn serve(&self) -> NriError {
        let socket = &self.settings.socket;
        match UnixStream::connect(socket).await {
            Ok(stream) => Session::new(&self.settings, &self.notices, &self.state).serve(stream).await,
            Err(source) => NriError::Connect { socket: socket.clone(), source },
        }
    }

    /// Says what happened once, not at every attempt.
    fn tell(&self, ended: &NriError, was_connected: bool) {
        let reason = ended.to_string();
        let known =
            matches!(&*self.state.borrow(), NriState::Disconnected { reason: known } if *known == reason);
        match (known, was_connected) {
            (true, _) => debug!(reason, "NRI is still not connected"),
            (false, true) => info!(reason, "NRI connection ended, connecting again"),
            (false, false) => warn!(reason, "NRI is not connected: pods are found over CRI"),
        }
        self.state.send_replace(NriState::Disconnected { reason });
    }
}

/// For the fuzz target: takes the bytes of a trunk, reads every call in it, and says how many there were.
pub fn describe_trunk(data: &[u8]) -> Result<usize, FrameError> {
    let calls = Decoder::default().feed(data)?;
    for message in &calls {
        match message.kind {
            Kind::Request => drop(call::read(&message.body)),
            Kind::Response => drop(call::refusal(&message.body)),
        }
    }
    Ok(calls.len())
}

#[cfg(test)]
mod tests;
