//! The one task that writes reports. Bounded in every direction: of an object only the latest results wait, when too
//! many wait nothing more is taken (whoever scans then waits too), and so many are written in a second and no more. What
//! requests found out is not waited for: it is dropped and counted, and told again by the next request.
//!
//! ```text
//! Message ─► WriteQueue (one job an object) ─ Bucket ─► attempt: read, merge, write or delete ─► Index
//!                                                                 └─► News ─► Events
//! ```

mod attempt;
mod job;
mod load;
mod metrics;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::bucket::Bucket;
use meshward_kit::client::{Kind, RequestError};
use meshward_kit::queue::{Ended, WriteQueue};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::api::Form;
use super::content::{Bounds, Content};
use super::index::{Index, kind_of};
use super::line::Line;
use super::settings::ReportSettings;
use crate::hooks::Apis;
use crate::observed::Subject;
use attempt::{Done, Target};
use job::Job;

pub use metrics::Metrics;

/// Messages on their way.
const MESSAGES: usize = 64;
/// Objects that wait. Each has all results of an object, so that this bounds the memory.
const WAITING: usize = 500;
/// Requests at one time.
const AT_ONCE: usize = 8;
/// How long nothing is tried after the API server said that we may not.
const DENIED: Duration = Duration::from_secs(120);
/// How long open requests may take in the end.
const LAST: Duration = Duration::from_secs(2);

/// The results of one object.
#[derive(Debug, Clone)]
pub struct Results {
    /// The object.
    pub subject: Subject,
    /// All of them.
    pub lines: Vec<Line>,
}

/// What the writer is told.
#[derive(Debug)]
pub enum Message {
    /// The scan looked at an object.
    Scanned(Results),
    /// A request was about an object: what policies say that the scan cannot ask.
    Admitted(Results),
    /// An object is gone. Its report goes with it, since the object owns it.
    Gone(String),
    /// Every object of a kind was looked at (group and kind, with the uids that there are).
    Listed(String, HashSet<Box<str>>),
    /// The kinds that are looked at: group and kind of each.
    Followed(HashSet<String>),
    /// The policies whose results from requests stay.
    Policies(HashSet<String>),
    /// Everything is looked at anew: which reports are there is asked again.
    Refresh,
}

/// Results that are new, or say something else than before.
#[derive(Debug, Clone)]
pub struct News {
    /// The object.
    pub subject: Subject,
    /// The new ones.
    pub lines: Vec<Line>,
}

/// Writes reports.
pub struct Writer {
    client: Client,
    form: Form,
    bounds: Bounds,
    messages: mpsc::Receiver<Message>,
    resources: watch::Receiver<Option<Arc<Apis>>>,
    /// Told when everything should be looked at again.
    again: watch::Sender<u64>,
    news: mpsc::Sender<News>,
    shown: Condition,
    metrics: Metrics,
    index: Index,
    queue: WriteQueue<Job>,
    bucket: Bucket,
    rate: u32,
    /// Not known before the first time that it is told.
    keep: Option<Arc<HashSet<String>>>,
    served: bool,
    /// Something was found that could not be written.
    lost: bool,
    /// It writes for a scan.
    scans: bool,
    work: JoinSet<(String, Job, Result<Done, RequestError>)>,
}

/// What the writer is made with.
pub struct Parts {
    /// Asks the API server.
    pub client: Client,
    /// What it serves.
    pub resources: watch::Receiver<Option<Arc<Apis>>>,
    /// Told when everything should be looked at again, since reports can be written now.
    pub again: watch::Sender<u64>,
    /// Where new results go.
    pub news: mpsc::Sender<News>,
    /// Fails while reports cannot be written.
    pub shown: Condition,
    /// Counts.
    pub metrics: Metrics,
}

