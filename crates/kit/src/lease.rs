//! One leader among replicas, by a Lease (coordination.k8s.io/v1): two writers of one object would undo each other's
//! work. Whoever leads stops *before* others may begin, also when the API server does not answer.
//!
//! ```text
//! Lease ─ get ─► Candidate::step ─┬─ Write ─ replace at its resourceVersion ─► leading until start + renew
//!                                 └─ Wait ─► somebody else leads
//! ```

mod claim;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::admin::Condition;
use crate::backoff::Backoff;
use crate::client::{Kind, RequestError};
use claim::{Candidate, Claim, Step};

/// A release that the API server does not answer is left to expire.
const RELEASE: Duration = Duration::from_secs(2);

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long others wait for a leader that is silent.
    pub duration: Duration,
    /// How long a leader that gets no answer goes on. Shorter than `duration`, or two would lead.
    pub renew: Duration,
    /// How often it is said and looked at.
    pub retry: Duration,
}

impl Default for Times {
    /// Those of Kubernetes' own controllers.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A candidate in an election.
pub struct Election {
    api: Api<Lease>,
    name: String,
    owners: Vec<OwnerReference>,
    times: Times,
    candidate: Candidate,
    /// As it was last written by us, to be renewed without asking first.
    written: Option<Lease>,
    /// We lead, and for how long without another answer.
    until: Option<Instant>,
    leading: watch::Sender<bool>,
    farewell: Option<BoxFuture<'static, ()>>,
}

/// An identity that no other process has, also not an earlier one of this name: that one's claims are not ours.
pub fn identity(name: &str) -> String {
    let suffix = RandomState::new().hash_one((name, std::process::id(), Timestamp::now().as_nanosecond()));
    format!("{name}_{suffix:016x}")
}

/// Who leads after an attempt.
enum Outcome {
    We,
    Other(String),
}

impl Election {
    /// A candidate for the Lease of this name. `identity` is unlike every other's: see [`identity`].
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, times: Times) -> Self {
        let times = Times { renew: times.renew.min(times.duration * 2 / 3), ..times };
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            owners: Vec::new(),
            candidate: Candidate::new(identity, times.duration),
            times,
            written: None,
            until: None,
            leading: watch::Sender::new(false),
            farewell: None,
        }
    }

    /// Whoever owns a Lease that we make: it goes with them.
    #[must_use]
    pub fn owned_by(mut self, owner: Option<OwnerReference>) -> Self {
        self.owners = owner.into_iter().collect();
        self
    }

    /// What is done when we end while we lead, before anybody else may; as long as a leader may be silent at most.
    #[must_use]
    pub fn farewell(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.farewell = Some(work.boxed());
        self
    }

    /// Whether we lead.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.subscribe()
    }

    /// Stands for election until `token` is cancelled, then gives up what it holds. `shown` holds while it is known who
    /// leads.
    pub async fn run(mut self, shown: Condition, token: CancellationToken) {
        let mut backoff = Backoff::new(self.times.retry / 4, self.times.retry);
        loop {
            let began = Instant::now();
            let limit = self.until.map_or(self.times.renew, |until| until.saturating_duration_since(began));
            let pause = match token.run_until_cancelled(timeout(limit, self.attempt())).await {
                None => break,
                Some(Ok(Ok(outcome))) => {
                    backoff.reset();
                    self.take(outcome, began);
                    // Last: whoever waits to know who leads then asks whether it is us.
                    shown.hold();
                    self.times.retry
                }
                Some(Ok(Err(error))) => self.fail(&shown, error.to_string(), backoff.next_delay()),
                Some(Err(_)) => {
                    let told = format!("no answer about Lease {} within {limit:?}", self.name);
                    self.fail(&shown, told, backoff.next_delay())
                }
            };
            if token.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        self.release().await;
    }

    /// Takes note of who leads.
    fn take(&mut self, outcome: Outcome, began: Instant) {
        match outcome {
            Outcome::We => {
                // From before the request: others count from when they see it, which is later.
                self.until = Some(began + self.times.renew);
                if !self.leading.send_replace(true) {
                    tracing::info!(lease = self.name, identity = self.candidate.identity, "leading");
                }
            }
            Outcome::Other(holder) => {
                self.until = None;
                if self.leading.send_replace(false) {
                    tracing::warn!(lease = self.name, holder, "no longer leading; somebody else does");
                }
            }
        }
    }

    /// Nothing was learned. Returns how long to wait, which is never longer than we may lead.
    fn fail(&mut self, shown: &Condition, told: String, pause: Duration) -> Duration {
        if shown.fail(told.clone()) {
            tracing::warn!("{told}; trying again");
        }
        self.written = None;
        let Some(until) = self.until else { return pause };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.until = None;
            self.leading.send_replace(false);
            tracing::warn!(lease = self.name, "no longer leading: it could not be renewed");
        }
        pause.min(left.max(Duration::from_millis(10)))
    }

    async fn attempt(&mut self) -> Result<Outcome, RequestError> {
        if let Some(lease) = self.written.take() {
            match self.write(Some(lease)).await {
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Gone) => {}
                done => return done,
            }
        }
        let attempted = format!("read Lease {}", self.name);
        let found = self.api.get_opt(&self.name).await.map_err(RequestError::of(attempted))?;
        match self.write(found).await {
            // Another candidate was faster; who, the next attempt sees.
            Err(error) if error.kind() == Kind::Conflict => Ok(Outcome::Other("another candidate".into())),
            done => done,
        }
    }

    /// Acts on the Lease as it was found.
    async fn write(&mut self, found: Option<Lease>) -> Result<Outcome, RequestError> {
        let claim = found.as_ref().map(|lease| Claim::of(&lease.spec.clone().unwrap_or_default()));
        let holder = claim.as_ref().map(|claim| claim.holder.clone()).unwrap_or_default();
        let Step::Write(claim) = self.candidate.step(claim, Instant::now(), Timestamp::now()) else {
            return Ok(Outcome::Other(holder));
        };
        let attempted = RequestError::of(format!("write Lease {}", self.name));
        let (parameters, name) = (PostParams::default(), self.name.clone());
        let written = match found {
            Some(mut lease) => {
                lease.spec = Some(claim.write(lease.spec.take().unwrap_or_default()));
                self.api.replace(&name, &parameters, &lease).await
            }
            None => {
                let owner_references = (!self.owners.is_empty()).then(|| self.owners.clone());
                let metadata = ObjectMeta { name: Some(name), owner_references, ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(claim.write(Default::default())) };
                self.api.create(&parameters, &lease).await
            }
        };
        self.written = Some(written.map_err(attempted)?);
        Ok(Outcome::We)
    }

    /// Lets the next one begin at once.
    async fn release(&mut self) {
        self.leading.send_replace(false);
        if self.until.take().is_none() {
            return;
        }
        if let Some(work) = self.farewell.take() {
            // All of a leader's time once more.
            let began = Instant::now();
            let renewed = timeout(self.times.renew / 2, self.attempt()).await;
            let led = matches!(renewed, Ok(Ok(Outcome::We)));
            if !led || timeout_at(began + self.times.renew, work).await.is_err() {
                tracing::warn!(
                    lease = self.name,
                    "what is done at the end of leadership was not done in time"
                );
            }
        }
        let Some(mut lease) = self.written.take() else { return };
        let mut claim = Claim::of(&lease.spec.take().unwrap_or_default());
        claim.holder.clear();
        claim.duration = Duration::from_secs(1);
        lease.spec = Some(claim.write(Default::default()));
        let parameters = PostParams::default();
        match timeout(RELEASE, self.api.replace(&self.name, &parameters, &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, "leadership released"),
            Ok(Err(error)) => {
                tracing::warn!(lease = self.name, %error, "leadership not released; it expires")
            }
            Err(_) => tracing::warn!(lease = self.name, "leadership not released in time; it expires"),
        }
    }
}

