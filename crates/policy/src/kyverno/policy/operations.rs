//! Which requests a policy can be about: what an API server has to send to whoever enforces it. A request that is not
//! sent costs nothing, and one that is wrongly not sent is a hole; so what cannot be told here counts as "can be".

use super::{Body, Check, Policy, Rule};
use crate::kyverno::matching::{Gvk, KindSelector, Operations};
use crate::wildcard;
use std::collections::BTreeSet;

impl Policy {
    /// The operations on objects of a kind, or on a subresource of them, that a rule can be about. `gvk` is that of the
    /// object, also for subresources.
    pub fn operations(&self, gvk: &Gvk, subresource: &str) -> Operations {
        let generated = if gvk.kind == "CronJob" { &self.cron_jobs } else { &self.controllers };
        let rules = self.rules.iter().chain(generated);
        rules.fold(Operations::NONE, |all, rule| all.or(rule.operations(gvk, subresource)))
    }

    /// The namespace of a Policy; none for a ClusterPolicy.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The only namespaces whose objects it can be about: that of a Policy; of a ClusterPolicy those that every rule names
    /// in full. `None` if there is no such bound, also because it can be about objects of the cluster.
    pub fn namespaces(&self) -> Option<BTreeSet<&str>> {
        if let Some(namespace) = self.namespace() {
            return Some(BTreeSet::from([namespace]));
        }
        // A namespace counts as an object of the namespace that it is, and its labels are not those of another one.
        let is_namespace = |kind: &KindSelector| wildcard::matches(kind.kind(), "Namespace");
        if self.rules.is_empty()
            || self.kinds().any(|kinds| kinds.is_empty() || kinds.iter().any(is_namespace))
        {
            return None;
        }
        let all: Option<Vec<BTreeSet<&str>>> =
            self.all_rules().map(|rule| rule.matching.namespaces()).collect();
        Some(all?.into_iter().flatten().collect())
    }
}

impl Rule {
    fn operations(&self, gvk: &Gvk, subresource: &str) -> Operations {
        let matched = self.matching.operations(gvk, subresource);
        let excluded = self.exclude.as_ref().map(|block| block.excluded_operations(gvk, subresource));
        matched.without(excluded.unwrap_or_default()).and(self.body.operations())
    }
}

impl Body {
    /// Nothing has to be as it should be in order to be deleted.
    fn operations(&self) -> Operations {
        match self {
            Body::PodSecurity(_) | Body::Check(Check::Pattern(_) | Check::AnyPattern(_)) => {
                Operations::NO_DELETE
            }
            Body::Check(Check::Deny(_) | Check::ForEach(_)) => Operations::ALL,
        }
    }
}
