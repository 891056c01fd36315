//! What the runtime's node resource interface tells, at the time it tells it: two plugins of our own, one that is asked
//! before the agent and one that is asked after it. The time between them is what the agent adds to a sandbox, seen from
//! outside of it; and the first of them knows the sandbox's network early enough to watch the gate open.
//!
//! ```text
//! runtime ─ RunPodSandbox ─► first (00) ─► agent (50) ─► last (99) ─► containers
//!                               └─► a thread in the pod's network: is the gate open yet?
//! ```

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use meshward_node::gate;
use meshward_node::locate::NriSettings;
use meshward_node::locate::nri::{Nri, NriState};
use meshward_node::located::{Located, Notice, Outcome, Sighting};
use meshward_redirect::netns::NetNs;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Places among the node's plugins: before and behind every other.
const PLACES: [&str; 2] = ["00", "99"];
/// How long the runtime may take to accept both.
const CONNECTED: Duration = Duration::from_secs(30);
/// How long a gate is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pauses between two looks at a gate: short ones while it is about to open, others so that the watching is not most of
/// what the node does.
const SOON: (Duration, Duration) = (Duration::from_millis(20), Duration::from_micros(50));
const LATER: Duration = Duration::from_micros(500);

/// One sandbox on its way through the plugins.
#[derive(Debug, Clone)]
pub(crate) struct Passage {
    /// When the first plugin was asked: the sandbox has its network, and no container yet.
    pub(crate) first: Instant,
    /// The same by the clock that the runtime's log is written by.
    pub(crate) at: SystemTime,
    /// When the last one was.
    pub(crate) last: Option<Instant>,
    /// When the gate let somebody through, where that was watched.
    pub(crate) gate: Option<Instant>,
    /// Where the sandbox's network is.
    pub(crate) netns: PathBuf,
}

impl Passage {
    /// What was between the two plugins.
    pub(crate) fn held(&self) -> Option<Duration> {
        Some(self.last?.duration_since(self.first))
    }

    /// From the network to the open gate.
    pub(crate) fn to_gate(&self) -> Option<Duration> {
        Some(self.gate?.duration_since(self.first))
    }
}

/// Passages by pod uid.
#[derive(Debug, Default)]
struct Seen {
    passages: Mutex<HashMap<String, Passage>>,
    watches_gates: AtomicBool,
}

impl Seen {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Passage>> {
        self.passages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both plugins, on a thread of their own so that nothing else makes them late.
pub(crate) struct Sentinel {
    seen: Arc<Seen>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Sentinel {
    /// Registers both with the runtime.
    pub(crate) fn start(socket: &Path) -> Result<Self> {
        let (seen, stop) = (Arc::new(Seen::default()), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let plugins = PLACES.map(|place| plugin(socket, place));
        let mut states = Vec::new();
        let mut parts = Vec::new();
        for plugin in plugins {
            let (plugin, notices) = plugin?;
            states.push(plugin.state());
            parts.push((plugin, notices));
        }
        let work = serve(parts, Arc::clone(&seen), stop.clone());
        let thread =
            std::thread::Builder::new().name("sentinel".into()).spawn(move || runtime.block_on(work))?;
        let sentinel = Self { seen, stop, thread: Some(thread) };
        states.iter().try_for_each(connected)?;
        Ok(sentinel)
    }

    /// Whether the gates of the sandboxes to come are watched. That takes the processor a little from what is measured.
    pub(crate) fn watch_gates(&self, watch: bool) {
        self.seen.watches_gates.store(watch, Ordering::Relaxed);
    }

    /// How a pod's newest sandbox passed.
    pub(crate) fn passage(&self, uid: &str) -> Result<Passage> {
        self.seen.all().get(uid).cloned().with_context(|| format!("no sandbox of pod {uid} came by"))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.stop.cancel();
        // One that panicked has told so already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

type Part = (Nri, mpsc::Receiver<Notice>);

fn plugin(socket: &Path, place: &str) -> Result<Part> {
    let (notices, heard) = mpsc::channel(64);
    let settings = NriSettings { socket: socket.into(), index: place.parse()?, ..NriSettings::default() };
    Ok((Nri::new(settings, notices), heard))
}

fn connected(state: &watch::Receiver<NriState>) -> Result<()> {
    let begin = Instant::now();
    loop {
        match state.borrow().clone() {
            NriState::Connected { .. } => return Ok(()),
            NriState::Disconnected { reason } if begin.elapsed() > CONNECTED => {
                bail!("the runtime does not take the bench's NRI plugin: {reason}")
            }
            NriState::Disconnected { .. } => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

async fn serve(parts: Vec<Part>, seen: Arc<Seen>, stop: CancellationToken) {
    let served = parts.into_iter().enumerate().map(|(place, (plugin, notices))| {
        let hearing = hear(notices, place, Arc::clone(&seen));
        futures::future::join(plugin.run(stop.clone()), hearing)
    });
    futures::future::join_all(served).await;
}

async fn hear(mut notices: mpsc::Receiver<Notice>, place: usize, seen: Arc<Seen>) {
    while let Some(Notice { sighting, done }) = notices.recv().await {
        let now = Instant::now();
        if let Sighting::Started(located) = sighting {
            note(&seen, place, now, &located);
        }
        // Nobody waits for a list.
        let _ = done.map(|done| done.send(Outcome::Settled));
    }
}

fn note(seen: &Arc<Seen>, place: usize, now: Instant, located: &Located) {
    let uid = &located.uid;
    if place > 0 {
        if let Some(passage) = seen.all().get_mut(uid) {
            passage.last = Some(now);
        }
        return;
    }
    let netns = located.netns.clone();
    let passage = Passage { first: now, at: SystemTime::now(), last: None, gate: None, netns };
    if seen.watches_gates.load(Ordering::Relaxed) {
        let (seen, uid, netns) = (Arc::clone(seen), uid.clone(), passage.netns.clone());
        let watch = move || match open_gate(&netns) {
            Ok(opened) => {
                if let Some(passage) = seen.all().get_mut(&uid) {
                    passage.gate = Some(opened);
                }
            }
            Err(error) => eprintln!("the gate of pod {uid}: {error:#}"),
        };
        // Without a thread the gate is not watched, and the figure is missed where it is looked for.
        let _ = std::thread::Builder::new().name("gate".into()).spawn(watch);
    }
    seen.all().insert(uid.clone(), passage);
}

/// When the gate of a network lets somebody through, waited for in that network.
fn open_gate(netns: &Path) -> Result<Instant> {
    let address = SocketAddr::from_abstract_name(gate::NAME)?;
    NetNs::open(netns)?.run(|| {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Ok(stream) = UnixStream::connect_addr(&address)
                && let Some(opened) = let_through(stream)?
            {
                return Ok(opened);
            }
            std::thread::sleep(if begin.elapsed() < SOON.0 { SOON.1 } else { LATER });
        }
        bail!("it has not opened within {} s", PATIENCE.as_secs())
    })?
}

/// When the other side said the last word; none when it hung up before.
fn let_through(stream: UnixStream) -> Result<Option<Instant>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if !line.starts_with("meshward 1 wait") {
            return Ok(Some(Instant::now()));
        }
        line.clear();
    }
    Ok(None)
}
