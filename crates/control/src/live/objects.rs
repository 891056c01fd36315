//! The watches of policies, exceptions and exemptions: as long as the cluster defines a kind, its objects are followed.

use std::collections::HashSet;
use std::sync::Arc;

use kube::Client;
use meshward_kit::admin::{Condition, Readiness};
use meshward_kit::watch::{Event, Watched, resource};
use meshward_policy::exemption::Exemption;
use meshward_policy::kyverno::policy::Exception;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::definitions::Definitions;
use super::{Live, Origin, Snapshot};
use crate::roles;

/// A kind of object that decides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its group.
    pub group: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its plural, and the name of its condition.
    pub plural: &'static str,
    /// The versions that can be read, the best first.
    pub versions: &'static [&'static str],
}

const KYVERNO: &str = "kyverno.io";

const fn ours(kind: &'static str, plural: &'static str) -> Kind {
    Kind { group: meshward_policy::exemption::GROUP, kind, plural, versions: &["v1alpha1"] }
}

/// Every kind that is followed.
pub const KINDS: &[Kind] = &[
    Kind { group: KYVERNO, kind: "ClusterPolicy", plural: "clusterpolicies", versions: &["v1", "v2beta1"] },
    Kind { group: KYVERNO, kind: "Policy", plural: "policies", versions: &["v1", "v2beta1"] },
    Kind {
        group: KYVERNO,
        kind: "PolicyException",
        plural: "policyexceptions",
        versions: &["v2", "v2beta1"],
    },
    ours("Exemption", "exemptions"),
    ours("ClusterExemption", "clusterexemptions"),
    ours("MeshPreset", "meshpresets"),
];

/// Which namespaces' exceptions count (Kyverno's `--exceptionNamespace`): elsewhere whoever may write one could let
/// himself off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Granting(Vec<String>);

impl Granting {
    /// Names, or `*` for all; none: no exception counts.
    pub fn new(namespaces: Vec<String>) -> Self {
        Self(namespaces)
    }

    /// Whether exceptions of a namespace count.
    pub fn by(&self, namespace: &str) -> bool {
        self.0.iter().any(|granting| granting == "*" || granting == namespace)
    }

    /// Why exceptions of a namespace do not count, if they do not.
    pub fn refuses(&self, namespace: &str) -> Option<String> {
        let accepted = match self.namespaces() {
            [] => "none; see --exception-namespaces".to_owned(),
            some => some.join(", "),
        };
        let refused = || format!("exceptions of {namespace:?} do not count, accepted: {accepted}");
        (!self.by(namespace)).then(refused)
    }

    /// As it was given.
    pub fn namespaces(&self) -> &[String] {
        &self.0
    }
}

/// What every watch of objects works with.
#[derive(Clone)]
pub struct Objects {
    /// Asks the API server.
    pub client: Client,
    /// Where it goes.
    pub live: Live,
    /// What the cluster defines.
    pub definitions: watch::Receiver<Option<Definitions>>,
    /// Whose exceptions count.
    pub granting: Granting,
}

impl Objects {
    /// Keeps the objects of a kind as the API server has them, until `token` is cancelled.
    pub async fn watch(self, kind: Kind, readiness: Readiness, token: CancellationToken) {
        let shown = readiness.require_at_first(kind.plural, "waiting for the API server to list them");
        token.run_until_cancelled(self.follow(kind, shown)).await;
    }

    async fn follow(mut self, kind: Kind, shown: Condition) {
        let name = format!("{}.{}", kind.plural, kind.group);
        loop {
            let served = {
                let Ok(all) = self.definitions.wait_for(Option::is_some).await else { return };
                let versions = all.as_ref().and_then(|all| all.get(&name)).cloned().unwrap_or_default();
                kind.versions.iter().find(|version| versions.iter().any(|served| served == *version)).copied()
            };
            let changed = changed(self.definitions.clone(), name.clone());
            let Some(version) = served else {
                self.live.change(|snapshot| replace(kind, snapshot, &[], &self.granting));
                shown.hold();
                if !changed.await {
                    return;
                }
                continue;
            };
            let watched =
                Watched::all(self.client.clone(), resource(kind.group, version, kind.kind, kind.plural));
            let (mut events, mut list) = (watched.follow(shown.clone()), Vec::new());
            let mut changed = std::pin::pin!(changed);
            loop {
                tokio::select! {
                    event = events.next() => match event {
                        Some(event) => self.take(kind, event, &mut list),
                        None => return,
                    },
                    more = &mut changed => match more {
                        true => break,
                        false => return,
                    },
                }
            }
        }
    }

    fn take(&self, kind: Kind, event: Event<meshward_kit::watch::Loose>, list: &mut Vec<Value>) {
        match event {
            Event::Init => list.clear(),
            Event::InitApply(object) => list.push(object.value),
            Event::InitDone => {
                let all = std::mem::take(list);
                self.live.change(|snapshot| replace(kind, snapshot, &all, &self.granting));
            }
            Event::Apply(object) => {
                self.live.change(|snapshot| {
                    set(kind, snapshot, &object.value, &self.granting);
                    arrange(kind, snapshot);
                });
            }
            Event::Delete(object) => self.live.change(|snapshot| remove(kind, snapshot, &object.value)),
        }
    }
}