/// Takes a Lease away from whoever holds it, for `duration`: who leads now stops when it next looks.
///
/// # Errors
/// Requests that fail; that somebody else was faster is tried again.
pub async fn seize(
    client: Client,
    namespace: &str,
    name: &str,
    identity: &str,
    duration: Duration,
) -> Result<(), RequestError> {
    let api: Api<Lease> = Api::namespaced(client, namespace);
    loop {
        let attempted = format!("read Lease {name}");
        let Some(mut lease) = api.get_opt(name).await.map_err(RequestError::of(attempted))? else {
            return Ok(());
        };
        let now = Timestamp::now();
        let spec = lease.spec.take().unwrap_or_default();
        let claim = Claim {
            holder: identity.to_owned(),
            duration,
            acquired: Some(now),
            renewed: Some(now),
            ..Claim::of(&spec)
        };
        lease.spec = Some(claim.write(spec));
        let written = api.replace(name, &PostParams::default(), &lease).await;
        match written.map_err(RequestError::of(format!("take over Lease {name}"))) {
            Err(error) if error.kind() == Kind::Conflict => {}
            done => return done.map(drop),
        }
    }
}

/// Does `work` whenever we lead, and drops it when we no longer do, until `token` is cancelled.
pub async fn while_leading<W: Future<Output = ()>>(
    mut leading: watch::Receiver<bool>,
    token: CancellationToken,
    mut work: impl FnMut() -> W,
) {
    let ended = token.run_until_cancelled(async {
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            let mut lost = leading.clone();
            let lost = async move { lost.wait_for(|leads| !leads).await.is_err() };
            tokio::pin!(lost);
            let gone = tokio::select! {
                gone = &mut lost => gone,
                () = work() => lost.await,
            };
            if gone {
                return;
            }
        }
    });
    ended.await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_two_processes_have_one_identity() {
        assert_ne!(identity("pod"), identity("pod"));
        assert!(identity("pod").starts_with("pod_"));
    }

    #[tokio::test]
    async fn work_is_done_while_we_lead_and_only_then() {
        let (leads, leading) = watch::channel(false);
        let (running, token) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (began, mut begins) = tokio::sync::mpsc::unbounded_channel();
        struct Ends(Arc<AtomicUsize>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let counted = running.clone();
        let task = tokio::spawn(while_leading(leading, token.clone(), move || {
            let (counted, began) = (counted.clone(), began.clone());
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ends = Ends(counted);
                began.send(()).unwrap();
                std::future::pending::<()>().await;
            }
        }));
        for _ in 0..2 {
            leads.send_replace(true);
            begins.recv().await.unwrap();
            assert_eq!(running.load(Ordering::SeqCst), 1);
            leads.send_replace(false);
            while running.load(Ordering::SeqCst) == 1 {
                tokio::task::yield_now().await;
            }
        }
        token.cancel();
        task.await.unwrap();
    }
}
