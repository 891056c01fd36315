//! The answer to a request, in upstream's order of questions: subresource, exemptions, labels, object, significance,
//! then the three modes.

use serde_json::Value;

use crate::pss::{Aggregate, CheckResult, Level, LevelVersion, Pod, Version, evaluate, extract};

use super::{
    Configuration, Decision, DryRun, InvalidLabel, Labels, Mode, Operation, PREFIX, Policy, Record, Request,
    Response, Status, describe, is_significant,
};

/// What checks a pod. Implement it to take exempted findings out of the results; they are then neither refused nor
/// reported.
pub trait Evaluator {
    /// The results of every check of a policy.
    fn evaluate<'a>(&self, policy: LevelVersion, pod: &Pod<'a>) -> Vec<CheckResult<'a>>;
}

/// The Pod Security Standards as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standards;

impl Evaluator for Standards {
    fn evaluate<'a>(&self, policy: LevelVersion, pod: &Pod<'a>) -> Vec<CheckResult<'a>> {
        evaluate(policy.level, policy.version, pod)
    }
}

impl<E: Evaluator> Evaluator for &E {
    fn evaluate<'a>(&self, policy: LevelVersion, pod: &Pod<'a>) -> Vec<CheckResult<'a>> {
        (**self).evaluate(policy, pod)
    }
}

/// Pod Security Admission with its configuration.
#[derive(Clone, Debug)]
pub struct Admission<E = Standards> {
    /// Defaults and exemptions.
    pub configuration: Configuration,
    /// What checks pods.
    pub evaluator: E,
    /// The prefix of the labels to read, with its slash.
    pub prefix: String,
}

/// How far a request could be answered without the namespace's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Review {
    /// The answer.
    Done(Response),
    /// Allowed, with warnings about the namespace's existing pods still to be found.
    DryRun(DryRun),
}

/// Subresources of pods that cannot change what a pod may do. Every other one is looked at as a pod, so that one of the
/// future is not let through unseen.
const IGNORED: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

impl Admission {
    /// The built-in admission: the standards as they are, kube-apiserver's labels.
    #[must_use]
    pub fn new(configuration: Configuration) -> Admission {
        Admission { configuration, evaluator: Standards, prefix: PREFIX.to_owned() }
    }
}

impl<E: Evaluator> Admission<E> {
    /// Answers a request about a namespace, a pod or a controller of pods.
    pub fn review(&self, request: &Request<'_>) -> Review {
        match (request.group, request.resource) {
            ("", "namespaces") => self.review_namespace(request),
            ("", "pods") => Review::Done(self.review_pod(request)),
            _ => Review::Done(self.review_controller(request)),
        }
    }

    /// The policy that labels ask for, and what is wrong with them.
    pub fn policy(&self, labels: &dyn Labels) -> (Policy, Vec<InvalidLabel>) {
        Policy::from_labels(labels, &self.configuration.defaults, &self.prefix)
    }

    fn exempt(&self, request: &Request<'_>) -> Option<Response> {
        let exemptions = &self.configuration.exemptions;
        if exemptions.namespace(request.namespace) {
            Some(Response::exempt("namespace"))
        } else {
            exemptions.username(request.username).then(|| Response::exempt("user"))
        }
    }

    fn review_pod(&self, request: &Request<'_>) -> Response {
        if IGNORED.contains(&request.subresource) {
            return Response::default();
        }
        if let Some(response) = self.exempt(request) {
            return response;
        }
        let labels = match request.namespace_labels {
            Ok(labels) => labels,
            Err(cause) => {
                let error = format!("failed to lookup namespace {}", crate::pss::quote(request.namespace));
                return Response::failed(Status::internal(error), Some(cause));
            }
        };
        let (policy, errors) = self.policy(labels);
        if errors.is_empty() && policy.fully_privileged() {
            return privileged(policy.enforce);
        }
        let Some(object) = request.object.filter(|object| is_pod(object)) else {
            return Response::failed(Status::bad_request("failed to decode pod"), None);
        };
        let pod = Pod::new(object);
        if let Some(malformed) = pod.malformed(object).first() {
            let refusal = Status::bad_request("failed to decode object");
            return Response::failed(refusal, Some(&malformed.to_string()));
        }
        if request.operation == Operation::Update {
            let Some(old) = request.old_object.filter(|object| is_pod(object)) else {
                return Response::failed(Status::bad_request("failed to decode old pod"), None);
            };
            if !is_significant(object, old) {
                return Response::default();
            }
        }
        self.apply(request, &policy, &errors, &pod, true)
    }

