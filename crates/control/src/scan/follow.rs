//! One kind: its list is a pass of the scan, its watch keeps the results true afterwards. Objects are judged as they
//! come and not kept.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::ListParams;
use meshward_kit::admin::Condition;
use meshward_kit::client::RequestError;
use meshward_kit::watch::{Event, Loose, Watched};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::evaluate::{Found, Other, complete, judge, skips};
use super::metrics::Metrics;
use super::pace::Pace;
use super::plan::Rules;
use super::read::others;
use super::uses::Uses;
use crate::admission::Deadline;
use crate::hooks::Api;
use crate::live::{Live, Origin, Snapshot};
use crate::lookup::{Asker, Outside};
use crate::report::{Message, Results, group_kind};

/// Objects of one answer: each is in memory as a whole, as JSON and as a value.
const PAGE: u32 = 100;

/// How long answers about one object may take.
const ASKED: Duration = Duration::from_secs(10);

/// What a kind is to be looked at again for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    /// What decides about it changed, or time has passed.
    All,
    /// The labels of a namespace changed.
    Namespace(String),
}

/// What all kinds are followed with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) client: Client,
    pub(super) live: Live,
    pub(super) rules: Arc<Rules>,
    /// Whom context of policies is asked.
    pub(super) outside: Arc<Outside>,
    pub(super) pace: Arc<Pace>,
    pub(super) uses: Arc<Mutex<Uses>>,
    pub(super) reports: mpsc::Sender<Message>,
    /// Told when what exemptions are good for may have changed.
    pub(super) used: Arc<tokio::sync::Notify>,
    pub(super) metrics: Metrics,
}

/// Follows a kind.
pub(super) struct Follower {
    pub(super) means: Means,
    /// The version that is watched.
    pub(super) served: Api,
    /// Those that objects are read in as well.
    pub(super) others: Vec<Api>,
    pub(super) again: mpsc::Receiver<Again>,
    pub(super) shown: Condition,
}

/// A pass that goes on.
struct Pass {
    seen: HashSet<Box<str>>,
    /// The exemptions when it began.
    exemptions: Arc<[Arc<Origin>]>,
    began: Instant,
    ended: bool,
}

impl Pass {
    fn new(snapshot: &Snapshot) -> Self {
        let exemptions = snapshot.exemptions.origins().into();
        Self { seen: HashSet::new(), exemptions, began: Instant::now(), ended: false }
    }
}

impl Follower {
    /// Works until nobody asks for anything any more.
    pub(super) async fn run(mut self) {
        loop {
            let watched =
                Watched::all(self.means.client.clone(), self.served.client_resource()).pages_of(PAGE);
            let mut events = watched.follow(self.shown.clone());
            let (mut pass, mut repeat) = (Pass::new(&self.means.live.snapshot()), false);
            // A pass that goes on ends first: a policy that changes again and again must not keep it from ending.
            while !(repeat && pass.ended) {
                tokio::select! {
                    event = events.next() => match event {
                        Some(event) => self.take(event, &mut pass).await,
                        None => return,
                    },
                    again = self.again.recv() => match again {
                        Some(Again::All) => repeat = true,
                        Some(Again::Namespace(name)) => self.namespace(&name).await,
                        None => return,
                    },
                }
            }
        }
    }

    fn kind(&self) -> &str {
        &self.served.gvk.kind
    }

    async fn take(&self, event: Event<Loose>, pass: &mut Pass) {
        match event {
            Event::Init => *pass = Pass::new(&self.means.live.snapshot()),
            Event::InitApply(object) => {
                if let Some(uid) = uid(&object.value) {
                    pass.seen.insert(uid.into());
                }
                self.means.metrics.progress(self.kind(), pass.seen.len());
                self.look(object.value).await;
            }
            Event::InitDone => {
                self.means.metrics.pass(self.kind(), pass.seen.len(), pass.began.elapsed());
                let (present, took) = (pass.seen.len(), pass.began.elapsed());
                tracing::debug!(kind = self.kind(), present, ?took, "every object was looked at");
                if self.is_pods() {
                    self.lock().complete(&pass.seen, &pass.exemptions);
                    self.means.used.notify_one();
                }
                let kind = group_kind(&self.served.gvk.group, self.kind());
                self.tell(Message::Listed(kind, std::mem::take(&mut pass.seen))).await;
                pass.ended = true;
            }
            Event::Apply(object) => self.look(object.value).await,
            Event::Delete(object) => {
                let Some(uid) = uid(&object.value) else { return };
                if self.is_pods() {
                    self.lock().remove(uid);
                    self.means.used.notify_one();
                }
                self.tell(Message::Gone(uid.to_owned())).await;
            }
        }
    }

    async fn look(&self, mut object: Value) {
        complete(&mut object, &self.served);
        let Means { live, rules, pace, metrics, outside, .. } = &self.means;
        if skips(&object, &self.served, &live.snapshot(), rules) {
            return;
        }
        // One that is not there any more, or is another by now, will be told of.
        let Some(others) = others(&self.means.client, &object, &self.others).await else { return };
        let snapshot = live.snapshot();
        let work = || {
            let asker = Asker::at_once(outside, Deadline::after(ASKED));
            let found = judge(&object, &self.served, &others, &snapshot, rules, &asker);
            (found, asker.missed())
        };
        let ((found, missed), spent) = pace.work(work).await;
        metrics.judged(self.kind(), spent);
        let found = if missed { self.wait(object, others, snapshot).await } else { found };
        let Some(found) = found else { return };
        if self.is_pods() {
            self.lock().put(&found.subject.uid, found.made, &found.uses);
            if !found.uses.is_empty() {
                self.means.used.notify_one();
            }
        }
        self.tell(Message::Scanned(Results { subject: found.subject, lines: found.lines })).await;
    }

    /// Judges an object about which something has to be asked, where that can be waited for.
    async fn wait(&self, object: Value, others: Vec<Other>, snapshot: Arc<Snapshot>) -> Option<Found> {
        let (outside, rules, served) =
            (self.means.outside.clone(), self.means.rules.clone(), self.served.clone());
        let task = tokio::task::spawn_blocking(move || {
            let asker = Asker::waiting(&outside, Deadline::after(ASKED), Handle::current());
            judge(&object, &served, &others, &snapshot, &rules, &asker)
        });
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an object could not be judged; the next pass tries again");
            None
        })
    }

    /// Looks at the objects of one namespace again. If that fails, the next pass does.
    async fn namespace(&self, name: &str) {
        if !self.served.namespaced {
            return;
        }
        let api = Watched::all(self.means.client.clone(), self.served.client_resource()).within(name).api();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let attempted = format!("list {} of namespace {name}", self.served.plural);
            let page = match api.list(&params).await.map_err(RequestError::of(attempted)) {
                Ok(page) => page,
                Err(error) => return tracing::warn!(%error, "its objects are looked at in the next pass"),
            };
            for object in page.items {
                self.look(object.value).await;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return,
            }
        }
    }

    fn is_pods(&self) -> bool {
        self.served.gvk.group.is_empty() && self.served.plural == "pods"
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Uses> {
        self.means.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, message: Message) {
        // Nobody listens any more: we end too.
        let _ = self.means.reports.send(message).await;
    }
}

fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}
