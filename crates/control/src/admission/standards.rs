//! Pod Security Admission by namespace labels: ours, and by switch those of the API server, each with exemptions. The
//! answer is upstream's; what an exemption takes out is neither refused nor reported, but counted.
//!
//! ```text
//! request ─ namespace's labels ─┬─ privileged in every mode ─► allowed, the object unread
//!                               └─ object ─► psa::Admission<Exempting> of each prefix ─► one answer
//! ```

mod exempting;
mod near;
mod tighten;

use std::collections::BTreeSet;
use std::sync::Arc;

use meshward_kit::machine::Machine;
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use meshward_policy::psa::{
    Admission, Configuration, Labels, Operation, PREFIX, Policy, Request as PsaRequest, Response, Review,
};
use serde_json::Value;

use super::Scope;
use super::judge::{Judge, OnFault, Stop, Verdict};
use crate::live::{Live, Snapshot};
use crate::lookup::{AskError, Asker};
use crate::metrics::Metrics;
use crate::observed::{ExemptionUse, Observed, Process, Subject};
use crate::review::{Answer, Cause, Refusal, Request};
use exempting::Exempting;

/// The prefix of our labels.
pub const OWN_PREFIX: &str = "meshward.dev/";
/// The beginning of audit annotations about the API server's labels, where both are read.
const OTHERS: &str = "pod-security-";

/// Which labels are read, and what is exempt altogether.
pub(super) struct Standards {
    live: Live,
    scope: Arc<Scope>,
    metrics: Metrics,
    configuration: Configuration,
    prefixes: Vec<&'static str>,
    enforce: bool,
}

impl Standards {
    /// `also` reads the API server's labels as well. Only namespaces and pods are enforced; controllers are told.
    pub(super) fn new(
        live: Live,
        scope: Arc<Scope>,
        metrics: Metrics,
        mut configuration: Configuration,
        also: bool,
        enforce: bool,
    ) -> Self {
        // Labels on a namespace that is left alone have no effect; exempt ones are told so.
        configuration.exemptions.namespaces.extend(scope.names().map(str::to_owned));
        let prefixes = if also { vec![OWN_PREFIX, PREFIX] } else { vec![OWN_PREFIX] };
        Self { live, scope, metrics, configuration, prefixes, enforce }
    }

    /// Whether any of the labels asks for something, or is wrong.
    fn asks(&self, labels: &dyn Labels) -> bool {
        self.prefixes.iter().any(|prefix| {
            let (policy, errors) = Policy::from_labels(labels, &self.configuration.defaults, prefix);
            !errors.is_empty() || !policy.fully_privileged()
        })
    }
}

/// A request with everything that is read for it.
struct Asked<'a> {
    request: &'a Request<'a>,
    operation: Operation,
    object: Option<Value>,
    old_object: Option<Value>,
    namespace: Result<Arc<Value>, String>,
    now: Moment,
    snapshot: &'a Snapshot,
}

impl Judge for Standards {
    fn name(&self) -> &'static str {
        if self.enforce { "standards-enforce" } else { "standards-advise" }
    }

    fn on_fault(&self) -> OnFault {
        if self.enforce { OnFault::Refuse } else { OnFault::Allow }
    }

    fn judge(&self, request: &Request<'_>, asker: &Asker<'_>) -> Result<Verdict, Stop> {
        let operation = match &*request.operation {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            _ => return Ok(Verdict::default()),
        };
        let resource = (&*request.resource.group, &*request.resource.resource);
        if !is_asked(resource, self.enforce) {
            return Ok(Verdict::default());
        }
        let snapshot = self.live.snapshot();
        let own = resource == ("", "namespaces");
        let namespace =
            if own { Err("of no namespace".to_owned()) } else { labelled(request, &snapshot, asker)? };
        let wanted = own || namespace.as_ref().map_or(true, |namespace| self.asks(&**namespace));
        let unread = |error: serde_json::Error| Stop::Failed(format!("the object cannot be read: {error}"));
        let (object, old_object) = match wanted && !self.scope.leaves_alone(&request.namespace) || own {
            true => (Some(request.object().map_err(unread)?), Some(request.old_object().map_err(unread)?)),
            false => (None, None),
        };
        let now = Machine.now().unwrap_or(Moment::from_unix(0));
        let asked = Asked { request, operation, object, old_object, namespace, now, snapshot: &snapshot };
        let mut answers = Vec::with_capacity(self.prefixes.len());
        for prefix in &self.prefixes {
            answers.push(self.answer(prefix, &asked, asker)?);
        }
        Ok(self.together(&asked, answers))
    }
}

/// What one prefix's labels lead to, with the exemptions that took something out.
type Found = (&'static str, Response, BTreeSet<(usize, &'static str)>);