    fn review_controller(&self, request: &Request<'_>) -> Response {
        if !request.subresource.is_empty() {
            return Response::default();
        }
        if let Some(response) = self.exempt(request) {
            return response;
        }
        let labels = match request.namespace_labels {
            Ok(labels) => labels,
            Err(cause) => {
                let namespace = crate::pss::quote(request.namespace);
                return Response::unread(format!("failed to lookup namespace {namespace}: {cause}"));
            }
        };
        let (policy, errors) = self.policy(labels);
        let unchecked = policy.warn.level == Level::Privileged && policy.audit.level == Level::Privileged;
        if errors.is_empty() && unchecked {
            return Response::default();
        }
        let Some(object) = request.object else {
            return Response::unread("failed to decode object: no object".to_owned());
        };
        match extract(object) {
            Ok(Some(pod)) => match pod.malformed(object).first() {
                Some(malformed) => Response::unread(format!("failed to decode object: {malformed}")),
                None => self.apply(request, &policy, &errors, &pod, false),
            },
            Ok(None) => Response::default(),
            Err(error) => Response::unread(format!("failed to extract pod template: {error}")),
        }
    }

    fn apply(
        &self,
        request: &Request<'_>,
        policy: &Policy,
        errors: &[InvalidLabel],
        pod: &Pod<'_>,
        enforce: bool,
    ) -> Response {
        if self.configuration.exemptions.runtime_class(pod.runtime_class()) {
            return Response::exempt("runtimeClass");
        }
        let mut response = Response::default();
        if !errors.is_empty() {
            let error = format!("Failed to parse policy: {}", describe(errors));
            response.audit_annotations.insert("error", error);
            response.records.push(Record::Error { fatal: false });
        }
        let mut verdicts = Verdicts { evaluator: &self.evaluator, pod, known: Vec::with_capacity(3) };
        if enforce {
            response.audit_annotations.insert("enforce-policy", policy.enforce.to_string());
            let verdict = verdicts.of(policy.enforce);
            let denied = !verdict.allowed();
            if denied {
                response.refusal = Some(Status::forbidden(request, &verdict.violates(policy.enforce)));
            }
            response.record(denied, policy.enforce, Mode::Enforce);
        }
        let would = |verdict: &Aggregate, policy: LevelVersion| format!("would {}", violate(verdict, policy));
        let verdict = verdicts.of(policy.audit);
        if !verdict.allowed() {
            response.audit_annotations.insert("audit-violations", would(verdict, policy.audit));
            response.record(true, policy.audit, Mode::Audit);
        }
        // Whoever is refused already reads why.
        if response.allowed() {
            let verdict = verdicts.of(policy.warn);
            if !verdict.allowed() {
                response.warnings.push(would(verdict, policy.warn));
                response.record(true, policy.warn, Mode::Warn);
            }
        }
        response
    }
}

fn violate(verdict: &Aggregate, policy: LevelVersion) -> String {
    format!("violate PodSecurity \"{policy}\": {}", verdict.detail())
}

fn privileged(enforce: LevelVersion) -> Response {
    let mut response = Response::default();
    let latest = LevelVersion { level: Level::Privileged, version: Version::Latest };
    response.audit_annotations.insert("enforce-policy", latest.to_string());
    response.record(false, enforce, Mode::Enforce);
    response
}

fn is_pod(object: &Value) -> bool {
    object.is_object() && object.get("kind").is_none_or(|kind| kind == "Pod")
}

impl Response {
    fn record(&mut self, denied: bool, policy: LevelVersion, mode: Mode) {
        let decision = if denied { Decision::Deny } else { Decision::Allow };
        self.records.push(Record::Evaluation { decision, policy, mode });
    }
}

/// The verdicts of one request, each policy evaluated once however many modes ask for it.
struct Verdicts<'p, 'a, E> {
    evaluator: &'p E,
    pod: &'p Pod<'a>,
    known: Vec<(LevelVersion, Aggregate)>,
}

impl<E: Evaluator> Verdicts<'_, '_, E> {
    fn of(&mut self, policy: LevelVersion) -> &Aggregate {
        let index = match self.known.iter().position(|(known, _)| *known == policy) {
            Some(index) => index,
            None => {
                let verdict = Aggregate::new(&self.evaluator.evaluate(policy, self.pod));
                self.known.push((policy, verdict));
                self.known.len() - 1
            }
        };
        &self.known[index].1
    }
}
