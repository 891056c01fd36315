//! The one task that writes about pods. It never waits for the API server itself, so that its channel is always drained
//! at once and the engine is never held up; every request runs beside it, a few at one time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::backoff::Backoff;
use meshward_kit::client::Kind;
use meshward_kit::events::EventAction;
use meshward_kit::queue::{Ended, WriteQueue};
use meshward_mesh::PodRecord;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Report;
use super::display::{Display, Shown};
use super::events::EventPlanner;
use super::metrics::Metrics;
use super::write::{self, Failure, Target, Written};
use crate::settings::SettingsFeed;

/// Reports on their way: the engine makes a few for each pod, and they are taken at once.
const REPORTS: usize = 1024;
/// Requests at one time, statuses and Events each.
const AT_ONCE: usize = 4;
/// Events that wait for a request. Beyond it the newest is dropped and counted: the pod's status says the same.
const WAITING_EVENTS: usize = 512;
const EVENT_ATTEMPTS: u32 = 4;
/// How long nothing is tried after the API server said that we may not.
const DENIED: Duration = Duration::from_secs(300);
/// How long open requests may take once the agent ends.
const LAST: Duration = Duration::from_secs(2);

/// What a pod shows, by its uid, from a watch that the caller has anyway; none when it does not know the pod.
pub type ShownLookup = Arc<dyn Fn(&str) -> Option<Shown> + Send + Sync>;

/// The conditions that the reporter tells of itself.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// Fails when pods' status may not be written.
    pub status: Condition,
    /// Fails when Events may not be written.
    pub events: Condition,
}

/// Writes what [`Report`]s say.
pub struct Reporter {
    client: Client,
    node: Arc<str>,
    settings: SettingsFeed,
    metrics: Arc<Metrics>,
    conditions: Conditions,
    lookup: Option<ShownLookup>,
    reports: mpsc::Receiver<Report>,
    records: HashMap<String, Arc<PodRecord>>,
    /// What we have written.
    shown: HashMap<String, Shown>,
    statuses: WriteQueue<Status>,
    planner: EventPlanner,
    events: VecDeque<(Target, EventAction)>,
    events_running: usize,
    events_closed: Option<Instant>,
    work: JoinSet<Finished>,
}

#[derive(Debug, Clone)]
struct Status {
    pod: Target,
    display: Display,
}

enum Finished {
    Status(Box<Status>, Written<Shown>),
    Event(&'static str, Written<()>),
}

impl Reporter {
    /// A reporter, and where to send it what happens.
    pub fn new(
        client: Client,
        node: &str,
        settings: SettingsFeed,
        metrics: Arc<Metrics>,
        conditions: Conditions,
        lookup: Option<ShownLookup>,
    ) -> (Self, mpsc::Sender<Report>) {
        let (sender, reports) = mpsc::channel(REPORTS);
        let reporter = Self {
            client,
            node: node.into(),
            settings,
            metrics,
            conditions,
            lookup,
            reports,
            records: HashMap::new(),
            shown: HashMap::new(),
            statuses: WriteQueue::new(AT_ONCE),
            planner: EventPlanner::new(Timestamp::now()),
            events: VecDeque::new(),
            events_running: 0,
            events_closed: None,
            work: JoinSet::new(),
        };
        (reporter, sender)
    }

    /// Works until `token` is cancelled or nobody can report any more.
    pub async fn run(mut self, token: CancellationToken) {
        loop {
            self.launch();
            self.metrics.pending(self.statuses.len());
            let due = self.statuses.due();
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = token.cancelled() => break,
                report = self.reports.recv() => match report {
                    Some(report) => self.take(&report),
                    None => break,
                },
                Some(finished) = self.work.join_next() => match finished {
                    Ok(finished) => self.finish(finished),
                    Err(error) => tracing::error!(%error, "a request about a pod's status ended unexpectedly"),
                },
                Ok(()) = self.settings.changed() => self.reload(),
                () = until_due => {}
            }
        }
        self.end().await;
    }

