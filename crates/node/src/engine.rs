//! The heart of the agent: what pods should have meets where their namespaces are, and what follows is done and told.
//!
//! ```text
//! Notice (sources) ─┐                      ┌─► unit: one task for each sandbox ─► kernel, gate
//! Input (cluster) ──┼─► Index ─► orders ───┼─► fetch: one pod, from the API server
//! Progress (units) ─┘  (pure)              └─► registry, outbox ─► Report
//! ```
//!
//! The index decides, the units do: neither waits for the other, and nothing here waits for the API server.

mod aim;
mod crew;
mod desired;
mod hold;
mod index;
mod outbox;
mod pod;
mod record;
mod registry;
mod unit;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use meshward_mesh::{Phase, PodRecord};
use meshward_redirect::program::Options;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::gate::Waited;
use crate::located::{Located, Notice, Outcome, Sighting};
use crate::report::{Happened, Report};
use aim::Goal;
use crew::Crew;
use index::{Index, Order};
use outbox::Outbox;
use unit::{Progress, Unit, Ways};

pub use index::{Ask, Input, UnitKey};
pub use pod::{MalformedObject, PodView, namespace};
pub use registry::Registry;

/// How often questions that were not answered are asked again.
const TICK: Duration = Duration::from_secs(5);
/// What units have to tell and was not looked at yet; they wait when it is full.
const PROGRESS: usize = 256;

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How rules are put in force. The expected addresses are filled in for each pod.
    pub options: Options,
    /// How often rules are compared although nobody told of a change; none for never. It may change.
    pub recheck: watch::Receiver<Option<Duration>>,
    /// How much work is done in pods at once; none means two for each processor.
    pub hands: Option<usize>,
    /// How long one question to the API server may take.
    pub fetch_deadline: Duration,
    /// Hears how long each caller waited at a gate until it was let through.
    pub waited: Waited,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: Options::default(),
            // A channel whose sender is gone keeps its value.
            recheck: watch::channel(Some(Duration::from_secs(60))).1,
            hands: None,
            fetch_deadline: Duration::from_secs(1),
            waited: Waited::default(),
        }
    }
}

/// The answer to a question about one pod: the pod and its namespace, nothing where there is no such pod, or why there
/// is no answer.
pub type Answer = Result<Option<(PodView, Option<serde_json::Value>)>, String>;

/// Asks the API server for one pod and its namespace.
pub type Fetch = Arc<dyn Fn(Ask) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// What the engine hears and says. Channels are bounded: whoever sends waits, nothing is lost.
pub struct Ports {
    /// Sightings of the sources.
    pub notices: mpsc::Receiver<Notice>,
    /// What the API server shows.
    pub inputs: mpsc::Receiver<Input>,
    /// Asks it for one pod.
    pub fetch: Fetch,
    /// What is told. A receiver that does not keep up gets the latest of each pod.
    pub reports: mpsc::Sender<Report>,
}

/// A source that waits until everything is done about some sandboxes that can be done at once.
struct Waiting {
    /// Those that are not settled; who tells of an end has nothing to wait for.
    about: Vec<Located>,
    outcome: Outcome,
    done: oneshot::Sender<Outcome>,
}

impl Waiting {
    fn new(sighting: &Sighting, done: oneshot::Sender<Outcome>) -> Self {
        let about = match sighting {
            Sighting::Started(located) => vec![located.clone()],
            Sighting::All(_, list) => list.clone(),
            Sighting::Stopped { .. } => Vec::new(),
        };
        Self { about, outcome: Outcome::Settled, done }
    }

    fn is_over(&mut self, index: &Index) -> bool {
        while let Some(located) = self.about.last() {
            match index.outcome(located) {
                None => return false,
                Some(Outcome::Settled) => {}
                Some(later) => self.outcome = later,
            }
            self.about.pop();
        }
        true
    }
}

/// The engine.
pub struct Engine {
    settings: Settings,
    index: Index,
    registry: Registry,
    outbox: Outbox,
    units: HashMap<UnitKey, (watch::Sender<Goal>, JoinHandle<()>)>,
    /// Units that are letting go; who follows in the same sandbox waits for them.
    ending: HashMap<UnitKey, JoinHandle<()>>,
    waiting: Vec<Waiting>,
    phases: HashMap<String, Phase>,
    fetches: JoinSet<(Ask, Answer)>,
    fetch: Fetch,
    progress: mpsc::Sender<Progress>,
    ways: Ways,
}

impl Engine {
    fn new(settings: Settings, registry: Registry, fetch: Fetch) -> (Self, mpsc::Receiver<Progress>) {
        let (progress, told) = mpsc::channel(PROGRESS);
        let ways = Ways {
            crew: settings.hands.map_or_else(Crew::default, Crew::new),
            options: settings.options.clone(),
            recheck: settings.recheck.clone(),
            waited: settings.waited.clone(),
            // The engine ends its units itself, after the last order.
            token: CancellationToken::new(),
        };
        let engine = Self {
            settings,
            index: Index::default(),
            registry,
            outbox: Outbox::default(),
            units: HashMap::new(),
            ending: HashMap::new(),
            waiting: Vec::new(),
            phases: HashMap::new(),
            fetches: JoinSet::new(),
            fetch,
            progress,
            ways,
        };
        (engine, told)
    }