impl Standards {
    fn answer(&self, prefix: &'static str, asked: &Asked<'_>, asker: &Asker<'_>) -> Result<Found, Stop> {
        let exemptions = asked.snapshot.exemptions.values();
        let evaluator = Exempting::new(&asked.request.namespace, exemptions, asked.now);
        let configuration = self.configuration.clone();
        let admission = Admission { configuration, evaluator, prefix: prefix.to_owned() };
        let request = asked.request;
        let labels = asked.namespace.as_deref().map(|labels| labels as &dyn Labels);
        let review = admission.review(&PsaRequest {
            operation: asked.operation,
            group: &request.resource.group,
            resource: &request.resource.resource,
            subresource: &request.sub_resource,
            kind: &request.kind.kind,
            namespace: &request.namespace,
            name: &request.name,
            username: &request.user_info.username,
            object: asked.object.as_ref(),
            old_object: asked.old_object.as_ref(),
            namespace_labels: labels.map_err(String::as_str),
        });
        let mut response = match review {
            Review::Done(response) => response,
            Review::DryRun(run) => {
                let response = tighten::answer(&run, &admission, asker);
                if asker.missed() {
                    return Err(Stop::Waits);
                }
                return Ok((prefix, response, BTreeSet::new()));
            }
        };
        if let (Some(refusal), Some(object), Ok(namespace)) =
            (&mut response.refusal, &asked.object, &asked.namespace)
            && refusal.code == 403
        {
            let enforce = admission.policy(&**namespace).0.enforce;
            if let Some(sentence) = near::sentence(enforce, object, &request.namespace, asked) {
                refusal.message.push_str(&sentence);
            }
        }
        let used = if response.allowed() { admission.evaluator.used() } else { BTreeSet::new() };
        Ok((prefix, response, used))
    }

    /// The answers of all labels as one: the first refusal, and every warning once.
    fn together(&self, asked: &Asked<'_>, answers: Vec<Found>) -> Verdict {
        let mut answer = Answer::allowed();
        let mut used = BTreeSet::new();
        for (prefix, response, exempted) in answers {
            self.metrics.pod_security(&response.records, asked.request);
            used.extend(exempted);
            for (key, text) in response.audit_annotations {
                let key = if prefix == OWN_PREFIX { key.to_owned() } else { format!("{OTHERS}{key}") };
                answer.audit.insert(key, text);
            }
            for warning in response.warnings {
                if !answer.warnings.contains(&warning) {
                    answer.warnings.push(warning);
                }
            }
            if let (None, Some(status)) = (&answer.refusal, response.refusal) {
                let cause = |cause: meshward_policy::psa::StatusCause| Cause {
                    reason: cause.reason,
                    message: cause.message,
                    field: cause.field,
                };
                answer.refusal = Some(Refusal {
                    code: status.code,
                    reason: status.reason,
                    message: status.message,
                    causes: status.causes.into_iter().map(cause).collect(),
                });
            }
        }
        if answer.refusal.is_some() {
            answer.warnings.clear();
            return answer.into();
        }
        let observed = self.observed(asked, &used);
        Verdict { answer, observed }
    }

    fn observed(&self, asked: &Asked<'_>, used: &BTreeSet<(usize, &'static str)>) -> Option<Observed> {
        let origins = asked.snapshot.exemptions.origins();
        let exemptions: Vec<ExemptionUse> = used
            .iter()
            .filter_map(|(index, check)| {
                Some(ExemptionUse { exemption: origins.get(*index)?.clone(), check })
            })
            .collect();
        exemptions.iter().for_each(|one| self.metrics.exemption_used(&one.exemption, one.check));
        (!exemptions.is_empty() && !asked.request.is_dry_run()).then(|| Observed {
            subject: asked.object.as_ref().map(Subject::of).unwrap_or_else(|| Subject::of(&Value::Null)),
            process: Process::Admission,
            operation: asked.request.operation.to_string(),
            policies: Vec::new(),
            exemptions,
        })
    }
}

/// What upstream's two webhooks are about.
fn is_asked((group, resource): (&str, &str), enforce: bool) -> bool {
    match (group, resource) {
        ("", "namespaces" | "pods") => enforce,
        ("", "podtemplates" | "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs" | "cronjobs") => !enforce,
        _ => false,
    }
}

/// The request's namespace, or in words why it is not known.
fn labelled(
    request: &Request<'_>,
    snapshot: &Snapshot,
    asker: &Asker<'_>,
) -> Result<Result<Arc<Value>, String>, Stop> {
    match asker.namespace(snapshot, &request.namespace) {
        Err(AskError::Waits) => Err(Stop::Waits),
        namespace => Ok(namespace.map_err(|error| error.to_string())),
    }
}
