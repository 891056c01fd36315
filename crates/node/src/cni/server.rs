//! The agent's end: a plugin's question becomes a notice to the engine, and the plugin waits for what the engine says.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::ServerSettings;
use super::wire::{Answer, Asked, LONGEST_LINE, Pod, Question};
use crate::located::{Located, Notice, Outcome, Sighting, Source};

/// Plugins that are served at one time: the kubelet starts far fewer pods at once. Others wait in the socket's queue.
const AT_ONCE: usize = 64;
/// A plugin writes its one line at once.
const READ: Duration = Duration::from_secs(2);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for the CNI plugin at {}: {source} (is its folder mounted from the host?)", path.display())]
pub struct ListenError {
    /// The socket.
    pub path: PathBuf,
    /// The kernel's reason.
    pub source: io::Error,
}

/// The listening socket. It takes the name over from an older agent that is still running, and gives it back to nobody.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    identity: Option<(u64, u64)>,
    serving: Arc<Serving>,
}

#[derive(Debug)]
struct Serving {
    notices: mpsc::Sender<Notice>,
    deadline: Duration,
    places: Arc<Semaphore>,
}

impl Server {
    /// Listens. `notices` is bounded by its maker; a plugin waits for room in it no longer than for the engine.
    pub fn bind(settings: &ServerSettings, notices: mpsc::Sender<Notice>) -> Result<Self, ListenError> {
        let path = settings.socket.clone();
        let listener = listen(&path).map_err(|source| ListenError { path: path.clone(), source })?;
        let serving =
            Serving { notices, deadline: settings.deadline, places: Arc::new(Semaphore::new(AT_ONCE)) };
        info!(socket = path.display().to_string(), "listening for the CNI plugin");
        Ok(Self { listener, identity: identity(&path), path, serving: Arc::new(serving) })
    }

    /// Serves until `stop`, then until every plugin has its answer or its time is over.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let place = Arc::clone(&self.serving.places).acquire_owned();
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = async { (place.await, self.listener.accept().await) } => accepted,
            };
            match accepted {
                (Ok(place), Ok((stream, _))) => {
                    let (serving, stop) = (Arc::clone(&self.serving), stop.clone());
                    tasks.spawn(async move {
                        serving.serve(stream, stop).await;
                        drop(place);
                    });
                }
                (_, Err(error)) => {
                    // Out of file descriptors, mostly: the others need time to finish.
                    warn!(error = error.to_string(), "cannot take a CNI plugin's connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                (Err(_), _) => break,
            }
        }
        if identity(&self.path) == self.identity {
            // An error means that it is gone already.
            let _ = std::fs::remove_file(&self.path);
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// Under a temporary name first, so that the name always leads to somebody who listens.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path)?;
    Ok(listener)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Serving {
    async fn serve(&self, mut stream: UnixStream, stop: CancellationToken) {
        let answer = match self.question(&mut stream).await {
            Ok(question) => {
                tokio::select! {
                    answer = self.answer(question) => answer,
                    () = stop.cancelled() => Answer::Later { reason: "the agent is stopping".into() },
                }
            }
            Err(reason) => {
                warn!(reason, "refused a question of a CNI plugin");
                Answer::Refused { reason }
            }
        };
        let Ok(mut line) = serde_json::to_vec(&answer) else { return };
        line.push(b'\n');
        if let Err(error) = stream.write_all(&line).await {
            debug!(error = error.to_string(), "a CNI plugin did not wait for its answer");
        }
    }

    async fn question(&self, stream: &mut UnixStream) -> Result<Question, String> {
        let peer = stream.peer_cred().map_err(|error| error.to_string())?;
        if peer.uid() != 0 && peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(format!("asked by user {}, accepted is root", peer.uid()));
        }
        let mut line = Vec::new();
        let mut reader = BufReader::new(stream).take(LONGEST_LINE as u64);
        match timeout(READ, reader.read_until(b'\n', &mut line)).await {
            Ok(Ok(_)) if line.ends_with(b"\n") => Question::parse(&line),
            Ok(Ok(_)) => Err(format!("no whole line within {LONGEST_LINE} bytes")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no whole line within {READ:?}")),
        }
    }

    async fn answer(&self, question: Question) -> Answer {
        let asked_for = Duration::from_millis(question.timeout_millis);
        // A tenth less than the plugin waits, so that it hears the reason.
        let by = Instant::now() + self.deadline.min(asked_for - asked_for / 10);
        match question.asked {
            Asked::Status => Answer::Settled,
            Asked::Delete { sandbox } => {
                let notice = Notice { sighting: Sighting::Stopped { sandbox }, done: None };
                match timeout_at(by, self.notices.send(notice)).await {
                    Ok(Ok(())) => Answer::Settled,
                    _ => Answer::Later { reason: "the agent had no time".into() },
                }
            }
            // The engine looks at what is in force whenever it is told of a sandbox, so asking is telling.
            Asked::Add(pod) | Asked::Check(pod) => match self.engine(pod, by).await {
                Outcome::Settled => Answer::Settled,
                Outcome::Later(reason) => Answer::Later { reason },
            },
        }
    }

    async fn engine(&self, pod: Pod, by: Instant) -> Outcome {
        let (done, outcome) = oneshot::channel();
        let notice = Notice { sighting: Sighting::Started(located(pod)), done: Some(done) };
        let told = async {
            self.notices.send(notice).await.map_err(|_| "the agent is stopping")?;
            outcome.await.map_err(|_| "the agent gave no answer")
        };
        match timeout_at(by, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => Outcome::Later(why.into()),
            Err(_) => Outcome::Later("not done in time".into()),
        }
    }
}

fn located(pod: Pod) -> Located {
    Located {
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
        sandbox: pod.sandbox,
        netns: pod.netns,
        ips: pod.ips,
        labels: Default::default(),
        annotations: Default::default(),
        source: Source::Cni,
    }
}