impl Snapshot {
    /// What is in force when these are all the objects there are, namespaces among them; others are passed over.
    pub fn of<'o>(objects: impl IntoIterator<Item = &'o Value>, granting: &Granting) -> Self {
        let mut snapshot = Self::default();
        for object in objects {
            let origin = Origin::of(object);
            let group = origin.api_version.split('/').next().unwrap_or_default();
            let of = |kind: &&Kind| kind.group == group && kind.kind == origin.kind;
            if (origin.api_version.as_str(), origin.kind.as_str()) == ("v1", "Namespace") {
                Arc::make_mut(&mut snapshot.namespaces).insert(object);
            } else if let Some(kind) = KINDS.iter().find(of) {
                set(*kind, &mut snapshot, object, granting);
            }
        }
        KINDS.iter().for_each(|kind| arrange(*kind, &mut snapshot));
        snapshot
    }
}

/// Makes `all` the objects of a kind.
fn replace(kind: Kind, snapshot: &mut Snapshot, all: &[Value], granting: &Granting) {
    let keys: HashSet<String> = all.iter().map(|object| Origin::of(object).key()).collect();
    let kept = |key: &str| keys.contains(key);
    match (kind.group, kind.kind) {
        (KYVERNO, "PolicyException") => Arc::make_mut(&mut snapshot.exceptions).retain(kind.kind, kept),
        (KYVERNO, of) => Arc::make_mut(&mut snapshot.policies).retain(of, kept),
        _ => Arc::make_mut(&mut snapshot.exemptions).retain(kind.kind, kept),
    }
    Arc::make_mut(&mut snapshot.asking_roles).retain(|(of, key)| of != kind.kind || kept(key));
    for object in all {
        set(kind, snapshot, object, granting);
    }
    arrange(kind, snapshot);
    snapshot.has(kind.plural);
}

/// Puts in an object's present version. Call [`arrange`] when all are in.
fn set(kind: Kind, snapshot: &mut Snapshot, object: &Value, granting: &Granting) {
    match (kind.group, kind.kind) {
        (KYVERNO, "PolicyException") => {
            let read = exception(object, granting);
            Arc::make_mut(&mut snapshot.exceptions).set(object, read);
            ask_roles(kind, snapshot, object);
        }
        (KYVERNO, _) => {
            Arc::make_mut(&mut snapshot.policies).set(object);
            ask_roles(kind, snapshot, object);
        }
        _ => {
            let read =
                Exemption::parse(object).map_err(|errors| errors.iter().map(ToString::to_string).collect());
            Arc::make_mut(&mut snapshot.exemptions).set(object, read);
        }
    }
}

/// A version that cannot be used counts as well: an earlier one that asked may be in force.
fn ask_roles(kind: Kind, snapshot: &mut Snapshot, object: &Value) {
    let place = (kind.kind.to_owned(), Origin::of(object).key());
    if roles::are_asked(object.get("spec").unwrap_or(&Value::Null)) {
        Arc::make_mut(&mut snapshot.asking_roles).insert(place);
    } else if snapshot.asking_roles.contains(&place) && !broken(snapshot, &place.1) {
        Arc::make_mut(&mut snapshot.asking_roles).remove(&place);
    }
}

fn broken(snapshot: &Snapshot, key: &str) -> bool {
    snapshot.policies.broken().any(|broken| broken.earlier && broken.origin.key() == key)
}

fn exception(object: &Value, granting: &Granting) -> Result<Exception, Vec<String>> {
    let namespace = Origin::of(object).namespace;
    if let Some(why) = granting.refuses(&namespace) {
        return Err(vec![format!("metadata.namespace: {why}")]);
    }
    Exception::parse(object).map_err(|error| vec![error.to_string()])
}

fn remove(kind: Kind, snapshot: &mut Snapshot, object: &Value) {
    let origin = Origin::of(object);
    match (kind.group, kind.kind) {
        (KYVERNO, "PolicyException") => Arc::make_mut(&mut snapshot.exceptions).remove(&origin),
        (KYVERNO, _) => Arc::make_mut(&mut snapshot.policies).remove(&origin),
        _ => Arc::make_mut(&mut snapshot.exemptions).remove(&origin),
    }
    Arc::make_mut(&mut snapshot.asking_roles).remove(&(kind.kind.to_owned(), origin.key()));
    arrange(kind, snapshot);
}

fn arrange(kind: Kind, snapshot: &mut Snapshot) {
    match (kind.group, kind.kind) {
        (KYVERNO, "PolicyException") => Arc::make_mut(&mut snapshot.exceptions).arrange(),
        (KYVERNO, _) => Arc::make_mut(&mut snapshot.policies).index(),
        _ => Arc::make_mut(&mut snapshot.exemptions).arrange(),
    }
}

/// Ends with true when the versions of a definition are others; with false when nobody tells any more.
async fn changed(mut definitions: watch::Receiver<Option<Definitions>>, name: String) -> bool {
    let of = |all: &Option<Definitions>| all.as_ref().and_then(|all| all.get(&name)).cloned();
    let now = of(&definitions.borrow_and_update());
    definitions.wait_for(|all| of(all) != now).await.is_ok()
}
