//! The processes of the demonstration: containers of the pod, the world outside, somebody who tampers. Each is this
//! same program, started in its network namespace and told its part over standard input; it answers over standard
//! output, one JSON document a line. An actor ends when its input ends, so none outlives the demonstration however
//! that ends: closing the pipe is the kernel's work, not ours.
//!
//! ```text
//! demonstration ── Part, Order… ──► stdin  ┐
//!                                          │ actor: drops privileges, serves, does as told
//!               ◄── Report… ─────── stdout ┘
//! ```

mod fetch;
mod ids;
mod play;
mod privileges;
mod proxy;
mod serve;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use meshward_redirect::netns::NetNs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::impossible;
use crate::exit::Failure;

pub(super) use ids::{IdRange, map_single};
pub(super) use play::{monotonic, play};

/// What an actor is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Part {
    /// Its name as the kernel shows it (at most 15 bytes count).
    pub(super) name: String,
    /// The user and group it becomes; none: stays what started it.
    pub(super) user: Option<(u32, u32)>,
    /// The capabilities it keeps, by Kubernetes' names (`NET_ADMIN`); none given keeps all, an empty list none.
    pub(super) capabilities: Option<Vec<String>>,
    /// Where it answers plain requests.
    pub(super) serves: Vec<SocketAddr>,
    /// Where it is a transparent proxy.
    pub(super) proxy: Option<ProxyPart>,
}

/// A transparent proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ProxyPart {
    /// Where redirected outbound connections arrive.
    pub(super) outbound: Vec<SocketAddr>,
    /// Where redirected inbound connections arrive.
    pub(super) inbound: Vec<SocketAddr>,
    /// From which address inbound connections are passed on, so that they are told from the application's own.
    pub(super) inbound_source: IpAddr,
    /// Whether outbound connections are passed on; a proxy that cannot be told from the application by its user would
    /// catch its own.
    pub(super) forwards: bool,
}

/// What an actor is told to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// Make a request and tell what came of it.
    Fetch { to: SocketAddr },
    /// Tell the connections that were captured since the last time.
    Captures,
    /// Delete a rule of Istio's table by its name.
    DeleteRule { name: String },
    /// Delete Istio's table.
    DeleteTable,
    /// Map more ids into the user namespace of the process that gave the order.
    MapIds { pid: u32, users: IdRange, groups: IdRange },
}

/// What an actor answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Report {
    /// It has become what its part says and listens.
    Ready,
    /// The answer to a request.
    Fetched(Fetched),
    /// Connections, in their order.
    Captured(Vec<Capture>),
    /// The kernel did it; the clock just before, in nanoseconds of CLOCK_MONOTONIC.
    Tampered { at: u64 },
    /// The kernel refused.
    Refused { why: String },
    /// Ids are mapped.
    Mapped,
    /// It could not be done.
    Failed { why: String },
}

/// A request's way as its author sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Fetched {
    /// The connection's own end.
    pub(super) local: SocketAddr,
    /// The port of the proxy that the answer passed, from its `Via` header.
    pub(super) via: Option<u16>,
    /// The body.
    pub(super) served: Served,
}

/// What a server says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Served {
    /// Who answers.
    pub(super) by: String,
    /// The address that was called, as it sees it.
    pub(super) at: SocketAddr,
    /// Who called, as it sees it.
    pub(super) client: SocketAddr,
}

/// A connection that was redirected to the proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Capture {
    /// The proxy's port where it arrived.
    pub(super) port: u16,
    /// Where it was meant to go (`SO_ORIGINAL_DST`).
    pub(super) original: SocketAddr,
    /// Who made it.
    pub(super) client: SocketAddr,
    /// Our end of the connection on which it was passed on, if it was.
    pub(super) onward: Option<SocketAddr>,
}

/// A running actor, as the demonstration sees it. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Actor {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts an actor in a network namespace (none: our own) and waits until it is ready.
    pub(super) fn start(part: &Part, namespace: Option<&NetNs>) -> Result<Self, Failure> {
        let name = part.name.clone();
        // A child lives in the namespaces of the thread that started it.
        let spawned = match namespace {
            Some(namespace) => namespace.run(spawn).map_err(impossible)?,
            None => spawn(),
        };
        let no_process =
            |error: io::Error| Failure::impossible(format!("cannot start process {name}: {error}"));
        let mut child = spawned.map_err(no_process)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, reports) =
            pipes.ok_or_else(|| Failure::impossible(format!("process {name} has no pipes")))?;
        let mut actor = Self { name, child, orders: Some(orders), reports: BufReader::new(reports) };
        actor.send(part)?;
        match actor.report()? {
            Report::Ready => Ok(actor),
            other => Err(actor.unexpected(&other)),
        }
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives an order and waits for the answer.
    pub(super) fn ask(&mut self, order: &Order) -> Result<Report, Failure> {
        self.tell(order)?;
        self.report()
    }

    /// Gives an order.
    pub(super) fn tell(&mut self, order: &Order) -> Result<(), Failure> {
        self.send(order)
    }

    /// Waits for an answer. Everything an actor does is bounded in time.
    pub(super) fn report(&mut self) -> Result<Report, Failure> {
        let mut line = String::new();
        let read = self.reports.read_line(&mut line).map_err(|error| self.lost(&error))?;
        if read == 0 {
            return Err(self.lost(&io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_str(&line).map_err(|error| self.lost(&error.into()))
    }

    /// Makes a request.
    pub(super) fn fetch(&mut self, to: SocketAddr) -> Result<Fetched, Failure> {
        match self.ask(&Order::Fetch { to })? {
            Report::Fetched(fetched) => Ok(fetched),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The connections this proxy captured since the last time.
    pub(super) fn captures(&mut self) -> Result<Vec<Capture>, Failure> {
        match self.ask(&Order::Captures)? {
            Report::Captured(captures) => Ok(captures),
            other => Err(self.unexpected(&other)),
        }
    }

    /// An answer that makes no sense here, or says that something failed.
    pub(super) fn unexpected(&self, report: &Report) -> Failure {
        match report {
            Report::Failed { why } => Failure::impossible(format!("process {}: {why}", self.name)),
            other => Failure::impossible(format!("process {} answered {other:?}", self.name)),
        }
    }

    fn send(&mut self, message: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(message).map_err(|error| self.lost(&error.into()))?;
        let sent = self.orders.as_mut().map(|orders| orders.write_all(format!("{line}\n").as_bytes()));
        sent.unwrap_or(Ok(())).map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> Failure {
        Failure::impossible(format!("lost process {} ({}): {error}", self.name, self.child.id()))
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Its input ends, and so does it; no kill is needed.
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// By /proc/self/exe, so that it is this very program even when another has taken its place on disk.
fn spawn() -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["demo", "--actor"]).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()
}

/// The next message on standard input; none when it has ended.
fn hear<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    match input.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_str(&line)?)),
    }
}
