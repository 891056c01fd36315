//! What goes on behind the requests: every replica tells of what its requests found, and the leader scans, writes
//! reports and keeps status.
//!
//! ```text
//! requests ─ Observed ─ sort ─┬─► Events
//!                             └─► results of policies that only requests can ask ─► reports
//! leader: Scan ─► reports ─► News ─► Events
//!           └─► Uses ─► Status
//! ```

use std::sync::{Arc, Mutex};

use kube::Client;
use meshward_kit::admin::{Condition, Readiness};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::events::{self, EventSettings, Events, Source};
use crate::hooks::{Answers, Apis};
use crate::live::{KINDS, Live};
use crate::observed::{Observed, Observer};
use crate::report::{self, Message, PodImages, ReportSettings, Results, Writer, of_rule};
use crate::scan::{self, Rules, Scan, ScanSettings, Uses};
use crate::status::{Status, StatusSettings};

/// Observations on their way; whoever has more drops them.
const OBSERVED: usize = 1024;
/// New results on their way.
const NEWS: usize = 256;

/// What is told about it at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the scan.
    pub scan: ScanSettings,
    /// Of reports.
    pub reports: ReportSettings,
    /// Of Events.
    pub events: EventSettings,
    /// Of status.
    pub status: StatusSettings,
    /// This replica's name.
    pub instance: String,
    /// What is never looked at.
    pub rules: Rules,
}

/// What every part needs. Clones share it.
#[derive(Clone)]
pub struct Background {
    client: Client,
    live: Live,
    sources: Sources,
    settings: Arc<Settings>,
    readiness: Readiness,
    conditions: Conditions,
    metrics: Metrics,
    events: mpsc::Sender<Source>,
}

/// What the API server says.
#[derive(Clone)]
pub struct Sources {
    /// What it serves.
    pub apis: watch::Receiver<Option<Arc<Apis>>>,
    /// What it says of match conditions.
    pub answers: watch::Receiver<Answers>,
}

#[derive(Clone)]
struct Conditions {
    reports: Condition,
    scan: Condition,
    status: Condition,
}

#[derive(Clone)]
struct Metrics {
    reports: report::Metrics,
    scan: scan::Metrics,
}

impl Background {
    /// What goes on behind the requests, and the writer of Events, to be run.
    pub fn new(
        client: Client,
        live: Live,
        sources: Sources,
        settings: Settings,
        readiness: &Readiness,
        registry: &mut Registry,
    ) -> (Self, Events) {
        let metrics =
            Metrics { reports: report::Metrics::register(registry), scan: scan::Metrics::register(registry) };
        let shown = readiness.advise("events");
        let counted = events::Metrics::register(registry);
        let (writer, events) = Events::new(
            client.clone(),
            live.clone(),
            settings.events.clone(),
            &settings.instance,
            shown,
            counted,
        );
        let conditions = Conditions {
            reports: readiness.advise("reports"),
            scan: readiness.advise("scan"),
            status: readiness.advise("status"),
        };
        let settings = Arc::new(settings);
        let readiness = readiness.clone();
        (Self { client, live, sources, settings, readiness, conditions, metrics, events }, writer)
    }

    /// Takes what requests found, until `token` is cancelled. Answers where to send it, and the work.
    pub fn observe(self, token: CancellationToken) -> (Observer, impl Future<Output = ()>) {
        let (sender, mut observed) = mpsc::channel::<Observed>(OBSERVED);
        let applied = self.settings.events.events_applied;
        let work = async move {
            let (news, _) = mpsc::channel(1);
            let (writer, reports) = self.writer(false, watch::Sender::new(0), news);
            let sort = async {
                while let Some(observed) = observed.recv().await {
                    self.sort(observed, &reports);
                }
            };
            tokio::select! {
                () = writer.run(token.clone()) => {}
                _ = token.run_until_cancelled(sort) => {}
            }
        };
        (Observer::new(sender, applied), work)
    }

    fn sort(&self, observed: Observed, reports: &mpsc::Sender<Message>) {
        if let Some(results) = self.admitted(&observed)
            && reports.try_send(Message::Admitted(results)).is_err()
        {
            self.metrics.reports.write("dropped");
        }
        // Its own buckets count what is dropped there; what does not even get there is the same.
        let _ = self.events.try_send(Source::Request(observed));
    }

    /// What the scan cannot find out about an object that got in.
    fn admitted(&self, observed: &Observed) -> Option<Results> {
        if !observed.got_in() {
            return None;
        }
        let snapshot = self.live.snapshot();
        let mut lines = Vec::new();
        for outcome in &observed.policies {
            let policy = snapshot.policies.get(&outcome.policy.key());
            let Some(policy) = policy.filter(|policy| !policy.policy.in_background()) else { continue };
            let line = |(report, _): &(_, _)| of_rule(policy, report, PodImages(&Value::Null)).of_admission();
            lines.extend(outcome.rules.iter().map(line));
        }
        (!lines.is_empty()).then(|| Results { subject: observed.subject.clone(), lines })
    }

    fn writer(
        &self,
        scans: bool,
        again: watch::Sender<u64>,
        news: mpsc::Sender<report::News>,
    ) -> (Writer, mpsc::Sender<Message>) {
        let parts = report::Parts {
            client: self.client.clone(),
            resources: self.sources.apis.clone(),
            again,
            news,
            shown: self.conditions.reports.clone(),
            metrics: self.metrics.reports.clone(),
        };
        Writer::new(&self.settings.reports, scans, parts)
    }

    /// What the leader does, until it is dropped. Whatever has to be read first is waited for: what is not known would
    /// look like what is not there.
    pub async fn lead(self) {
        let mut read = vec!["namespaces", "definitions", "discovery"];
        read.extend(KINDS.iter().map(|kind| kind.plural));
        self.readiness.wait_for_all(&read).await;
        let (again, told) = watch::channel(0);
        let (news, mut heard) = mpsc::channel(NEWS);
        let (writer, reports) = self.writer(true, again, news);
        let (uses, used) = (Arc::new(Mutex::new(Uses::default())), Arc::new(Notify::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(CancellationToken::new()));
        let events = self.events.clone();
        tasks.spawn(async move {
            while let Some(news) = heard.recv().await {
                let _ = events.send(Source::Report(news)).await;
            }
        });
        let status = Status::new(
            self.client.clone(),
            self.live.clone(),
            self.settings.status.clone(),
            uses.clone(),
            used.clone(),
            self.sources.answers.clone(),
            self.conditions.status.clone(),
        );
        tasks.spawn(status.run());
        if self.settings.scan.scan {
            tasks.spawn(self.scan(reports, told, uses, used).run());
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }
        // Nothing of it ends by itself but with the daemon.
        std::future::pending::<()>().await;
    }

    fn scan(
        &self,
        reports: mpsc::Sender<Message>,
        again: watch::Receiver<u64>,
        uses: Arc<Mutex<Uses>>,
        used: Arc<Notify>,
    ) -> Scan {
        Scan {
            client: self.client.clone(),
            live: self.live.clone(),
            resources: self.sources.apis.clone(),
            rules: Arc::new(self.settings.rules.clone()),
            settings: self.settings.scan.clone(),
            reports,
            again,
            uses,
            used,
            shown: self.conditions.scan.clone(),
            metrics: self.metrics.scan.clone(),
        }
    }
}
