//! Kyverno's policies against a request: which of them are about it, what they say, and what becomes of the request.
//! The meaning is that of Kyverno 1.19 (`pkg/webhooks/resource/validation`, `pkg/policycache`): rules that resolve to
//! Enforce can refuse, those that resolve to Audit never do, not even by an error.

mod denial;
#[cfg(feature = "faults")]
mod faults;
mod group;

use std::sync::Arc;
use std::time::{Duration, Instant};

use meshward_policy::kyverno::matching::{Gvk, KindSelector, UserInfo};
use meshward_policy::kyverno::policy::{Action, Input, Policy, RuleReport, RuleResult, Status};
use serde_json::Value;

use super::Scope;
use super::judge::{Judge, OnFault, Stop, Verdict, guarded};
use crate::live::{Live, LoadedPolicy, Snapshot};
use crate::lookup::{AskError, Asker, ForPolicy};
use crate::metrics::Metrics;
use crate::observed::{Observed, PolicyOutcome, Process, Subject};
use crate::review::{Answer, Request};

pub use group::{Asked, DEFAULT_TIMEOUT, Group};

/// A policy that takes longer has a loop over something large, or waits.
const SLOW: Duration = Duration::from_millis(20);

/// The webhook of a group.
pub(super) struct Policies {
    pub(super) live: Live,
    pub(super) scope: Arc<Scope>,
    pub(super) metrics: Metrics,
    pub(super) group: Group,
    pub(super) asked: Asked,
}

/// What a policy said about a request.
struct Said {
    loaded: Arc<LoadedPolicy>,
    rules: Vec<(RuleReport, Action)>,
}

impl Said {
    /// Whether it refuses the request.
    fn refuses(&self) -> bool {
        let ignore = self.loaded.group.ignore;
        self.rules.iter().any(|(report, action)| {
            let decides = match report.result.status {
                Status::Fail => true,
                Status::Error => !ignore,
                Status::Pass | Status::Warn | Status::Skip => false,
            };
            decides && *action == Action::Enforce
        })
    }
}

/// The parts of a request that every policy looks at.
struct Target<'a> {
    gvk: Gvk,
    object: Value,
    old_object: Value,
    namespace: Option<Arc<Value>>,
    members: Value,
    user: UserInfo,
    request: &'a Request<'a>,
    snapshot: &'a Snapshot,
}

impl Judge for Policies {
    fn name(&self) -> &'static str {
        if self.group.ignore { "policies-ignore" } else { "policies-fail" }
    }

    fn on_fault(&self) -> OnFault {
        if self.group.ignore { OnFault::Allow } else { OnFault::Refuse }
    }

    fn judge(&self, request: &Request<'_>, asker: &Asker<'_>) -> Result<Verdict, Stop> {
        if self.scope.leaves_alone(&request.namespace) {
            return Ok(Verdict::default());
        }
        let snapshot = self.live.snapshot();
        let gvk = match &*request.sub_resource {
            "" => request.gvk(),
            _ => asker.parent(&request.resource).map_err(stop)?,
        };
        let about = |loaded: &&Arc<LoadedPolicy>| {
            let admission = loaded.policy.settings().admission;
            admission && self.asks(loaded.group) && names(&loaded.policy, &gvk, &request.sub_resource)
        };
        let policies: Vec<&Arc<LoadedPolicy>> = snapshot.policies.about(&gvk).filter(about).collect();
        if policies.is_empty() {
            return Ok(Verdict::default());
        }
        if !asker.may_wait() && policies.iter().any(|loaded| loaded.is_slow()) {
            return Err(Stop::Waits);
        }
        let target = Target::read(request, &snapshot, gvk.clone(), asker)?;
        let labels = target.labels();
        let mut said = Vec::with_capacity(policies.len());
        let mut began = Instant::now();
        for loaded in policies {
            if asker.deadline().passed_at(began) && !said.iter().any(|one: &Said| one.refuses()) {
                return Err(Stop::Failed(format!(
                    "not decided in time, policy {} is left",
                    loaded.policy.key()
                )));
            }
            let waits = asker.waits();
            let rules = self.rules(loaded, &target, labels, asker);
            let waited = asker.missed() || asker.waits() > waits;
            let ended = Instant::now();
            loaded.took(waited || ended - began > SLOW);
            if asker.missed() {
                return Err(Stop::Waits);
            }
            began = ended;
            if !rules.is_empty() {
                said.push(Said { loaded: loaded.clone(), rules });
            }
        }
        Ok(self.decide(&target, said))
    }
}

impl Policies {
    fn rules(
        &self,
        loaded: &LoadedPolicy,
        target: &Target<'_>,
        labels: &Value,
        asker: &Asker<'_>,
    ) -> Vec<(RuleReport, Action)> {
        let lookup = ForPolicy::new(asker, &loaded.origin.namespace);
        let input = Input {
            object: &target.object,
            old_object: &target.old_object,
            operation: &target.request.operation,
            gvk: Some(&target.gvk),
            subresource: &target.request.sub_resource,
            namespace_labels: labels,
            user: &target.user,
            request: &target.members,
            variables: &[],
            exceptions: target.snapshot.exceptions.values(),
            lookup: &lookup,
            environment: asker,
        };
        let evaluated = guarded(|| {
            #[cfg(feature = "faults")]
            faults::strike(&loaded.annotations);
            loaded.policy.report(&input)
        });
        let reports = evaluated.unwrap_or_else(|panic| {
            self.metrics.panicked();
            tracing::error!(policy = loaded.policy.key(), "the evaluation panicked: {panic}");
            panicked(&loaded.policy, &panic)
        });
        let action = |rule: &str| loaded.policy.action(rule, &target.request.namespace, labels);
        reports
            .into_iter()
            .map(|report| {
                let action = action(&report.result.rule);
                (report, action)
            })
            .collect()
    }

