//! From what policies can be about to what the API server sends.

use std::collections::{BTreeMap, BTreeSet};

use meshward_policy::kyverno::matching::Operations;
use meshward_policy::kyverno::policy::Policy;
use serde_json::{Value, json};

use super::apis::{Api, Apis};

/// Resources of one version of a group, of one scope, of which the same operations are sent.
type Key = (Operations, bool, String, String);

/// What is sent, by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sent(BTreeMap<(String, String, String, bool), Operations>);

impl Sent {
    /// Everything that one of the policies can be about.
    ///
    /// A kind without a version means the version that clients are told to use: requests in others come converted
    /// (`matchPolicy: Equivalent`). A version that a policy names comes as it is.
    pub(super) fn of<'p>(
        policies: impl Iterator<Item = &'p Policy> + Clone,
        apis: &Apis,
        excluded: &[String],
    ) -> Self {
        let is_excluded = |api: &Api| excluded.iter().any(|kind| *kind == api.gvk.kind || *kind == api.kind);
        let mut sent = Self::default();
        for api in apis.iter().filter(|api| !is_excluded(api)) {
            let preferred = (!api.preferred).then(|| {
                let same = |other: &&Api| {
                    other.preferred
                        && other.gvk.group == api.gvk.group
                        && other.plural == api.plural
                        && other.subresource == api.subresource
                };
                apis.iter().find(same).map(|other| &other.gvk)
            });
            for policy in policies.clone() {
                let asked = policy.operations(&api.gvk, &api.subresource);
                let covered = match preferred.flatten() {
                    Some(gvk) => policy.operations(gvk, &api.subresource),
                    None => Operations::NONE,
                };
                sent.add(api, asked.without(covered).and(api.operations));
            }
        }
        sent
    }

    pub(super) fn add(&mut self, api: &Api, operations: Operations) {
        if operations.is_empty() {
            return;
        }
        let key = (api.gvk.group.clone(), api.gvk.version.clone(), api.resource(), api.namespaced);
        let entry = self.0.entry(key).or_default();
        *entry = entry.or(operations);
    }

    /// What is sent here and not there, in namespaces only: what is about some namespaces sees nothing of the cluster's.
    pub(super) fn beyond(mut self, other: &Self) -> Self {
        self.0.retain(|key, operations| {
            *operations = operations.without(other.0.get(key).copied().unwrap_or_default());
            key.3 && !operations.is_empty()
        });
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules of a webhook, in an order that does not change.
    pub(super) fn rules(&self) -> Value {
        let mut grouped: BTreeMap<Key, BTreeSet<&str>> = BTreeMap::new();
        for ((group, version, resource, namespaced), operations) in &self.0 {
            let key = (*operations, *namespaced, group.clone(), version.clone());
            grouped.entry(key).or_default().insert(resource);
        }
        let rules = grouped.into_iter().map(|((operations, namespaced, group, version), resources)| {
            let names: Vec<&str> = operations.names().collect();
            let scope = if namespaced { "Namespaced" } else { "Cluster" };
            rule(&group, &version, &names, resources, scope)
        });
        rules.collect()
    }
}

/// One rule.
pub(super) fn rule<'r>(
    group: &str,
    version: &str,
    operations: &[&str],
    resources: impl IntoIterator<Item = &'r str>,
    scope: &str,
) -> Value {
    let resources: Vec<&str> = resources.into_iter().collect();
    json!({
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": operations,
        "resources": resources,
        "scope": scope,
    })
}
