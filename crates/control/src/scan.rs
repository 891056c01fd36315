//! The scan: what policies and Pod Security say about the objects that are there already. One watch of each kind that
//! something is about: its list is the scan, its changes keep the results true. Where policies name several versions of a
//! kind, one is watched and each object read in the others, so that all results of it come together. What the results depend
//! on is watched too, and a change of it has only the kinds looked at again that it concerns.
//!
//! ```text
//! Snapshot, Apis ─ plan ─► kinds, each with a fingerprint ─► Follower (list, watch) ─ judge ─► reports
//!      ▲ changes, expiry, interval: planned again (debounced)         ▲ fingerprint changed: again     └─► Uses ─► status
//! ```
//!
//! Only the leader scans. Nothing is kept from one leader to the next: everything is judged again, which is cheap, and
//! nothing is written that is there already. (Results depend on clocks, ConfigMaps and API calls as well, so that it
//! could not be proven that an object need not be judged.)

mod evaluate;
mod follow;
mod metrics;
mod pace;
mod plan;
mod read;
mod settings;
mod standards;
mod uses;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use meshward_kit::admin::{Condition, Readiness};
use meshward_kit::backoff::Backoff;
use meshward_policy::go::time::Moment;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::hooks::{Api, Apis};
use crate::live::{Live, Snapshot};
use crate::lookup::Outside;
use crate::report::Message;
use follow::{Again, Follower, Means};
use pace::Pace;
use plan::{Plan, plan};

pub(crate) use evaluate::now;
pub use evaluate::{Found, Other, judge};
pub use metrics::Metrics;
pub use plan::Rules;
pub use settings::ScanSettings;
pub use uses::{Saved, Use, Uses};

/// Several changes in a row, as `kubectl apply -f FOLDER` makes them, are one.
const QUIET: Duration = Duration::from_millis(1000);
/// But they are not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Orders of one kind that wait. A full one is given up: its list is begun again later anyway.
const ORDERS: usize = 256;
/// How often the conditions of the watches are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What scans.
pub struct Scan {
    /// Asks the API server.
    pub client: Client,
    /// What is in force.
    pub live: Live,
    /// What the API server serves.
    pub resources: watch::Receiver<Option<Arc<Apis>>>,
    /// What is never looked at.
    pub rules: Arc<Rules>,
    /// Settings.
    pub settings: ScanSettings,
    /// Where results go.
    pub reports: mpsc::Sender<Message>,
    /// Told when everything should be looked at again.
    pub again: watch::Receiver<u64>,
    /// What exemptions do for pods.
    pub uses: Arc<Mutex<Uses>>,
    /// Told when that may have changed.
    pub used: Arc<Notify>,
    /// Fails while a watch does not work.
    pub shown: Condition,
    /// Counts.
    pub metrics: Metrics,
}

/// A kind that is followed.
struct Running {
    versions: Vec<Api>,
    fingerprint: u64,
    again: mpsc::Sender<Again>,
    task: AbortHandle,
    /// Its watch, as a readiness of its own: kinds come and go.
    readiness: Readiness,
}

/// The scan as it goes on.
struct Going {
    scan: Scan,
    means: Means,
    running: BTreeMap<String, Running>,
    tasks: JoinSet<()>,
    labels: BTreeMap<String, u64>,
}

impl Scan {
    /// Scans until it is dropped. What is in force must have been read.
    pub async fn run(self) {
        let means = Means {
            client: self.client.clone(),
            live: self.live.clone(),
            rules: self.rules.clone(),
            outside: Arc::new(Outside::new(Some(self.client.clone()), watch::channel(None).1)),
            pace: Arc::new(Pace::new(self.settings.scan_cpu)),
            uses: self.uses.clone(),
            reports: self.reports.clone(),
            used: self.used.clone(),
            metrics: self.metrics.clone(),
        };
        let labels = plan::labels(&self.live.snapshot(), &self.rules);
        let going = Going { scan: self, means, running: BTreeMap::new(), tasks: JoinSet::new(), labels };
        going.run().await;
    }
}