    /// Whether a policy is asked by this webhook.
    fn asks(&self, group: Group) -> bool {
        group == self.group || (self.group.stands_in_for(group) && !self.asked.has(group))
    }

    fn decide(&self, target: &Target<'_>, said: Vec<Said>) -> Verdict {
        let blocked: Vec<bool> = said.iter().map(|one| one.refuses()).collect();
        let mut answer = Answer::allowed();
        if blocked.contains(&true) {
            answer.refusal = Some(denial::refusal(target.subject(), &said));
        } else {
            answer.warnings = said.iter().flat_map(warnings).collect();
        }
        for one in &said {
            self.metrics.policy_results(&one.loaded, &one.rules, target.request);
        }
        let outcome = |(one, blocked): (Said, bool)| PolicyOutcome {
            policy: one.loaded.origin.clone(),
            rules: one.rules,
            blocked,
            scanned: one.loaded.policy.in_background(),
        };
        let observed = (!target.request.is_dry_run() && !said.is_empty()).then(|| Observed {
            subject: target.subject(),
            process: Process::Admission,
            operation: target.request.operation.to_string(),
            policies: said.into_iter().zip(blocked).map(outcome).collect(),
            exemptions: Vec::new(),
        });
        Verdict { answer, observed }
    }
}

impl<'a> Target<'a> {
    fn read(
        request: &'a Request<'a>,
        snapshot: &'a Snapshot,
        gvk: Gvk,
        asker: &Asker<'_>,
    ) -> Result<Self, Stop> {
        let unread = |error: serde_json::Error| Stop::Failed(format!("the object cannot be read: {error}"));
        let namespace = match (&*request.kind.kind, &*request.namespace) {
            ("Namespace", _) | (_, "") => None,
            (_, name) => match asker.namespace(snapshot, name) {
                Ok(namespace) => Some(namespace),
                // The API server itself refuses what is to be in a namespace that is not there.
                Err(AskError::Missing(_)) => None,
                Err(error) => return Err(stop(error)),
            },
        };
        let (roles, cluster_roles) = match snapshot.asking_roles.is_empty() {
            true => Default::default(),
            false => asker.roles().map_err(stop)?.of(&request.user_info, &request.namespace),
        };
        Ok(Self {
            gvk,
            object: request.object().map_err(unread)?,
            old_object: request.old_object().map_err(unread)?,
            namespace,
            members: request.members().map_err(unread)?,
            user: request.user_info.with_roles(roles, cluster_roles),
            request,
            snapshot,
        })
    }

    fn labels(&self) -> &Value {
        let labels = self.namespace.as_ref().and_then(|namespace| namespace.get("metadata")?.get("labels"));
        labels.unwrap_or(&Value::Null)
    }

    /// The object; of a subresource that sends none, what the request names.
    fn subject(&self) -> Subject {
        let object = if self.object.is_null() { &self.old_object } else { &self.object };
        let mut subject = Subject::of(object);
        let Gvk { group, version, kind } = &self.gvk;
        if subject.name.is_empty() || !self.request.sub_resource.is_empty() {
            let api_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
            let (namespace, name) = (self.request.namespace.to_string(), self.request.name.to_string());
            let uid = if *subject.kind == *kind { subject.uid } else { String::new() };
            subject = Subject { api_version, kind: kind.clone(), namespace, name, uid };
        }
        subject
    }
}

/// Whether a policy has a filter for a kind at all; the object is not even read where none has.
fn names(policy: &Policy, gvk: &Gvk, subresource: &str) -> bool {
    let named = |selector: &KindSelector| selector.matches(gvk, subresource);
    policy.kinds().any(|kinds| kinds.is_empty() || kinds.iter().any(named))
}

fn stop(error: AskError) -> Stop {
    match error {
        AskError::Waits => Stop::Waits,
        other => Stop::Failed(other.to_string()),
    }
}

/// Warnings of a policy that emits them, as Kyverno words them.
fn warnings(said: &Said) -> Vec<String> {
    let results: Vec<RuleResult> = said.rules.iter().map(|(report, _)| report.result.clone()).collect();
    said.loaded.policy.warnings(&results)
}

/// What an evaluation that panicked says: none of the rules could be decided.
fn panicked(policy: &Policy, panic: &str) -> Vec<RuleReport> {
    let result = |rule: &str| RuleResult {
        policy: policy.key().into(),
        rule: rule.into(),
        status: Status::Error,
        message: format!("the evaluation panicked: {panic}"),
    };
    let report = |rule| RuleReport {
        result: result(rule),
        exceptions: Vec::new(),
        properties: Vec::new(),
        standard: None,
    };
    policy.rules().filter(|rule| !rule.generated).map(|rule| report(rule.name)).collect()
}
