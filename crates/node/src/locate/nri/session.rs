//! One connection to the runtime. Calls are read and passed on in their order; answers are given as they become ready, so
//! that one slow pod holds no other.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::call::{self, Call, EVENTS, INVALID_ARGUMENT, UNIMPLEMENTED, UNKNOWN};
use super::frame::{Connection, Decoder, Kind, Message, encode};
use super::message::{Configure, Configured, PodSandbox, RegisterPlugin, Synchronize, Synchronized};
use super::{NriError, NriState};
use crate::locate::settings::NriSettings;
use crate::located::{Located, Notice, Outcome, Sighting, Source};

const PLUGIN_NAME: &str = "meshward";
/// The greeting may have to wait for sandboxes that are being made.
const HANDSHAKE: Duration = Duration::from_secs(30);
const WRITE: Duration = Duration::from_secs(5);
/// Sandboxes held at one time. The runtime holds one at a time today; beyond this we read no further calls.
const HELD: usize = 256;
/// More than any node has; beyond it the list is not told, since an incomplete one would declare pods gone.
const SANDBOXES: usize = 16_384;

type Answer<'a> = Pin<Box<dyn Future<Output = Message> + Send + 'a>>;

/// The state of one connection.
pub(super) struct Session<'a> {
    settings: &'a NriSettings,
    notices: &'a mpsc::Sender<Notice>,
    state: &'a watch::Sender<NriState>,
    deadline: Duration,
    runtime: String,
    synchronizing: Vec<Located>,
    too_many: bool,
    connected: bool,
    answers: FuturesUnordered<Answer<'a>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        settings: &'a NriSettings,
        notices: &'a mpsc::Sender<Notice>,
        state: &'a watch::Sender<NriState>,
    ) -> Self {
        Self {
            settings,
            notices,
            state,
            deadline: settings.deadline,
            runtime: String::from("the runtime"),
            synchronizing: Vec::new(),
            too_many: false,
            connected: false,
            answers: FuturesUnordered::new(),
        }
    }

    /// Registers, then serves until the connection ends.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> NriError {
        match self.converse(stream).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn converse<S: AsyncRead + AsyncWrite>(
        &mut self,
        stream: S,
    ) -> Result<std::convert::Infallible, NriError> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let registration =
            RegisterPlugin { name: PLUGIN_NAME.into(), index: self.settings.index.to_string() };
        write(&mut writer, &call::request(1, "RegisterPlugin", &registration)).await?;
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; 32 << 10];
        let greeted_by = Instant::now() + HANDSHAKE;
        loop {
            tokio::select! {
                read = reader.read(&mut buffer), if self.answers.len() < HELD => {
                    let length = read.map_err(NriError::Io)?;
                    if length == 0 {
                        return Err(NriError::Closed);
                    }
                    for message in decoder.feed(&buffer[..length])? {
                        self.take(message, &mut writer).await?;
                    }
                }
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => {
                    write(&mut writer, &answer).await?;
                }
                () = tokio::time::sleep_until(greeted_by), if !self.connected => {
                    return Err(NriError::Handshake(HANDSHAKE));
                }
            }
        }
    }

    /// Acts on one message and answers it now, or puts it among those that are answered later.
    async fn take<W: AsyncWrite + Unpin>(
        &mut self,
        message: Message,
        writer: &mut W,
    ) -> Result<(), NriError> {
        let stream = message.stream;
        match (message.connection, message.kind) {
            (Connection::Runtime, Kind::Response) => {
                return call::refusal(&message.body).map_or(Ok(()), |reason| Err(NriError::Refused(reason)));
            }
            (Connection::Plugin, Kind::Request) => {}
            _ => return Ok(()),
        }
        let answer = match call::read(&message.body) {
            Call::Configure(configure) => self.configure(stream, &configure),
            Call::Synchronize(part) => self.synchronize(stream, part).await,
            Call::Started(Some(located)) => return self.started(stream, *located, writer).await,
            Call::Stopped(Some(sandbox)) => {
                self.pass_on(Sighting::Stopped { sandbox }).await;
                call::answer(stream, &())
            }
            Call::Started(None) | Call::Stopped(None) | Call::Other => call::answer(stream, &()),
            Call::Shutdown => {
                write(writer, &call::answer(stream, &())).await?;
                return Err(NriError::Shutdown);
            }
            Call::Unimplemented { method } => {
                call::refuse(stream, UNIMPLEMENTED, &format!("meshward does not implement {method}"))
            }
            Call::Malformed { method, starts_a_pod } => self.malformed(stream, &method, starts_a_pod),
        };
        write(writer, &answer).await
    }

    fn configure(&mut self, stream: u32, configure: &Configure) -> Message {
        self.runtime = format!("{} {}", configure.runtime_name, configure.runtime_version);
        if let Some(limit) = u64::try_from(configure.request_timeout).ok().filter(|millis| *millis > 0) {
            // A plugin that is late once is disconnected, and every pod after that starts without it.
            let most = Duration::from_millis(limit) / 2;
            if self.deadline > most {
                warn!(deadline = ?self.deadline, used = ?most, "the runtime waits less long than the NRI deadline");
                self.deadline = most;
            }
        }
        call::answer(stream, &Configured { events: EVENTS })
    }

    async fn synchronize(&mut self, stream: u32, part: Synchronize) -> Message {
        let more = part.more;
        for pod in part.pods.into_iter().filter(|pod| !is_stale(pod)) {
            if self.synchronizing.len() == SANDBOXES {
                self.too_many = true;
                break;
            }
            self.synchronizing.extend(call::located(pod));
        }
        if !more {
            self.synchronized().await;
        }
        call::answer(stream, &Synchronized { more })
    }

    async fn synchronized(&mut self) {
        let pods = std::mem::take(&mut self.synchronizing);
        info!(runtime = self.runtime, pods = pods.len(), "NRI connected: pods are told of while they start");
        if self.too_many {
            warn!("the runtime told of more than {SANDBOXES} sandboxes: its list is not used");
        } else {
            self.pass_on(Sighting::All(Source::Nri, pods)).await;
        }
        self.connected = true;
        self.state.send_replace(NriState::Connected { runtime: self.runtime.clone() });
    }

    /// Tells the engine of something that nobody waits for.
    async fn pass_on(&mut self, sighting: Sighting) {
        let notice = Notice { sighting, done: None };
        if timeout(self.deadline, self.notices.send(notice)).await.is_err() {
            warn!("the engine took no notice within {:?}: the next list over CRI tells it", self.deadline);
        }
    }

    /// Tells the engine of a sandbox, in the order of the calls; waits for it among the answers.
    async fn started<W: AsyncWrite + Unpin>(
        &mut self,
        stream: u32,
        located: Located,
        writer: &mut W,
    ) -> Result<(), NriError> {
        let by = Instant::now() + self.deadline;
        let held = Held::new(stream, &located, self.settings.fail_closed);
        let (done, outcome) = oneshot::channel();
        let notice = Notice { sighting: Sighting::Started(located), done: Some(done) };
        let taken = timeout_at(by, self.notices.send(notice)).await;
        if let Ok(Ok(())) = taken {
            let deadline = self.deadline;
            self.answers.push(Box::pin(async move { held.wait(outcome, by, deadline).await }));
            return Ok(());
        }
        let why = match taken {
            Ok(_) => "the agent is stopping".to_owned(),
            Err(_) => format!("the agent had no time for it within {:?}", self.deadline),
        };
        write(writer, &held.later(&why)).await
    }

    fn malformed(&self, stream: u32, method: &str, starts_a_pod: bool) -> Message {
        warn!(method, "the runtime sent a call that cannot be decoded");
        if starts_a_pod && !self.settings.fail_closed {
            return call::answer(stream, &());
        }
        call::refuse(stream, INVALID_ARGUMENT, &format!("meshward cannot decode {method}"))
    }
}

