//! The gate: an abstract unix socket in the pod's network namespace, at which the wait container hears whether its pod
//! may start. The socket is opened inside and served from outside. Whatever talks to it is the pod's own, so it gets one
//! line and is never read from, never waited for, and counted.
//!
//! ```text
//! NetNs::run(bind) ─► Gate::serve: accept ─► the line, at once ─┬─ last word ─► hang up
//! Gate::say(line) ───────────────────────────────────────────────┴─ wait ─► keep (at most 16), send each new line
//! ```

mod line;
mod proof;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use meshward_redirect::netns::{EnterNetNs, NetNs};
use rustix::net::sockopt::socket_peercred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub use line::{LONGEST, Line};
pub use proof::{Place, Proof, proofs, ways_out};

/// The gate's name.
pub const NAME: &str = "meshward-ready";
/// Callers that are not taken yet; as many as the standard library asks for.
const BACKLOG: i32 = 128;
/// How many of those who wait are told of news; the oldest is dropped for a new one, who hears the line first of all.
const MOST_WAITING: usize = 16;
/// How many calls are taken in one [`WINDOW`]. Whoever calls faster waits, and with it only its own pod.
const MOST_CALLS: u32 = 64;
const WINDOW: Duration = Duration::from_millis(100);

/// Why a gate could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenGate {
    /// Somebody else listens there.
    #[error("cannot open the gate @{NAME}: the name was taken by {by}")]
    Taken {
        /// Who, as far as the kernel tells.
        by: String,
    },
    /// The namespace cannot be entered.
    #[error(transparent)]
    Enter(#[from] EnterNetNs),
    /// Anything else.
    #[error("cannot open the gate @{NAME}: {0}")]
    Bind(#[from] io::Error),
}

/// A socket of the calling thread's network namespace, which it belongs to from then on wherever it is used: the name is
/// taken, and callers are heard, with [`listen`].
///
/// # Errors
/// The kernel's reason.
pub fn socket() -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// Takes the gate's name in the namespace that a [`socket`] is of; callers are taken only once somebody serves.
///
/// # Errors
/// The kernel's reason: `AddrInUse` when somebody else listens there.
pub fn listen(socket: OwnedFd) -> io::Result<std::os::unix::net::UnixListener> {
    let address = rustix::net::SocketAddrUnix::new_abstract_name(NAME.as_bytes())?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Both, in `namespace`.
///
/// # Errors
/// See [`OpenGate`].
pub fn bind(namespace: &NetNs) -> Result<std::os::unix::net::UnixListener, OpenGate> {
    namespace.run(|| match listen(socket()?) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(OpenGate::Taken { by: holder() }),
        listener => Ok(listener?),
    })?
}

/// Who listens there. The kernel gives the ids as the agent's own namespaces see them.
fn holder() -> String {
    // Not waiting: a listener that takes no calls would hold us up.
    let peer = socket().and_then(|socket| {
        let address = rustix::net::SocketAddrUnix::new_abstract_name(NAME.as_bytes())?;
        rustix::net::connect(&socket, &address)?;
        Ok(socket_peercred(&socket)?)
    });
    match peer {
        Ok(peer) => format!("another process (user {})", peer.uid.as_raw()),
        Err(_) => "another process of the pod".into(),
    }
}

/// Hears how long callers waited until they were let through.
#[derive(Clone, Default)]
pub struct Waited(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl Waited {
    /// Calls `hear` for each.
    pub fn new(hear: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    fn tell(&self, waited: Duration) {
        if let Some(hear) = &self.0 {
            hear(waited);
        }
    }
}

impl fmt::Debug for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waited").field(&self.0.is_some()).finish()
    }
}

/// A gate that is served.
#[derive(Debug)]
pub struct Gate {
    lines: watch::Sender<Line>,
    served: tokio::task::JoinHandle<()>,
}

impl Gate {
    /// Serves a listener; the task ends when this value does.
    ///
    /// # Errors
    /// When the listener cannot be given to the runtime.
    pub fn serve(listener: std::os::unix::net::UnixListener, line: Line, waited: Waited) -> io::Result<Self> {
        let listener = UnixListener::from_std(listener)?;
        let (lines, news) = watch::channel(line);
        let served = tokio::spawn(serve(listener, news, waited));
        Ok(Self { lines, served })
    }

    /// From now on says this, also to those who are waiting.
    pub fn say(&self, line: Line) {
        self.lines.send_if_modified(|now| {
            let changed = *now != line;
            *now = line;
            changed
        });
    }

    /// Stops listening; when this returns the name is free.
    pub async fn close(self) {
        drop(self.lines);
        // It ends as soon as nobody can say anything any more.
        let _ = self.served.await;
    }
}

async fn serve(listener: UnixListener, mut news: watch::Receiver<Line>, waited: Waited) {
    let mut waiting: VecDeque<(UnixStream, Instant)> = VecDeque::new();
    let mut pace = Pace::new();
    loop {
        tokio::select! {
            biased;
            changed = news.changed() => {
                if changed.is_err() {
                    return;
                }
                let line = news.borrow_and_update().clone();
                waiting.retain(|(caller, since)| {
                    let told = tell(caller, &line);
                    if told && line.is_last() {
                        waited.tell(since.elapsed());
                    }
                    told && !line.is_last()
                });
            }
            () = pace.rest() => pace.start(),
            called = listener.accept(), if !pace.is_spent() => {
                pace.count();
                // Out of descriptors, most likely: the pace keeps that from being tried without end.
                let Ok((caller, _)) = called else { continue };
                let line = news.borrow().clone();
                match tell(&caller, &line) {
                    true if line.is_last() => waited.tell(Duration::ZERO),
                    true => {
                        if waiting.len() == MOST_WAITING {
                            waiting.pop_front();
                        }
                        waiting.push_back((caller, Instant::now()));
                    }
                    false => {}
                }
            }
        }
    }
}

/// Whether the whole line went out. A caller that does not read has no room left one day, and is let go.
fn tell(caller: &UnixStream, line: &Line) -> bool {
    let text = line.text().as_bytes();
    // Straight to the socket: readiness is not known yet for one that was just accepted.
    let sent =
        rustix::net::send(caller, text, rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT);
    sent.is_ok_and(|sent| sent == text.len())
}

/// How fast calls are taken.
struct Pace {
    until: Instant,
    calls: u32,
}

impl Pace {
    fn new() -> Self {
        Self { until: Instant::now() + WINDOW, calls: 0 }
    }

    fn is_spent(&self) -> bool {
        self.calls >= MOST_CALLS
    }

    fn count(&mut self) {
        if Instant::now() >= self.until {
            self.start();
        }
        self.calls += 1;
    }

    fn start(&mut self) {
        *self = Self::new();
    }

    /// Ends with the window, when no more calls are taken in it; else never.
    async fn rest(&self) {
        if !self.is_spent() {
            return std::future::pending().await;
        }
        sleep(self.until.saturating_duration_since(Instant::now())).await;
    }
}