    /// What came in before the end is still counted, and what is on its way gets a moment.
    async fn end(mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.take(&report);
        }
        self.launch();
        let last = async { while self.work.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, last).await.is_err() {
            tracing::debug!("statuses and Events were still on their way");
        }
    }

    fn take(&mut self, report: &Report) {
        self.metrics.observe(report);
        let record = &report.record;
        // Not marked as seen: a change has to come to `reload` too.
        let tell = self.settings.borrow().tell.clone();
        if tell.events {
            self.plan_event(report);
        }
        if report.gone {
            self.records.remove(&record.uid);
            self.shown.remove(&record.uid);
            self.statuses.forget(&record.uid);
            return;
        }
        self.records.insert(record.uid.clone(), record.clone());
        if tell.status {
            self.show(record, tell.seed_compatibility);
        }
    }

    fn plan_event(&mut self, report: &Report) {
        match self.planner.plan(report, Timestamp::now()) {
            None => {}
            Some(EventAction::Held) => self.metrics.event("Repeated", "held"),
            Some(EventAction::Dropped(reason)) => self.metrics.event(reason, "dropped"),
            Some(action @ (EventAction::Create { .. } | EventAction::Count { .. })) => {
                if self.events.len() < WAITING_EVENTS {
                    self.events.push_back((target(&report.record), action));
                } else {
                    self.metrics.event(reason(&action), "dropped");
                }
            }
        }
    }

    fn show(&mut self, record: &PodRecord, seed: bool) {
        let status = Status { pod: target(record), display: Display::of(record, seed) };
        self.statuses.put(&record.uid, status, Instant::now());
    }

    /// A switch changed: what every pod shows is looked at again.
    fn reload(&mut self) {
        let tell = self.settings.borrow_and_update().tell.clone();
        if tell.status {
            for record in self.records.values().cloned().collect::<Vec<_>>() {
                self.show(&record, tell.seed_compatibility);
            }
        }
    }

    fn launch(&mut self) {
        let now = Instant::now();
        while let Some((uid, status)) = self.statuses.start(now) {
            let known = self.shown.get(&uid).cloned();
            let shown = known.or_else(|| self.lookup.as_ref().and_then(|lookup| lookup(&uid)));
            let client = self.client.clone();
            self.work.spawn(async move {
                let written = write::status(client, status.pod.clone(), status.display.clone(), shown).await;
                Finished::Status(Box::new(status), written)
            });
        }
        if self.events_closed.is_some_and(|until| now < until) {
            for (_, action) in self.events.drain(..) {
                self.metrics.event(reason(&action), "denied");
            }
        }
        while self.events_running < AT_ONCE
            && let Some((pod, action)) = self.events.pop_front()
        {
            self.events_running += 1;
            let (client, node) = (self.client.clone(), self.node.clone());
            self.work.spawn(async move {
                let written = insist(client, &node, &pod, &action).await;
                Finished::Event(reason(&action), written)
            });
        }
    }

    fn finish(&mut self, finished: Finished) {
        match finished {
            Finished::Status(status, written) => self.finish_status(*status, written),
            Finished::Event(reason, written) => {
                self.events_running = self.events_running.saturating_sub(1);
                self.finish_event(reason, written);
            }
        }
    }

    fn finish_status(&mut self, status: Status, written: Written<Shown>) {
        let uid = status.pod.uid.clone();
        let (ended, outcome) = match written {
            Written::Yes(shown) => {
                self.conditions.status.hold();
                self.remember(&uid, shown);
                (Ended::Done, "written")
            }
            Written::Unchanged(shown) => {
                self.remember(&uid, shown);
                (Ended::Done, "unchanged")
            }
            Written::Gone => (Ended::Done, "gone"),
            Written::Failed(failure) => self.failed(&status.pod, &failure),
        };
        self.metrics.patch(outcome);
        let pod = status.pod.clone();
        if self.statuses.end(&uid, status, ended, Instant::now()) {
            tracing::warn!(
                namespace = pod.namespace,
                pod = pod.name,
                "status given up until the pod changes"
            );
            self.metrics.patch("given-up");
        }
    }

    fn remember(&mut self, uid: &str, shown: Shown) {
        // A pod may have gone while its status was written.
        if self.records.contains_key(uid) {
            self.shown.insert(uid.to_string(), shown);
        }
    }

    fn failed(&mut self, pod: &Target, failure: &Failure) -> (Ended, &'static str) {
        match failure.kind() {
            Kind::Denied => {
                if self.conditions.status.fail(format!("pods' status is not written: {failure}")) {
                    tracing::error!(error = %failure, "pods' status is not written; tried again every {DENIED:?}");
                }
                (Ended::Denied(DENIED), "denied")
            }
            Kind::Unreachable | Kind::Busy => {
                tracing::debug!(error = %failure, "will try again");
                (Ended::Away, "retried")
            }
            Kind::Conflict | Kind::Invalid | Kind::Gone => {
                tracing::warn!(namespace = pod.namespace, pod = pod.name, error = %failure, "status refused");
                // What the pod shows is not what we think it does.
                self.shown.remove(&pod.uid);
                (Ended::Refused, "refused")
            }
        }
    }

    fn finish_event(&mut self, reason: &'static str, written: Written<()>) {
        let outcome = match written {
            Written::Yes(()) => {
                self.conditions.events.hold();
                self.events_closed = None;
                "written"
            }
            Written::Unchanged(()) => "unchanged",
            Written::Gone => "gone",
            Written::Failed(failure) if failure.kind() == Kind::Denied => {
                self.events_closed = Some(Instant::now() + DENIED);
                if self.conditions.events.fail(format!("Events are not written: {failure}")) {
                    tracing::error!(error = %failure, "Events are not written; tried again every {DENIED:?}");
                }
                "denied"
            }
            Written::Failed(failure) => {
                tracing::warn!(reason, error = %failure, "Event not written");
                "failed"
            }
        };
        self.metrics.event(reason, outcome);
    }
}

/// A few attempts: an Event that cannot be written soon is old news, and the pod's status says the same.
async fn insist(client: Client, node: &str, pod: &Target, action: &EventAction) -> Written<()> {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        let written = write::event(client.clone(), node, pod, action).await;
        let again = matches!(&written, Written::Failed(failure) if matches!(failure.kind(), Kind::Unreachable | Kind::Busy));
        if !again || backoff.attempts() + 1 >= EVENT_ATTEMPTS {
            return written;
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

fn target(record: &PodRecord) -> Target {
    Target { namespace: record.namespace.clone(), name: record.name.clone(), uid: record.uid.clone() }
}

fn reason(action: &EventAction) -> &'static str {
    match action {
        EventAction::Create { event, .. } | EventAction::Count { event, .. } => event.reason,
        EventAction::Dropped(reason) => reason,
        EventAction::Held => "Repeated",
    }
}