/// A sandbox that the runtime holds for us.
struct Held {
    stream: u32,
    pod: String,
    uid: String,
    fail_closed: bool,
}

impl Held {
    fn new(stream: u32, located: &Located, fail_closed: bool) -> Self {
        let pod = format!("{}/{}", located.namespace, located.name);
        Self { stream, pod, uid: located.uid.clone(), fail_closed }
    }

    async fn wait(self, outcome: oneshot::Receiver<Outcome>, by: Instant, deadline: Duration) -> Message {
        match timeout_at(by, outcome).await {
            Ok(Ok(Outcome::Settled)) => call::answer(self.stream, &()),
            Ok(Ok(Outcome::Later(why))) => self.later(&why),
            Ok(Err(_)) => self.later("the agent gave no answer"),
            Err(_) => self.later(&format!("not done within {deadline:?}")),
        }
    }

    /// The rules are not in force: whether the pod starts all the same is a setting.
    fn later(&self, why: &str) -> Message {
        let (pod, uid) = (&self.pod, &self.uid);
        if self.fail_closed {
            warn!(pod, uid, why, "sandbox refused: its rules are not in force");
            let text = format!("meshward: redirection rules of pod {pod} are not in force: {why}");
            return call::refuse(self.stream, UNKNOWN, &text);
        }
        warn!(pod, uid, why, "sandbox starts before its rules are in force: its wait container guards it");
        call::answer(self.stream, &())
    }
}

/// Runtimes before NRI 0.12 also tell of sandboxes that ended, with the namespace that they had. A path that is missing
/// while the sandbox has a process is told all the same: then it is our view of the node that is wrong.
fn is_stale(pod: &PodSandbox) -> bool {
    let namespaces = pod.linux.iter().flat_map(|linux| &linux.namespaces);
    let path =
        namespaces.filter(|namespace| namespace.kind == "network").map(|namespace| &namespace.path).next();
    pod.pid == 0 && path.is_some_and(|path| !Path::new(path).exists())
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut W, message: &Message) -> Result<(), NriError> {
    match timeout(WRITE, writer.write_all(&encode(message))).await {
        Ok(written) => written.map_err(NriError::Io),
        Err(_) => Err(NriError::Stuck(WRITE)),
    }
}
