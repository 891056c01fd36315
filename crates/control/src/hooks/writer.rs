//! Makes the API server's webhook configurations what they should be, and keeps them so: only what differs is written,
//! foreign changes are undone, and what is not wanted any more goes.

mod compare;
mod found;
mod refused;
mod remove;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use meshward_kit::admin::{Condition, Readiness};
use meshward_kit::backoff::Backoff;
use meshward_kit::client::{Kind, RequestError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::apis::Apis;
use super::conditions::Answers;
use super::desired::{CONDITIONS, Desired, Wishes, desired};
use crate::certificates::CaBundle;
use crate::live::{Definitions, KINDS, Live};
use compare::{Step, other_release, plan, starting};
use found::resources;
use refused::{Refused, conditions_of, news, without};

pub(super) use found::validating;
pub use found::{Configurations, watch_configurations};
pub use remove::remove_all;

/// Changes that come together are written together.
const TOGETHER: Duration = Duration::from_millis(100);
/// How long the watch may take to tell of what was written.
const CATCH_UP: Duration = Duration::from_secs(2);
/// Pauses after a failure, and between repairs while somebody else keeps changing what we write.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long nobody must have interfered before a repair is made at once again.
const QUIET: Duration = Duration::from_secs(120);

/// Which release the configurations are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its Service.
    pub service: String,
    /// The Service's namespace.
    pub namespace: String,
}

impl Instance {
    /// The name of a configuration. The release is named at the end: the API server calls mutating webhooks in the order
    /// of these names, and the swap's must come after the injectors'.
    pub fn name(&self, usual: &str) -> String {
        match self.service.as_str() {
            "meshward-control" => usual.to_owned(),
            other => format!("{usual}.{other}"),
        }
    }

    /// The labels of everything that is ours.
    pub fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("app.kubernetes.io/managed-by", "meshward-control"),
            ("meshward.dev/service", &self.service),
            ("meshward.dev/service-namespace", &self.namespace),
        ]
    }

    fn selector(&self) -> String {
        self.labels().map(|(key, value)| format!("{key}={value}")).join(",")
    }
}

/// Where they are written, and what about.
#[derive(Clone)]
pub struct Target {
    /// Asks the API server.
    pub client: Client,
    /// Whose they are.
    pub instance: Instance,
    /// Whom they go with.
    pub owner: Option<OwnerReference>,
}

/// What they are made from. Each tells when it changes.
#[derive(Clone)]
pub struct Sources {
    /// What is in force.
    pub live: Live,
    /// What is served.
    pub apis: watch::Receiver<Option<Arc<Apis>>>,
    /// What is defined.
    pub definitions: watch::Receiver<Option<Definitions>>,
    /// The authorities by which the API server knows us.
    pub bundle: watch::Receiver<CaBundle>,
    /// The configurations that are there.
    pub found: watch::Receiver<Configurations>,
    /// Whether we have been ready for so long that the API server can reach us.
    pub reachable: watch::Receiver<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Written {
    kind: String,
    action: &'static str,
}

/// Writes them.
#[derive(Clone)]
pub struct Writer {
    target: Target,
    wishes: Wishes,
    sources: Sources,
    /// Told which bundle every configuration carries.
    trusted: watch::Sender<CaBundle>,
    shown: Condition,
    writes: Family<Written, Counter>,
    /// Match conditions of the policies that `desired` looked at.
    given: BTreeSet<u64>,
    /// Those of them that the API server has refused.
    refused: Refused,
    /// Told about both when what is not refused is written.
    answers: watch::Sender<Answers>,
}

/// Why a configuration is not as it should be.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(
        "{kind} {name} is that of the release {release}; accepted: a release with a Service of another name"
    )]
    Taken { kind: String, name: String, release: String },
}

impl Writer {
    /// A writer; `trusted` is told which bundle every configuration carries, `answers` what the API server says of match
    /// conditions, `shown` holds while they are as they should be.
    pub fn new(
        target: Target,
        wishes: Wishes,
        sources: Sources,
        trusted: watch::Sender<CaBundle>,
        answers: watch::Sender<Answers>,
        shown: Condition,
    ) -> Self {
        let (writes, given, refused) = (Family::default(), BTreeSet::new(), Refused::new());
        Self { target, wishes, sources, trusted, shown, writes, given, refused, answers }
    }

    /// Puts `webhook_configuration_writes_total{kind, action}` among the metrics.
    pub fn register(&self, metrics: &mut Registry) {
        let help = "Writes of webhook configurations";
        metrics.register("webhook_configuration_writes", help, self.writes.clone());
    }