impl Writer {
    /// A writer, and where to send it what was found. One that does not write for a scan knows nothing of what is there:
    /// every replica writes what its requests found.
    pub fn new(settings: &ReportSettings, scans: bool, parts: Parts) -> (Self, mpsc::Sender<Message>) {
        let (sender, messages) = mpsc::channel(MESSAGES);
        let Parts { client, resources, again, news, shown, metrics } = parts;
        let rate = settings.report_rate;
        let writer = Self {
            client,
            form: settings.reports,
            bounds: settings.bounds(),
            messages,
            resources,
            again,
            news,
            shown,
            metrics,
            index: Index::default(),
            queue: WriteQueue::new(AT_ONCE),
            bucket: Bucket::new(rate, 1.0 / f64::from(rate), Timestamp::now()),
            rate,
            keep: None,
            served: false,
            lost: false,
            scans,
            work: JoinSet::new(),
        };
        (writer, sender)
    }

    /// Works until `token` is cancelled or nobody can tell anything any more.
    pub async fn run(mut self, token: CancellationToken) {
        token.run_until_cancelled(self.work()).await;
        let last = async { while self.work.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST, last).await;
    }

    async fn work(&mut self) {
        self.look().await;
        loop {
            self.launch();
            self.metrics.waiting(self.queue.len(), self.index.len());
            let due = self.due();
            let until_due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.messages.recv(), if self.queue.len() < WAITING => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                Some(ended) = self.work.join_next() => match ended {
                    Ok((uid, job, result)) => self.finish(&uid, job, result),
                    Err(error) => tracing::error!(%error, "a request about a report ended unexpectedly"),
                },
                Ok(()) = self.resources.changed() => self.look().await,
                () = until_due => {}
            }
        }
    }

    /// Whether there is an API for reports. When it comes, what is there is read, and everything looked at.
    async fn look(&mut self) {
        if self.form == Form::None {
            return;
        }
        let found = self.resources.borrow_and_update().clone();
        let Some(found) = found else { return };
        let served = self.form.is_served(&found);
        if served && !self.served && self.scans {
            self.index = load::index(&self.client, self.form, &self.shown).await;
            if std::mem::take(&mut self.lost) {
                self.again.send_modify(|times| *times += 1);
            }
        } else if !served {
            let (group, version) = (self.form.group(), self.form.version());
            let told = format!("no reports are written: the cluster does not serve {group}/{version}");
            if self.shown.fail(told.clone()) {
                tracing::warn!("{told}; its definitions are in the chart (crds.reports), or --reports=none");
            }
            self.index = Index::default();
        }
        self.served = served;
    }

    async fn take(&mut self, message: Message) {
        match message {
            _ if self.form == Form::None => {}
            Message::Policies(keep) => self.policies(keep).await,
            _ if !self.served => {
                self.lost = true;
                self.metrics.write("unserved");
            }
            Message::Scanned(results) => self.scanned(results),
            Message::Admitted(results) => {
                let job = Job::admitted(results);
                self.put(job);
            }
            Message::Gone(uid) => {
                self.queue.forget(&uid);
                self.index.remove(&uid);
            }
            Message::Listed(kind, seen) => {
                let gone = self.index.unseen(&kind, &seen);
                gone.iter().for_each(|uid| self.drop_scanned(uid));
            }
            Message::Followed(kinds) => {
                let gone = self.index.unfollowed(&kinds);
                gone.iter().for_each(|uid| self.drop_scanned(uid));
            }
            Message::Refresh => self.index = load::index(&self.client, self.form, &self.shown).await,
        }
    }

    fn scanned(&mut self, Results { subject, lines }: Results) {
        let content = Content::new(lines, &self.bounds);
        let hash = if content.is_empty() { String::new() } else { content.hash() };
        let present = self.index.get(&subject.uid);
        let same = match present {
            Some(present) => *present.scan == *hash,
            None => content.is_empty(),
        };
        if same && !self.queue.holds(&subject.uid) {
            self.metrics.write("unchanged");
            return;
        }
        self.put(Job::scanned(subject, content.into_lines(), hash));
    }

    /// Nobody looks at the object any more, or it is gone.
    fn drop_scanned(&mut self, uid: &str) {
        if let Some(subject) = self.nameless(uid) {
            self.put(Job::scanned(subject, Vec::new(), String::new()));
        }
    }

    /// The object of a report that is there. What it is called, the report says.
    fn nameless(&self, uid: &str) -> Option<Subject> {
        let namespace = self.index.get(uid)?.namespace.to_string();
        let none = String::new;
        Some(Subject { api_version: none(), kind: none(), namespace, name: none(), uid: uid.to_owned() })
    }

    fn put(&mut self, job: Job) {
        let uid = job.subject.uid.clone();
        if uid.is_empty() {
            return;
        }
        let job = match self.queue.waiting(&uid) {
            Some(earlier) => job.after(earlier),
            None => job,
        };
        self.queue.put(&uid, job, Instant::now());
    }

    /// Results from requests of policies that are gone go too.
    async fn policies(&mut self, keep: HashSet<String>) {
        let first = self.keep.is_none();
        let fewer = self.keep.iter().flat_map(|before| before.iter()).any(|key| !keep.contains(key));
        self.keep = Some(Arc::new(keep));
        if !(first || fewer) || !self.scans || !self.served {
            return;
        }
        if fewer {
            // Others write them too.
            self.index = load::index(&self.client, self.form, &self.shown).await;
        }
        for uid in self.index.admitted() {
            if let Some(subject) = self.nameless(&uid) {
                self.put(Job::admitted(Results { subject, lines: Vec::new() }));
            }
        }
    }

    fn launch(&mut self) {
        let now = Timestamp::now();
        while self.bucket.has(now)
            && let Some((uid, job)) = self.queue.start(Instant::now())
        {
            self.bucket.take(now);
            let target = Target {
                client: self.client.clone(),
                form: self.form,
                bounds: self.bounds,
                keep: self.keep.clone(),
                known: self.index.get(&uid).is_some(),
            };
            self.work.spawn(async move {
                let result = target.attempt(&job).await;
                (uid, job, result)
            });
        }
    }

    /// When something can be launched, if nothing happens before.
    fn due(&mut self) -> Option<Instant> {
        let due = self.queue.due()?;
        if self.bucket.has(Timestamp::now()) {
            return Some(due);
        }
        Some(due.max(Instant::now() + Duration::from_secs_f64(1.0 / f64::from(self.rate))))
    }

    fn finish(&mut self, uid: &str, job: Job, result: Result<Done, RequestError>) {
        let (ended, outcome) = match result {
            Ok(done) => {
                self.shown.hold();
                let outcome = done.outcome();
                self.remember(uid, done);
                (Ended::Done, outcome)
            }
            Err(error) => self.failed(&error),
        };
        self.metrics.write(outcome);
        if ended != Ended::Done
            && let Some(newer) = self.queue.waiting(uid)
        {
            newer.keep_of(&job);
        }
        if self.queue.end(uid, job, ended, Instant::now()) {
            tracing::warn!(uid, "a report is given up until the next scan");
            self.metrics.write("given-up");
            self.index.remove(uid);
        }
    }

    fn remember(&mut self, uid: &str, done: Done) {
        match done {
            Done::Written { subject, scan, admitted, lines } => {
                self.index.put(&subject, &scan, admitted);
                let news = News { subject, lines };
                // Events are worth less than memory: what does not fit is in the report.
                if self.news.try_send(news).is_err() {
                    self.metrics.write("untold");
                }
            }
            Done::Unchanged { subject, scan, admitted } => self.index.put(&subject, &scan, admitted),
            Done::Deleted | Done::Absent => self.index.remove(uid),
        }
    }

    fn failed(&mut self, error: &RequestError) -> (Ended, &'static str) {
        match error.kind() {
            Kind::Denied => {
                if self.shown.fail(format!("reports are not written: {error}")) {
                    tracing::error!(%error, "reports are not written; tried again every {DENIED:?}");
                }
                (Ended::Denied(DENIED), "denied")
            }
            Kind::Unreachable | Kind::Busy => {
                tracing::debug!(%error, "will try again");
                (Ended::Away, "retried")
            }
            Kind::Conflict | Kind::Invalid | Kind::Gone => {
                tracing::warn!(%error, "a report was refused");
                (Ended::Refused, "refused")
            }
        }
    }
}

/// Group and kind of an object, as [`Message::Listed`] and [`Message::Followed`] name them.
pub fn named(subject: &Subject) -> String {
    kind_of(subject)
}
