//! The same counts under the names and labels of Kyverno 1.19 (`pkg/metrics/admission.go`, `policy_engine.go`) and of
//! k8s.io/pod-security-admission (`metrics/metrics.go`), so that dashboards and alerts go on after a switch.

use std::time::Duration;

use meshward_policy::kyverno::policy::{Action, RuleReport};
use meshward_policy::psa::{Decision, Record};
use meshward_policy::pss::{LevelVersion, NEWEST, Version};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{Bounded, OTHER};
use crate::live::LoadedPolicy;
use crate::review::Request;

/// The default buckets of the library that Kyverno measures with.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    resource_kind: String,
    resource_namespace: String,
    resource_request_operation: &'static str,
    request_allowed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    resource_kind: String,
    resource_request_operation: &'static str,
    request_allowed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    policy_validation_mode: &'static str,
    policy_type: &'static str,
    policy_background_mode: &'static str,
    policy_namespace: String,
    policy_name: String,
    resource_kind: String,
    resource_namespace: String,
    resource_request_operation: &'static str,
    rule_name: String,
    rule_result: &'static str,
    rule_type: &'static str,
    rule_execution_cause: &'static str,
    dry_run: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvaluationLabels {
    decision: &'static str,
    policy_level: &'static str,
    policy_version: String,
    mode: &'static str,
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExemptionLabels {
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    fatal: &'static str,
    request_operation: &'static str,
    resource: &'static str,
    subresource: String,
}

#[derive(Debug)]
pub(super) struct Compat {
    requests: Bounded<RequestLabels>,
    duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
    results: Bounded<ResultLabels>,
    evaluations: Bounded<EvaluationLabels>,
    exemptions: Bounded<ExemptionLabels>,
    errors: Bounded<ErrorLabels>,
}

impl Default for Compat {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            requests: Bounded::default(),
            duration: Family::new_with_constructor(histogram),
            results: Bounded::default(),
            evaluations: Bounded::default(),
            exemptions: Bounded::default(),
            errors: Bounded::default(),
        }
    }
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

impl Compat {
    pub(super) fn register(&self, root: &mut Registry) {
        let requests = "Admission requests, as Kyverno counts them";
        root.register("kyverno_admission_requests", requests, self.requests.family.clone());
        let duration = "Time of admission reviews, as Kyverno measures it";
        root.register_with_unit(
            "kyverno_admission_review_duration",
            duration,
            Unit::Seconds,
            self.duration.clone(),
        );
        let results = "Results of rules, as Kyverno counts them";
        root.register("kyverno_policy_results", results, self.results.family.clone());
        let evaluations = "Policy evaluations, as Pod Security Admission counts them";
        root.register("pod_security_evaluations", evaluations, self.evaluations.family.clone());
        let exemptions = "Exempt requests, as Pod Security Admission counts them";
        root.register("pod_security_exemptions", exemptions, self.exemptions.family.clone());
        let errors = "Errors that kept policies from being evaluated, as Pod Security Admission counts them";
        root.register("pod_security_errors", errors, self.errors.family.clone());
    }

    pub(super) fn reviewed(
        &self,
        allowed: bool,
        request: &Request<'_>,
        operation: &'static str,
        took: Duration,
    ) {
        let resource_kind = request.kind.kind.clone();
        let labels = RequestLabels {
            resource_kind: resource_kind.clone(),
            resource_namespace: request.namespace.to_string(),
            resource_request_operation: operation,
            request_allowed: flag(allowed),
        };
        let others = |labels| RequestLabels {
            resource_kind: OTHER.into(),
            resource_namespace: OTHER.into(),
            ..labels
        };
        self.requests.count(labels, others);
        // Kinds are as many as there are definitions; namespaces would make as many histograms.
        let labels = DurationLabels {
            resource_kind,
            resource_request_operation: operation,
            request_allowed: flag(allowed),
        };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(super) fn result(
        &self,
        loaded: &LoadedPolicy,
        (report, action): (&RuleReport, Action),
        request: &Request<'_>,
        operation: &'static str,
    ) {
        let origin = &loaded.origin;
        let cluster = origin.namespace.is_empty();
        let labels = ResultLabels {
            policy_validation_mode: match action {
                Action::Enforce => "enforce",
                Action::Audit => "audit",
            },
            policy_type: if cluster { "cluster" } else { "namespaced" },
            policy_background_mode: flag(loaded.policy.settings().background),
            policy_namespace: if cluster { "-".into() } else { origin.namespace.clone() },
            policy_name: origin.name.clone(),
            resource_kind: request.kind.kind.clone(),
            resource_namespace: request.namespace.to_string(),
            resource_request_operation: operation,
            rule_name: report.result.rule.to_string(),
            rule_result: report.result.status.as_str(),
            rule_type: "validate",
            rule_execution_cause: "admission_request",
            dry_run: flag(request.is_dry_run()),
        };
        let others = |labels: ResultLabels| ResultLabels {
            policy_name: OTHER.into(),
            policy_namespace: OTHER.into(),
            resource_kind: OTHER.into(),
            resource_namespace: OTHER.into(),
            rule_name: OTHER.into(),
            ..labels
        };
        self.results.count(labels, others);
    }

    pub(super) fn pod_security(&self, records: &[Record], request: &Request<'_>, operation: &'static str) {
        let resource = match &*request.resource.resource {
            "pods" => "pod",
            "namespaces" => "namespace",
            _ => "controller",
        };
        let subresource = request.sub_resource.to_string();
        for record in records {
            let subresource = subresource.clone();
            match *record {
                Record::Evaluation { decision, policy, mode } => {
                    let labels = EvaluationLabels {
                        decision: if decision == Decision::Deny { "deny" } else { "allow" },
                        policy_level: policy.level.as_str(),
                        policy_version: version(policy),
                        mode: mode.as_str(),
                        request_operation: operation,
                        resource,
                        subresource,
                    };
                    self.evaluations
                        .count(labels, |labels| EvaluationLabels { subresource: OTHER.into(), ..labels });
                }
                Record::Exemption => {
                    let labels = ExemptionLabels { request_operation: operation, resource, subresource };
                    self.exemptions
                        .count(labels, |labels| ExemptionLabels { subresource: OTHER.into(), ..labels });
                }
                Record::Error { fatal } => {
                    let fatal = flag(fatal);
                    let labels = ErrorLabels { fatal, request_operation: operation, resource, subresource };
                    self.errors.count(labels, |labels| ErrorLabels { subresource: OTHER.into(), ..labels });
                }
            }
        }
    }
}

/// Versions that no API server has yet are one label upstream as well.
fn version(policy: LevelVersion) -> String {
    match policy.version {
        Version::Minor(minor) if minor > NEWEST => "future".to_owned(),
        version => version.to_string(),
    }
}