impl Going {
    async fn run(mut self) {
        let mut changes = self.scan.live.changes();
        let (mut full, mut planned) = (Instant::now() + self.interval(), false);
        let mut expiry: Option<Instant> = None;
        loop {
            let snapshot = self.scan.live.snapshot();
            let resources = self.scan.resources.borrow_and_update().clone();
            // Looked at here and not where it is waited for: it may pass while something else is done.
            let expired = expiry.is_some_and(|expiry| expiry <= Instant::now());
            if expired {
                self.scan.used.notify_one();
            }
            if let Some(resources) = resources.filter(|_| !planned || expired) {
                self.arrange(&snapshot, &resources).await;
            }
            planned = false;
            expiry = next_expiry(&snapshot).and_then(|left| Instant::now().checked_add(left));
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => settle(&mut changes).await,
                    Err(_) => return,
                },
                Ok(()) = self.scan.resources.changed() => {}
                Ok(()) = self.scan.again.changed() => {
                    self.all(false).await;
                    full = Instant::now() + self.interval();
                }
                () = tokio::time::sleep_until(full) => {
                    self.all(true).await;
                    full = Instant::now() + self.interval();
                }
                () = tokio::time::sleep_until(expiry.unwrap_or(full)) => {}
                () = tokio::time::sleep(LOOK) => {
                    self.look();
                    planned = true;
                }
            }
        }
    }

    /// Makes what is followed what should be.
    async fn arrange(&mut self, snapshot: &Snapshot, resources: &Apis) {
        let Some(now) = evaluate::now() else { return };
        let planned = plan(snapshot, resources, &self.scan.rules, now);
        self.stop(&planned);
        let labels = plan::labels(snapshot, &self.scan.rules);
        let changed: Vec<String> = labels
            .iter()
            .filter(|(name, hash)| self.labels.get(*name) != Some(hash))
            .map(|(name, _)| name.clone())
            .collect();
        self.labels = labels;
        let kept = snapshot.policies.iter().filter(|policy| !policy.policy.in_background());
        let kept: HashSet<String> = kept.map(|policy| policy.origin.key()).collect();
        let _ = self.scan.reports.send(Message::Policies(kept)).await;
        let _ = self.scan.reports.send(Message::Followed(planned.keys().cloned().collect())).await;
        for (key, followed) in planned {
            match self.running.get_mut(&key) {
                Some(running) if running.fingerprint != followed.fingerprint => {
                    running.fingerprint = followed.fingerprint;
                    order(running, Again::All);
                }
                Some(running) => {
                    changed.iter().for_each(|name| order(running, Again::Namespace(name.clone())));
                }
                None => self.start(key, followed),
            }
        }
        self.look();
    }

    fn stop(&mut self, planned: &Plan) {
        self.running.retain(|key, running| {
            let stays = planned.get(key).is_some_and(|followed| followed.versions == running.versions);
            if !stays {
                running.task.abort();
                self.means.metrics.unfollowed(key.rsplit('/').next().unwrap_or(key));
            }
            stays
        });
    }

    fn start(&mut self, key: String, followed: plan::Followed) {
        let (again, orders) = mpsc::channel(ORDERS);
        let readiness = Readiness::new();
        let shown = readiness.require("watch", "waiting for the API server to list them");
        let plan::Followed { versions, fingerprint } = followed;
        let Some((served, others)) = versions.split_first() else { return };
        let (served, others) = (served.clone(), others.to_vec());
        let follower = Follower { means: self.means.clone(), served, others, again: orders, shown };
        tracing::info!(kind = told(&key), "objects of this kind are looked at");
        let task = self.tasks.spawn(follower.run());
        self.running.insert(key, Running { versions, fingerprint, again, task, readiness });
    }

    /// Looks at everything again.
    async fn all(&mut self, refresh: bool) {
        if refresh {
            let _ = self.scan.reports.send(Message::Refresh).await;
        }
        self.running.values().for_each(|running| order(running, Again::All));
    }

    /// One condition for all watches.
    fn look(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        let failing: HashMap<&str, String> = self
            .running
            .iter()
            .filter_map(|(key, running)| {
                let report = running.readiness.report();
                let watch = report.conditions.into_iter().find(|condition| !condition.holds)?;
                Some((key.as_str(), watch.reason))
            })
            .collect();
        let mut told: Vec<String> =
            failing.iter().map(|(key, reason)| format!("{}: {reason}", told(key))).collect();
        told.sort();
        if told.is_empty() {
            self.scan.shown.hold();
        } else {
            self.scan.shown.fail(told.join("; "));
        }
    }

    /// The interval, a tenth more or less.
    fn interval(&self) -> Duration {
        let interval = self.scan.settings.scan_interval;
        let mut spread = Backoff::new(interval.mul_f64(0.2), interval.mul_f64(0.2));
        interval.mul_f64(0.8) + spread.next_delay()
    }
}

/// A group and kind as people write it: `Pod`, `Deployment.apps`.
fn told(key: &str) -> String {
    match key.split_once('/') {
        Some(("", kind)) => kind.to_owned(),
        Some((group, kind)) => format!("{kind}.{group}"),
        None => key.to_owned(),
    }
}

/// A kind that does not come to its orders gets another pass at its next one.
fn order(running: &Running, again: Again) {
    if running.again.try_send(again).is_err() {
        tracing::debug!("a kind has too many orders; it is looked at in the next pass");
    }
}

/// Waits until nothing has changed for a moment.
async fn settle(changes: &mut watch::Receiver<u64>) {
    let until = Instant::now() + PATIENCE;
    loop {
        let pause = tokio::time::sleep_until(until.min(Instant::now() + QUIET));
        tokio::select! {
            () = pause => return,
            changed = changes.changed() => if changed.is_err() || Instant::now() >= until { return },
        }
    }
}

/// How long until an exemption expires next.
pub(crate) fn next_expiry(snapshot: &Snapshot) -> Option<Duration> {
    let now = evaluate::now()?;
    // A moment later, so that it has expired then.
    let left = |at: Moment| Duration::try_from_secs_f64(at.since(now).seconds() + 0.1).ok();
    let all = snapshot.exemptions.values().iter().filter(|exemption| !exemption.expired(now));
    all.filter_map(|exemption| left(exemption.expires()?)).min()
}
