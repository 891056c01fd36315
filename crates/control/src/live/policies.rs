//! Kyverno's policies as they are in force. One that cannot be used keeps its last good version and is told; it never
//! stands in the way of the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meshward_policy::kyverno::matching::{Gvk, KindSelector};
use meshward_policy::kyverno::policy::{Policy, PolicyError};
use meshward_policy::wildcard;
use serde_json::Value;

use super::Origin;
use crate::admission::Group;

/// A policy in force.
#[derive(Debug)]
pub struct LoadedPolicy {
    /// The object. Of a policy whose present version cannot be used, the last one that could.
    pub origin: Arc<Origin>,
    /// The policy.
    pub policy: Policy,
    /// Which webhook asks it.
    pub group: Group,
    /// Annotations: severity, category and title are shown in reports.
    pub annotations: Value,
    /// Whether its last evaluation took long or waited, or there was none yet: the next one is kept off the threads that
    /// serve requests.
    slow: AtomicBool,
}

impl LoadedPolicy {
    /// Whether its next evaluation may take long.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Notes how an evaluation went.
    pub fn took(&self, long: bool) {
        // Every thread looks at this before each evaluation: a write would take it out of the others' caches.
        if self.is_slow() != long {
            self.slow.store(long, Ordering::Relaxed);
        }
    }
}

/// A version of a policy that cannot be used.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The object.
    pub origin: Arc<Origin>,
    /// Everything that is wrong with it.
    pub errors: Vec<PolicyError>,
    /// Whether an earlier version stays in force.
    pub earlier: bool,
}

/// All policies, and which of them can be about an object of a kind.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    by_key: HashMap<String, Arc<LoadedPolicy>>,
    broken: HashMap<String, Broken>,
    /// By kind; policies that name kinds with wildcards are in `any`.
    by_kind: HashMap<String, Vec<Arc<LoadedPolicy>>>,
    any: Vec<Arc<LoadedPolicy>>,
}

impl PolicySet {
    /// Those that can be about an object of a kind, in the order of their names.
    pub fn about(&self, gvk: &Gvk) -> impl Iterator<Item = &Arc<LoadedPolicy>> {
        let named = self.by_kind.get(&gvk.kind).map(Vec::as_slice).unwrap_or_default();
        named.iter().chain(&self.any)
    }

    /// The one in force of a key ([`Origin::key`]).
    pub fn get(&self, key: &str) -> Option<&Arc<LoadedPolicy>> {
        self.by_key.get(key)
    }

    /// All that are in force, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<LoadedPolicy>> {
        self.by_key.values()
    }

    /// The versions that cannot be used.
    pub fn broken(&self) -> impl Iterator<Item = &Broken> {
        self.broken.values()
    }

    /// Puts in a policy's present version.
    pub(super) fn set(&mut self, object: &Value) {
        let origin = Arc::new(Origin::of(object));
        let key = origin.key();
        match Policy::compile_for_webhook(object) {
            Ok(policy) => {
                self.broken.remove(&key);
                let annotations = object.pointer("/metadata/annotations").cloned().unwrap_or_default();
                let (group, slow) = (Group::of(policy.settings()), AtomicBool::new(true));
                self.by_key.insert(key, Arc::new(LoadedPolicy { origin, policy, group, annotations, slow }));
            }
            Err(errors) => {
                let earlier = self.by_key.contains_key(&key);
                self.broken.insert(key, Broken { origin, errors, earlier });
            }
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, origin: &Origin) {
        let key = origin.key();
        self.by_key.remove(&key);
        self.broken.remove(&key);
    }

    /// Takes out those of a kind whose key `kept` does not hold.
    pub(super) fn retain(&mut self, kind: &str, kept: impl Fn(&str) -> bool) {
        self.by_key.retain(|key, loaded| loaded.origin.kind != kind || kept(key));
        self.broken.retain(|key, broken| broken.origin.kind != kind || kept(key));
    }

    /// Makes the index again, after changes.
    pub(super) fn index(&mut self) {
        self.by_kind.clear();
        self.any.clear();
        let mut all: Vec<&Arc<LoadedPolicy>> = self.by_key.values().collect();
        all.sort_by_key(|loaded| loaded.origin.key());
        for loaded in all {
            let every = loaded.policy.kinds().any(<[_]>::is_empty);
            let mut kinds: Vec<&str> = loaded.policy.kinds().flatten().map(KindSelector::kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            if every || kinds.iter().any(|kind| wildcard::is_pattern(kind)) {
                self.any.push(loaded.clone());
                continue;
            }
            for kind in kinds {
                self.by_kind.entry(kind.to_owned()).or_default().push(loaded.clone());
            }
        }
    }
}
