//! Events about policies and objects, with the reasons and words of Kyverno's. Requests are told by the replica that
//! answered them, the scan's results by the leader and only when they are new. Everything passes through buckets: of one
//! object, of one policy and of all together; what does not pass is counted, and stands in the reports.
//!
//! ```text
//! Observed (requests) ─┐
//! News (reports) ──────┴─► Told (regarding, related, EventPlan) ─ Planner ─► queue ─► events.k8s.io
//! ```

mod metrics;
mod planner;
mod told;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::backoff::Backoff;
use meshward_kit::client::{self, Kind, RequestError};
use meshward_kit::events::{Author, EventAction, Published, publish};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::observed::Observed;
use crate::report::News;
pub use metrics::Metrics;
pub use planner::Planner;
pub use told::{Told, of_news, of_observed};

/// Sources of Events on their way.
const MESSAGES: usize = 256;
/// Requests at one time.
const AT_ONCE: usize = 4;
/// Events that wait for a request. Beyond it the newest is dropped and counted.
const WAITING: usize = 512;
const ATTEMPTS: u32 = 3;
const PATIENCE: Duration = Duration::from_secs(15);
/// How long nothing is tried after the API server said that we may not.
const DENIED: Duration = Duration::from_secs(300);

/// Who it is that says so: for a request and for the scan.
const ADMISSION: &str = "meshward-admission";
const SCAN: &str = "meshward-scan";

/// Events.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
pub struct EventSettings {
    /// Write Events about violations
    #[arg(long, env = "MESHWARD_EVENTS", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub events: bool,
    /// Write Events about objects that policies let pass as well
    #[arg(long, env = "MESHWARD_EVENTS_APPLIED")]
    pub events_applied: bool,
}

/// What Events are made from.
#[derive(Debug)]
pub enum Source {
    /// A request.
    Request(Observed),
    /// New results of a report.
    Report(News),
}

/// Writes Events.
pub struct Events {
    client: Client,
    live: Live,
    settings: EventSettings,
    instance: String,
    sources: mpsc::Receiver<Source>,
    planner: Planner,
    shown: Condition,
    metrics: Metrics,
    waiting: VecDeque<(Told, EventAction)>,
    running: usize,
    closed_until: Option<Instant>,
    work: JoinSet<(&'static str, Result<Published, kube::Error>)>,
}

impl Events {
    /// A writer, and where to send it what happens. `instance` is this replica's name.
    pub fn new(
        client: Client,
        live: Live,
        settings: EventSettings,
        instance: &str,
        shown: Condition,
        metrics: Metrics,
    ) -> (Self, mpsc::Sender<Source>) {
        let (sender, sources) = mpsc::channel(MESSAGES);
        let events = Self {
            client,
            live,
            settings,
            instance: instance.to_owned(),
            sources,
            planner: Planner::new(Timestamp::now()),
            shown,
            metrics,
            waiting: VecDeque::new(),
            running: 0,
            closed_until: None,
            work: JoinSet::new(),
        };
        (events, sender)
    }

    /// Works until `token` is cancelled or nobody tells anything any more.
    pub async fn run(mut self, token: CancellationToken) {
        let work = async {
            loop {
                self.launch();
                tokio::select! {
                    source = self.sources.recv() => match source {
                        Some(source) => self.take(&source),
                        None => return,
                    },
                    Some(ended) = self.work.join_next() => match ended {
                        Ok((reason, result)) => self.finish(reason, result),
                        Err(error) => tracing::error!(%error, "an Event ended unexpectedly"),
                    },
                }
            }
        };
        token.run_until_cancelled(work).await;
    }

    fn take(&mut self, source: &Source) {
        if !self.settings.events {
            return;
        }
        let all = match source {
            Source::Request(observed) => of_observed(observed, self.settings.events_applied),
            Source::Report(news) => of_news(news, &self.live.snapshot()),
        };
        let now = Timestamp::now();
        for told in all {
            let reason = told.event.reason;
            match self.planner.plan(&told, now) {
                EventAction::Held => self.metrics.event(reason, "held"),
                EventAction::Dropped(_) => self.metrics.event(reason, "dropped"),
                action if self.waiting.len() < WAITING => self.waiting.push_back((told, action)),
                _ => self.metrics.event(reason, "dropped"),
            }
        }
    }

    fn launch(&mut self) {
        if self.closed_until.is_some_and(|until| Instant::now() < until) {
            for (told, _) in self.waiting.drain(..) {
                self.metrics.event(told.event.reason, "denied");
            }
        }
        while self.running < AT_ONCE
            && let Some((told, action)) = self.waiting.pop_front()
        {
            self.running += 1;
            let (client, instance) = (self.client.clone(), self.instance.clone());
            self.work.spawn(async move {
                let result = insist(client, &instance, &told, &action).await;
                (told.event.reason, result)
            });
        }
    }

    fn finish(&mut self, reason: &'static str, result: Result<Published, kube::Error>) {
        self.running = self.running.saturating_sub(1);
        let outcome = match result {
            Ok(Published::Written) => {
                self.shown.hold();
                self.closed_until = None;
                "written"
            }
            Ok(Published::Unchanged) => "unchanged",
            // The namespace is on its way out.
            Err(error) if is_ending(&error) => "gone",
            Err(error) => {
                let denied = client::kind(&error) == Kind::Denied;
                let error = RequestError::of("write an Event")(error);
                if denied {
                    self.closed_until = Some(Instant::now() + DENIED);
                    if self.shown.fail(format!("Events are not written: {error}")) {
                        tracing::error!(%error, "Events are not written; tried again every {DENIED:?}");
                    }
                    "denied"
                } else {
                    tracing::debug!(reason, %error, "Event not written");
                    "failed"
                }
            }
        };
        self.metrics.event(reason, outcome);
    }
}

fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match client::kind(error) {
        Kind::Denied => status.message.contains("because it is being terminated"),
        Kind::Gone => true,
        _ => false,
    }
}

/// A few attempts: an Event that cannot be written soon is old news, and the reports say the same.
async fn insist(
    client: Client,
    instance: &str,
    told: &Told,
    action: &EventAction,
) -> Result<Published, kube::Error> {
    let controller = if told.scan { SCAN } else { ADMISSION };
    let author = Author { controller, instance };
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        let attempt = publish(client.clone(), author, &told.regarding, told.related.as_ref(), action);
        let result = match tokio::time::timeout(PATIENCE, attempt).await {
            Ok(result) => result,
            Err(_) => {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
                Err(kube::Error::Service(Box::new(late)))
            }
        };
        let again =
            matches!(&result, Err(error) if matches!(client::kind(error), Kind::Unreachable | Kind::Busy));
        if !again || backoff.attempts() + 1 >= ATTEMPTS {
            return result;
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}
