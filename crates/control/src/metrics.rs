//! What is counted about admission, in our names and, by switch, in those that dashboards of Kyverno and of Pod Security
//! Admission ask for. Names of policies come from users: no metric grows beyond a bound, what is above it is counted
//! together.

mod compat;

use std::fmt::{self, Write};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use meshward_policy::kyverno::policy::{Action, RuleReport, RuleResult};
use meshward_policy::psa::Record;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::live::{LoadedPolicy, Origin};
use crate::review::Request;
use compat::Compat;

/// Label sets of one metric.
const MOST: usize = 5000;
/// What stands for names above the bound.
const OTHER: &str = "other";
/// Seconds. A policy decides in a fraction of a millisecond, one that asks the API server in some.
const BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0];

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Refused.
    Refused,
    /// Allowed although it could not be checked.
    AllowedByFault,
    /// Refused because it could not be checked.
    RefusedByFault,
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Decision::Allowed => "allowed",
            Decision::Refused => "refused",
            Decision::AllowedByFault => "allowed_by_fault",
            Decision::RefusedByFault => "refused_by_fault",
        }
    }

    fn allows(self) -> bool {
        matches!(self, Decision::Allowed | Decision::AllowedByFault)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    webhook: &'static str,
    operation: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    policy: Name,
    rule: Name,
    action: &'static str,
    outcome: &'static str,
}

/// A name that many label sets have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(Arc<str>);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabels {
    kind: String,
    exemption: String,
    check: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
}

/// A family that grows up to [`MOST`] label sets.
#[derive(Debug, Clone)]
struct Bounded<L> {
    family: Family<L, Counter>,
    size: Arc<AtomicUsize>,
}

impl<L: Clone + Eq + Hash> Default for Bounded<L> {
    fn default() -> Self {
        Self { family: Family::default(), size: Arc::default() }
    }
}

impl<L: Clone + Eq + Hash> Bounded<L> {
    /// Counts `labels`, or `others` where there is no room for more.
    fn count(&self, labels: L, others: impl FnOnce(L) -> L) {
        if let Some(counter) = self.family.get(&labels) {
            counter.inc();
            return;
        }
        let labels = if self.size.fetch_add(1, Ordering::Relaxed) < MOST {
            labels
        } else {
            self.size.fetch_sub(1, Ordering::Relaxed);
            others(labels)
        };
        self.family.get_or_create(&labels).inc();
    }
}

/// The counts. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    duration: Family<ReviewLabels, Histogram, fn() -> Histogram>,
    results: Bounded<ResultLabels>,
    uses: Bounded<UseLabels>,
    errors: Family<ErrorLabels, Counter>,
    panics: Counter,
    dropped: Counter,
    compat: Option<Arc<Compat>>,
}

impl Metrics {
    /// Everything at zero; with Kyverno's and Pod Security Admission's names as well if that is wanted.
    pub fn new(compat: bool) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            duration: Family::new_with_constructor(histogram),
            results: Bounded::default(),
            uses: Bounded::default(),
            errors: Family::default(),
            panics: Counter::default(),
            dropped: Counter::default(),
            compat: compat.then(Arc::default),
        }
    }

    /// Puts them into a registry without a prefix.
    pub fn register(&self, root: &mut Registry) {
        if let Some(compat) = &self.compat {
            compat.register(root);
        }
        let ours = root.sub_registry_with_prefix("meshward");
        ours.register_with_unit(
            "admission_duration",
            "Time from a review's headers to its answer",
            Unit::Seconds,
            self.duration.clone(),
        );
        ours.register("policy_results", "What rules said about requests", self.results.family.clone());
        ours.register(
            "exemption_uses",
            "Findings that exemptions took out of requests",
            self.uses.family.clone(),
        );
        ours.register("review_errors", "Reviews that could not be read or decided", self.errors.clone());
        ours.register("evaluation_panics", "Evaluations that panicked, each caught", self.panics.clone());
        ours.register("observations_dropped", "Observations that nobody could take", self.dropped.clone());
    }

    /// Counts an answer.
    pub fn reviewed(&self, webhook: &'static str, decision: Decision, request: &Request<'_>, took: Duration) {
        let operation = operation(&request.operation);
        let labels = ReviewLabels { webhook, operation, decision: decision.as_str() };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
        if let Some(compat) = &self.compat {
            compat.reviewed(decision.allows(), request, operation, took);
        }
    }

    /// Counts what a policy's rules said.
    pub fn policy_results(
        &self,
        loaded: &LoadedPolicy,
        rules: &[(RuleReport, Action)],
        request: &Request<'_>,
    ) {
        for (report, action) in rules {
            let RuleResult { policy, rule, status, .. } = &report.result;
            let (policy, rule) = (Name(policy.clone()), Name(rule.clone()));
            let labels = ResultLabels { policy, rule, action: action.as_str(), outcome: status.as_str() };
            let others =
                |labels| ResultLabels { policy: Name(OTHER.into()), rule: Name(OTHER.into()), ..labels };
            self.results.count(labels, others);
            if let Some(compat) = &self.compat {
                compat.result(loaded, (report, *action), request, operation(&request.operation));
            }
        }
    }

    /// Counts a finding that an exemption took out.
    pub fn exemption_used(&self, exemption: &Origin, check: &'static str) {
        let labels = UseLabels { kind: exemption.kind.clone(), exemption: exemption.key(), check };
        self.uses.count(labels, |labels| UseLabels { exemption: OTHER.into(), ..labels });
    }

    /// Counts what Pod Security Admission counts, in its names.
    pub fn pod_security(&self, records: &[Record], request: &Request<'_>) {
        if let Some(compat) = &self.compat {
            compat.pod_security(records, request, operation(&request.operation));
        }
    }

    /// Counts a review that could not be read or decided.
    pub fn review_error(&self, kind: &'static str) {
        self.errors.get_or_create(&ErrorLabels { kind }).inc();
    }

    /// Counts a panic that was caught.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts an observation that found no room.
    pub fn observation_dropped(&self) {
        self.dropped.inc();
    }
}

/// The operation as a label; what the API server does not know cannot make new ones.
fn operation(text: &str) -> &'static str {
    match text {
        "CREATE" => "create",
        "UPDATE" => "update",
        "DELETE" => "delete",
        "CONNECT" => "connect",
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_does_not_grow_without_end() {
        let uses = Bounded::<UseLabels>::default();
        let labels =
            |name: String| UseLabels { kind: "Exemption".into(), exemption: name, check: "privileged" };
        for number in 0..MOST + 10 {
            uses.count(labels(number.to_string()), |labels| UseLabels { exemption: OTHER.into(), ..labels });
        }
        uses.count(labels("1".into()), |labels| labels);
        let count = |name: &str| uses.family.get(&labels(name.to_owned())).map(|counter| counter.get());
        assert_eq!((count("1"), count(OTHER), count(&MOST.to_string())), (Some(2), Some(10), None));
    }
}