    /// Runs until `token` says so, and then lets go of everything. The rules stay.
    pub async fn run(settings: Settings, registry: Registry, ports: Ports, token: CancellationToken) {
        let Ports { mut notices, mut inputs, fetch, reports } = ports;
        let (mut engine, mut told) = Self::new(settings, registry, fetch);
        let forwarding = tokio::spawn(engine.outbox.clone().forward(reports, token.clone()));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => break,
                Some(progress) = told.recv() => engine.progress(progress),
                Some(notice) = notices.recv() => engine.notice(notice),
                Some(input) = inputs.recv() => engine.take(input),
                Some(done) = engine.fetches.join_next() => {
                    if let Ok((ask, answer)) = done {
                        engine.take(Input::Fetched { ask, answer });
                    }
                }
                _ = ticks.tick() => engine.take(Input::Tick),
            }
        }
        engine.end(told).await;
        // What is still to be told is told by the next agent.
        let _ = forwarding.await;
    }

    fn progress(&mut self, progress: Progress) {
        let Progress { unit, state, happened } = progress;
        let key = unit.pod.clone();
        self.take(Input::State(unit, Box::new(state)));
        if let Some(happened) = happened {
            self.happened(&key, happened);
        }
    }

    fn notice(&mut self, notice: Notice) {
        let Notice { sighting, done } = notice;
        let waiting = done.map(|done| Waiting::new(&sighting, done));
        self.take(Input::Sighting(sighting));
        if let Some(waiting) = waiting {
            self.waiting.push(waiting);
            self.answer();
        }
    }

    /// Answers the sources that wait, where there is an answer. They are few: a node starts few pods at once.
    fn answer(&mut self) {
        let index = &self.index;
        // A source that has given up does not listen.
        self.waiting.retain(|waiting| !waiting.done.is_closed());
        for Waiting { outcome, done, .. } in self.waiting.extract_if(.., |waiting| waiting.is_over(index)) {
            let _ = done.send(outcome);
        }
    }

    fn take(&mut self, input: Input) {
        let orders = self.index.apply(input);
        for order in orders {
            self.obey(order);
        }
        self.answer();
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin(unit, goal) => self.begin(unit, goal),
            Order::Pursue(unit, goal) => {
                if let Some((goals, _)) = self.units.get(&unit) {
                    goals.send_replace(goal);
                }
            }
            Order::End(unit) => {
                if let Some((goals, task)) = self.units.remove(&unit) {
                    // It ends when nobody has goals for it.
                    drop(goals);
                    self.ending.retain(|_, task| !task.is_finished());
                    self.ending.insert(unit, task);
                }
            }
            Order::Fetch(ask) => {
                let (answer, deadline) = ((self.fetch)(ask.clone()), self.settings.fetch_deadline);
                self.fetches.spawn(async move {
                    let late = |_| Err(format!("the API server has not answered within {deadline:?}"));
                    let answer = tokio::time::timeout(deadline, answer).await.unwrap_or_else(late);
                    (ask, answer)
                });
            }
            Order::Tell { key, record, announce } => self.tell(&key, record, announce),
            Order::Forget { key } => {
                self.phases.remove(&key);
                if let Some(record) = self.registry.remove(&key) {
                    self.outbox.put(&key, Report { record, happened: None, gone: true });
                }
            }
            Order::Unredirected { key } => self.happened(&key, Happened::Unredirected),
        }
    }

    fn begin(&mut self, key: UnitKey, goal: Goal) {
        let (goals, following) = watch::channel(goal);
        let unit = Unit::new(key.clone(), following, self.progress.clone(), self.ways.clone());
        let before = self.ending.remove(&key);
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // Its gate has to be closed before ours can open.
                let _ = before.await;
            }
            unit.run().await;
        });
        self.units.insert(key, (goals, task));
    }

    fn tell(&mut self, key: &str, record: Arc<PodRecord>, announce: bool) {
        self.registry.put(key, Arc::clone(&record));
        let former = self.phases.insert(key.to_string(), record.phase);
        if former != Some(record.phase) {
            let PodRecord { namespace, name, uid, reason, .. } = &*record;
            let phase = record.phase.name();
            // Every pod waits for a moment at first: a line of each is the most of a start on a full node.
            match former {
                None if record.phase == Phase::Waiting => {
                    tracing::debug!(namespace, name, uid, phase, reason, "pod");
                }
                _ => tracing::info!(namespace, name, uid, phase, reason, "pod"),
            }
        }
        if !announce {
            return;
        }
        let happened = match record.phase {
            Phase::Refused if former != Some(Phase::Refused) => Some(Happened::Refused),
            Phase::Failed if former != Some(Phase::Failed) => Some(Happened::Failed),
            // Announced only when it lasts, and again with another reason.
            Phase::Waiting => Some(Happened::Waits),
            _ => None,
        };
        self.outbox.put(key, Report { record, happened, gone: false });
    }

    fn happened(&mut self, key: &str, happened: Happened) {
        let Some(record) = self.registry.get_by_key(key) else { return };
        let PodRecord { namespace, name, uid, .. } = &*record;
        match happened {
            // Its phase says that its rules are in force, its record that they were before.
            Happened::Adopted { .. } => tracing::debug!(namespace, name, uid, ?happened, "pod"),
            _ => tracing::info!(namespace, name, uid, ?happened, "pod"),
        }
        self.outbox.put(key, Report { record, happened: Some(happened), gone: false });
    }

    /// Lets go of every sandbox. What units still tell is dropped.
    async fn end(mut self, mut told: mpsc::Receiver<Progress>) {
        self.fetches.shutdown().await;
        self.ways.token.cancel();
        let units = self.units.drain().map(|(_, (_, task))| task);
        let tasks: Vec<_> = units.chain(self.ending.drain().map(|(_, task)| task)).collect();
        told.close();
        for task in tasks {
            // One that panicked has let go of its sockets as well.
            let _ = task.await;
        }
    }
}
