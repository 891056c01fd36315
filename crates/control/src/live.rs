//! What is in force, as one immutable value: requests and the scan read a [`Snapshot`] and never wait for a lock, and
//! whatever a watch brings makes the next one.
//!
//! ```text
//! watch of policies, exceptions, exemptions, namespaces ─► Live::change ─► ArcSwap<Snapshot> ─► readers
//!                                                                  └─► generation (watch channel) ─► hooks, scan
//! ```

mod catalog;
mod definitions;
mod namespaces;
mod objects;
mod policies;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::watch;

pub use catalog::{Catalog, Entry};
pub use definitions::{Definitions, watch_definitions};
pub use namespaces::{Namespaces, watch_namespaces};
pub use objects::{Granting, KINDS, Kind, Objects};
pub use policies::{Broken, LoadedPolicy, PolicySet};

use meshward_policy::exemption::Exemption;
use meshward_policy::kyverno::policy::Exception;

/// Which object of the API something was made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Origin {
    /// As the object names it, such as `kyverno.io/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// `metadata.generation`: what a status has seen.
    pub generation: i64,
}

impl Origin {
    /// Reads it from an object. What is missing is empty.
    pub fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
        }
    }

    /// The name; with the namespace and a slash before it where there is one.
    pub fn key(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

/// Everything that decides about objects.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Kyverno's policies.
    pub policies: Arc<PolicySet>,
    /// Kyverno's exceptions, those that may be granted.
    pub exceptions: Arc<Catalog<Exception>>,
    /// Our exemptions and presets.
    pub exemptions: Arc<Catalog<Exemption>>,
    /// Every namespace.
    pub namespaces: Arc<Namespaces>,
    /// Policies and exceptions that ask for the roles of users, by kind and key.
    pub asking_roles: Arc<BTreeSet<(String, String)>>,
    /// What was listed at least once, by plural: before that, what is not here may well be in force.
    pub listed: Arc<BTreeSet<&'static str>>,
}

impl Snapshot {
    /// Notes that a list is in.
    fn has(&mut self, plural: &'static str) {
        if !self.listed.contains(plural) {
            Arc::make_mut(&mut self.listed).insert(plural);
        }
    }

    /// Whether everything is in that decides about objects.
    pub fn is_whole(&self) -> bool {
        let mut needed = KINDS.iter().map(|kind| kind.plural).chain([NAMESPACES]);
        needed.all(|plural| self.listed.contains(plural))
    }
}

const NAMESPACES: &str = "namespaces";

/// The snapshot in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    /// One writer at a time, or the change of one watch would undo another's.
    writer: Mutex<()>,
    generation: watch::Sender<u64>,
}

impl Default for Live {
    fn default() -> Self {
        Self(Arc::new(Shared {
            snapshot: ArcSwap::default(),
            writer: Mutex::new(()),
            generation: watch::Sender::new(0),
        }))
    }
}

impl Live {
    /// The snapshot as it is now; it stays as it is for whoever holds it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Makes the next snapshot. The parts that `edit` does not replace are shared with the last one.
    pub fn change(&self, edit: impl FnOnce(&mut Snapshot)) {
        let _one = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.0.snapshot.load());
        edit(&mut next);
        self.0.snapshot.store(Arc::new(next));
        self.0.generation.send_modify(|generation| *generation += 1);
    }

    /// Ends when everything is in: whoever answered requests before that would let through what a policy forbids that
    /// was not read yet.
    pub async fn whole(&self) {
        let mut changes = self.changes();
        while !self.snapshot().is_whole() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells of every change, by a number that grows.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.generation.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whole_when_every_kind_was_listed() {
        let live = Live::default();
        for kind in KINDS {
            live.change(|snapshot| snapshot.has(kind.plural));
        }
        assert!(!live.snapshot().is_whole());
        let waiting = tokio::spawn({
            let live = live.clone();
            async move { live.whole().await }
        });
        live.change(|snapshot| snapshot.has(NAMESPACES));
        waiting.await.unwrap();
    }
}