    /// Writes for as long as it is polled: one replica at a time does. Nothing is written before everything that is in
    /// force was listed, or policies that are not known yet would be left out.
    pub async fn keep(mut self, readiness: Readiness) {
        let mut listed = vec!["namespaces", "definitions"];
        listed.extend(KINDS.iter().map(|kind| kind.plural));
        readiness.wait_for_all(&listed).await;
        // What was said when we led before may not hold any more.
        self.answers.send_replace(Answers::default());
        let (mut retry, mut patience) = (Backoff::new(RETRY.0, RETRY.1), Backoff::new(RETRY.0, RETRY.1));
        let (mut last, mut interfered) = (None, None);
        let mut changes = self.sources.live.changes();
        loop {
            changes.borrow_and_update();
            let wanted = self.desired().await;
            let steps = self.steps(wanted.as_deref());
            let repair = !steps.is_empty() && wanted == last;
            if repair && self.interferes(&steps, &mut interfered) {
                // Whoever it is, a race with him is won by nobody.
                tokio::time::sleep(patience.next_delay()).await;
            } else if repair {
                patience.reset();
            }
            let written = match self.apply(steps, repair).await {
                Ok(written) => written,
                Err(error) => {
                    if self.shown.fail(error.to_string()) {
                        tracing::error!(%error, "webhook configurations not written; trying again");
                    }
                    tokio::time::sleep(retry.next_delay()).await;
                    continue;
                }
            };
            retry.reset();
            last = wanted;
            if written > 0 {
                self.catch_up(last.as_deref()).await;
                continue;
            }
            self.settle(last.is_some());
            self.changed(&mut changes).await;
            tokio::time::sleep(TOGETHER).await;
        }
    }

    /// Waits until the watch has told of what was written: before that, it would look as if somebody had undone it.
    async fn catch_up(&mut self, wanted: Option<&[Desired]>) {
        let told =
            async { while !self.steps(wanted).is_empty() && self.sources.found.changed().await.is_ok() {} };
        if timeout(CATCH_UP, told).await.is_err() {
            tracing::debug!(after = ?CATCH_UP, "the watch does not tell of what was written");
        }
    }

    /// What should be there; `None` while something is not known yet. Takes note of what it was made from.
    async fn desired(&mut self) -> Option<Vec<Desired>> {
        let sources = &mut self.sources;
        let apis = sources.apis.borrow_and_update().clone();
        let definitions = sources.definitions.borrow_and_update().clone();
        let bundle = sources.bundle.borrow_and_update().clone();
        let (reachable, found) = (*sources.reachable.borrow_and_update(), sources.found.borrow().clone());
        let (apis, definitions, bundle, found) = (apis?, definitions?, bundle?, found?);
        let (snapshot, wishes) = (sources.live.snapshot(), self.wishes.clone());
        // Hundreds of policies by hundreds of resources: no work for a thread that answers requests.
        let policies = snapshot.policies.clone();
        let computed = tokio::task::spawn_blocking(move || {
            let policies = policies.iter().map(|loaded| &loaded.policy);
            desired(policies, &apis, &definitions, &wishes, &bundle)
        });
        let all = computed.await;
        let all = all.map_err(|error| tracing::error!(%error, "webhook configurations not computed")).ok()?;
        self.given = snapshot.policies.iter().filter_map(|loaded| loaded.group.conditions).collect();
        // Those of policies that are gone are tried anew when they come back.
        self.refused.retain(|conditions, _| self.given.contains(conditions));
        let all = without(all, &self.refused);
        match reachable {
            true => Some(all),
            false => Some(starting(all, &found, &self.target.instance)),
        }
    }

    fn steps(&mut self, wanted: Option<&[Desired]>) -> Vec<((String, String), Step)> {
        let found = self.sources.found.borrow_and_update();
        match (wanted, found.as_ref()) {
            (Some(wanted), Some(found)) => {
                plan(wanted, found, &self.target.instance, self.target.owner.as_ref())
            }
            _ => Vec::new(),
        }
    }

    /// Whether somebody changes what we wrote again and again.
    fn interferes(&self, steps: &[((String, String), Step)], since: &mut Option<Instant>) -> bool {
        let now = Instant::now();
        let again = since.replace(now).is_some_and(|last| now.duration_since(last) < QUIET);
        let names: Vec<&str> = steps.iter().map(|((_, name), _)| name.as_str()).collect();
        tracing::warn!(
            configurations = names.join(", "),
            "webhook configurations were changed by somebody else"
        );
        again
    }

