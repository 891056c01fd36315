//! Which kinds are looked at, and what their results depend on: a change of that, and only that, has them looked at
//! again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use meshward_policy::go::time::Moment;
use meshward_policy::kyverno::matching::{Gvk, KindSelector, Selector};
use meshward_policy::psa::{self, Labels};
use meshward_policy::wildcard;

use crate::admission::OWN_PREFIX;
use crate::hooks::{Api, Apis};
use crate::live::{LoadedPolicy, Snapshot};
use crate::report::group_kind;

/// What is looked at for Pod Security: pods, and what makes them. ReplicaSets and Jobs of CronJobs are made by others.
const WORKLOADS: &[(&str, &str)] = &[
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "DaemonSet"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("batch", "CronJob"),
    ("batch", "Job"),
];

/// What is never looked at, and which labels count.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Names of namespaces.
    pub never: Vec<String>,
    /// Which namespaces are looked at at all, by their labels; all if there is none.
    pub selector: Option<Selector>,
    /// Names of kinds, or patterns.
    pub exclude_kinds: Vec<String>,
    /// The prefixes of labels that ask for Pod Security.
    pub prefixes: Vec<&'static str>,
    /// What is asked of namespaces without labels, and who is exempt.
    pub standards: psa::Configuration,
}

impl Rules {
    /// Ours, and the API server's by switch.
    #[must_use]
    pub fn with_labels(mut self, api_server: bool) -> Self {
        self.prefixes = vec![OWN_PREFIX];
        if api_server {
            self.prefixes.push(psa::PREFIX);
        }
        self
    }

    /// Whether a namespace is not looked at; the empty name is that of objects of the cluster.
    pub(super) fn skips(&self, namespace: &str, snapshot: &Snapshot) -> bool {
        if self.never.iter().any(|name| name == namespace) {
            return true;
        }
        let labels = || {
            let found = snapshot.namespaces.get(namespace)?;
            found.pointer("/metadata/labels").cloned()
        };
        let selected = |selector: &Selector| selector.matches(&labels().unwrap_or_default());
        !namespace.is_empty() && !self.selector.as_ref().is_none_or(selected)
    }

    fn excludes(&self, kind: &str) -> bool {
        self.exclude_kinds.iter().any(|pattern| wildcard::matches(pattern, kind))
    }

    /// What the labels of a namespace ask for under a prefix.
    pub(super) fn asked(&self, labels: &dyn Labels, prefix: &str) -> psa::Policy {
        psa::Policy::from_labels(labels, &self.standards.defaults, prefix).0
    }
}

/// A kind that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The versions that something is about, the preferred ones first: a policy that names no version means the first, and
    /// one that names a version means that one.
    pub(crate) versions: Vec<Api>,
    /// The same as long as nothing changes that its results depend on.
    pub(crate) fingerprint: u64,
}

/// By group and kind.
pub(crate) type Plan = BTreeMap<String, Followed>;

/// Everything that is to be looked at.
pub(crate) fn plan(snapshot: &Snapshot, resources: &Apis, rules: &Rules, now: Moment) -> Plan {
    // The versions of each kind, by their places among the resources, which are the order of preference.
    let mut wanted: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let objects: Vec<&Api> = resources.objects().filter(|served| usable(served, rules)).collect();
    let mut want = |place: usize| {
        let gvk = &objects[place].gvk;
        wanted.entry(group_kind(&gvk.group, &gvk.kind)).or_default().insert(place);
    };
    let standards = asks_for_standards(snapshot, rules);
    for (group, kind) in WORKLOADS.iter().filter(|_| standards) {
        let named = |served: &&Api| served.gvk.group == *group && served.gvk.kind == *kind;
        objects.iter().position(named).into_iter().for_each(&mut want);
    }
    for policy in snapshot.policies.iter().filter(|policy| policy.policy.in_background()) {
        for selector in policy.policy.kinds().flatten().filter(|selector| selector.kind() != "*") {
            meant(&objects, selector).for_each(&mut want);
        }
    }
    let followed = wanted.into_iter().map(|(key, places)| {
        let versions: Vec<Api> = places.into_iter().map(|place| objects[place].clone()).collect();
        let fingerprint = fingerprint(snapshot, &versions[0], standards, now);
        (key, Followed { versions, fingerprint })
    });
    followed.collect()
}

fn usable(served: &Api, rules: &Rules) -> bool {
    served.watchable && !rules.excludes(&served.gvk.kind)
}

/// What a selector is about, each kind in the first version that it is about.
fn meant(objects: &[&Api], selector: &KindSelector) -> impl Iterator<Item = usize> {
    let matches = |place: &usize| selector.matches(&objects[*place].gvk, "");
    let first = move |place: &usize| {
        let Gvk { group, kind, .. } = &objects[*place].gvk;
        let same = |other: &usize| objects[*other].gvk.group == *group && objects[*other].gvk.kind == *kind;
        !(0..*place).any(|other| same(&other) && matches(&other))
    };
    (0..objects.len()).filter(matches).filter(first)
}

/// Whether a namespace asks for Pod Security.
fn asks_for_standards(snapshot: &Snapshot, rules: &Rules) -> bool {
    let looked_at = snapshot.namespaces.iter().filter(|(name, _)| !rules.skips(name, snapshot));
    let mut asked = looked_at.flat_map(|(_, namespace)| {
        rules.prefixes.iter().map(move |prefix| rules.asked(&**namespace, prefix))
    });
    asked.any(|policy| !policy.fully_privileged())
}

/// Policies that can be asked about an object of a kind that is there already.
pub(super) fn background<'s>(snapshot: &'s Snapshot, served: &Api) -> impl Iterator<Item = &'s LoadedPolicy> {
    let all = snapshot.policies.about(&served.gvk).map(|policy| &**policy);
    all.filter(|policy| policy.policy.in_background())
}

/// Policies about a kind are those about each version of it.
fn fingerprint(snapshot: &Snapshot, served: &Api, standards: bool, now: Moment) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut keys = Vec::new();
    for policy in background(snapshot, served) {
        let key = policy.policy.key();
        (&key, &policy.origin.uid, policy.origin.generation).hash(&mut hasher);
        policy.annotations.to_string().hash(&mut hasher);
        keys.push(key);
    }
    let exceptions = snapshot.exceptions.values().iter().zip(snapshot.exceptions.origins());
    for (exception, origin) in exceptions.filter(|(exception, _)| exception.in_background()) {
        if exception.rules().iter().any(|(policy, _)| keys.contains(&policy.as_str())) {
            (exception.key(), &origin.uid, origin.generation).hash(&mut hasher);
        }
    }
    let workload = WORKLOADS.contains(&(&served.gvk.group, &served.gvk.kind));
    (standards && workload).hash(&mut hasher);
    if standards && workload {
        for (exemption, origin) in snapshot.exemptions.values().iter().zip(snapshot.exemptions.origins()) {
            (&origin.kind, exemption.key(), &origin.uid, origin.generation).hash(&mut hasher);
            exemption.expired(now).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The labels of each namespace, hashed: whoever changes them changes what policies say about what is in it.
pub(super) fn labels(snapshot: &Snapshot, rules: &Rules) -> BTreeMap<String, u64> {
    let all = snapshot.namespaces.iter().filter(|(name, _)| !rules.skips(name, snapshot));
    all.map(|(name, namespace)| {
        let mut hasher = DefaultHasher::new();
        let labels = namespace.pointer("/metadata/labels").map(ToString::to_string);
        labels.unwrap_or_default().hash(&mut hasher);
        (name.to_owned(), hasher.finish())
    })
    .collect()
}

#[cfg(test)]
mod tests;