    /// Everything is as it should be, as far as the watch has told.
    fn settle(&self, as_it_should_be: bool) {
        if !as_it_should_be || self.sources.found.borrow().is_none() {
            return;
        }
        self.shown.hold();
        tell(&self.answers, Answers { given: self.given.clone(), refused: self.refused.clone() });
        tell(&self.trusted, self.sources.bundle.borrow().clone());
    }

    async fn changed(&mut self, changes: &mut watch::Receiver<u64>) {
        let sources = &mut self.sources;
        tokio::select! {
            _ = changes.changed() => {}
            _ = sources.apis.changed() => {}
            _ = sources.definitions.changed() => {}
            _ = sources.bundle.changed() => {}
            _ = sources.found.changed() => {}
            _ = sources.reachable.changed() => {}
        }
    }

    /// Makes the requests; the number of those made. What others changed in the meantime is seen by the watch.
    async fn apply(
        &mut self,
        steps: Vec<((String, String), Step)>,
        repair: bool,
    ) -> Result<usize, WriteError> {
        let count = steps.len();
        for ((kind, name), step) in steps {
            let action = match (&step, repair) {
                (Step::Delete, _) => "removed",
                (_, true) => "repaired",
                (Step::Create(_), _) => "created",
                (Step::Patch(_), _) => "changed",
            };
            let conditions = name == self.target.instance.name(CONDITIONS);
            let given = if conditions { conditions_of(&step) } else { Vec::new() };
            match self.request(&kind, &name, step).await {
                Err(WriteError::Request(error)) if conditions && error.kind() == Kind::Invalid => {
                    self.refuse(&given, error)?;
                }
                Err(WriteError::Request(error)) if matches!(error.kind(), Kind::Conflict | Kind::Gone) => {
                    tracing::debug!(%error, "somebody else was faster");
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    tracing::info!(kind, name, action, "webhook configuration written");
                    self.writes.get_or_create(&Written { kind, action }).inc();
                }
            }
        }
        Ok(count)
    }

    /// Takes note of match conditions that the API server cannot read, so that the others are written without them. The
    /// policies that have them are not asked, and that is told.
    fn refuse(&mut self, given: &[Option<u64>], error: RequestError) -> Result<(), WriteError> {
        let news = news(given, &error.source, &self.refused);
        if news.is_empty() {
            return Err(error.into());
        }
        tracing::error!(%error, "policies whose match conditions the API server refuses are not asked");
        self.refused.extend(news);
        Ok(())
    }

    async fn request(&self, kind: &str, name: &str, step: Step) -> Result<(), WriteError> {
        let Some(resource) = resources().into_iter().find(|resource| resource.kind == kind) else {
            return Ok(());
        };
        let api = api(&self.target.client, &resource);
        let failed = |verb: &str| RequestError::of(format!("{verb} {kind} {name}"));
        match step {
            Step::Create(object) => match create(&api, &object).await {
                Ok(_) => {}
                // It lost our labels, or is somebody else's.
                Err(error) if meshward_kit::client::kind(&error) == Kind::Conflict => {
                    let there = api.get(name).await.map_err(failed("read"))?;
                    let there = serde_json::to_value(there).unwrap_or_default();
                    if let Some(release) = other_release(&there, &self.target.instance) {
                        return Err(WriteError::Taken { kind: kind.into(), name: name.into(), release });
                    }
                    if let Some(patch) = compare::patch(&object, &there) {
                        let patch = Patch::Merge(patch);
                        api.patch(name, &PatchParams::default(), &patch).await.map_err(failed("change"))?;
                    }
                }
                Err(error) => return Err(failed("create")(error).into()),
            },
            Step::Patch(patch) => {
                let patch = Patch::Merge(patch);
                api.patch(name, &PatchParams::default(), &patch).await.map_err(failed("change"))?;
            }
            Step::Delete => {
                api.delete(name, &DeleteParams::default()).await.map_err(failed("remove"))?;
            }
        }
        Ok(())
    }
}

/// Tells what is news.
fn tell<T: PartialEq>(whom: &watch::Sender<T>, what: T) {
    whom.send_if_modified(|now| {
        let news = *now != what;
        *now = what;
        news
    });
}

async fn create(api: &Api<DynamicObject>, object: &Value) -> Result<DynamicObject, kube::Error> {
    let object = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    api.create(&PostParams::default(), &object).await
}

fn api(client: &Client, resource: &ApiResource) -> Api<DynamicObject> {
    Api::all_with(client.clone(), resource)
}
