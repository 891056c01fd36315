//! A namespace's own requests: labels must be valid, and whoever tightens the enforced policy is told which of the
//! existing pods would no longer be admitted.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::pss::{Aggregate, Level, LevelVersion, Pod, quote};

use super::{
    Admission, Labels, Mode, Operation, Policy, Request, Response, Status,
    review::{Evaluator, Review},
};

/// Existing pods that an update of a namespace asks to check: read the namespace's pods and pass them on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The namespace.
    pub namespace: String,
    /// The newly enforced policy.
    pub enforce: LevelVersion,
}

impl DryRun {
    /// At most so many pods are checked.
    pub const MAX_PODS: usize = 3000;

    /// The answer where the pods could not be listed.
    #[must_use]
    pub fn unlisted(&self) -> Response {
        Response::warned(vec!["failed to list pods while checking new PodSecurity enforce level".to_owned()])
    }

    /// The answer about the namespace's pods, and so many more that were not listed. One pod of each controller comes
    /// first, so that few checks see much. `expired` is asked after each pod; upstream allows a second, or half of what
    /// is left of the request's time.
    pub fn answer<E: Evaluator>(
        &self,
        admission: &Admission<E>,
        pods: &[&Value],
        unlisted: usize,
        mut expired: impl FnMut() -> bool,
    ) -> Response {
        let pods = prioritized(admission, pods);
        let total = pods.len() + unlisted;
        let mut checked = 0;
        let mut groups: HashMap<String, (&str, usize)> = HashMap::new();
        for pod in pods.into_iter().take(Self::MAX_PODS) {
            let view = Pod::new(pod);
            let verdict = Aggregate::new(&admission.evaluator.evaluate(self.enforce, &view));
            if !verdict.allowed() {
                let name = name(pod);
                let group = groups.entry(verdict.reason()).or_insert((name, 0));
                group.0 = group.0.min(name);
                group.1 += 1;
            }
            checked += 1;
            if expired() {
                break;
            }
        }
        Response::warned(self.warnings(checked, total, groups))
    }

    fn warnings(&self, checked: usize, total: usize, groups: HashMap<String, (&str, usize)>) -> Vec<String> {
        let mut warnings = Vec::with_capacity(groups.len() + 2);
        if checked < total {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {checked} of {total} existing pods"
            ));
        }
        if !groups.is_empty() {
            warnings.push(format!(
                "existing pods in namespace {} violate the new PodSecurity enforce level \"{}\"",
                quote(&self.namespace),
                self.enforce
            ));
        }
        let mut grouped: Vec<String> = groups
            .into_iter()
            .map(|(reason, (pod, count))| match count {
                1 => format!("{pod}: {reason}"),
                2 => format!("{pod} (and 1 other pod): {reason}"),
                _ => format!("{pod} (and {} other pods): {reason}", count - 1),
            })
            .collect();
        grouped.sort_unstable();
        warnings.extend(grouped);
        warnings
    }
}

fn prioritized<'a, E>(admission: &Admission<E>, pods: &[&'a Value]) -> Vec<&'a Value> {
    let mut seen = BTreeSet::new();
    let checked = pods.iter().copied().filter(|pod| {
        let class = Pod::new(pod).runtime_class();
        !admission.configuration.exemptions.runtime_class(class)
    });
    let (mut first, again): (Vec<&Value>, Vec<&Value>) =
        checked.partition(|pod| controller(pod).is_none_or(|uid| seen.insert(uid)));
    first.extend(again);
    first
}

/// The UID of the controller that owns a pod.
fn controller(pod: &Value) -> Option<&str> {
    let owners = pod.get("metadata")?.get("ownerReferences")?.as_array()?;
    let owner = owners
        .iter()
        .find(|owner| owner.get("controller").is_some_and(|value| value == &Value::Bool(true)))?;
    Some(owner.get("uid").and_then(Value::as_str).unwrap_or_default())
}

fn name(object: &Value) -> &str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl<E: Evaluator> Admission<E> {
    pub(super) fn review_namespace(&self, request: &Request<'_>) -> Review {
        if !request.subresource.is_empty() {
            return Review::Done(Response::default());
        }
        let Some(namespace) = request.object.filter(|object| object.is_object()) else {
            return Review::Done(unread("failed to decode namespace"));
        };
        let (policy, errors) = self.policy(namespace);
        match request.operation {
            Operation::Create if !errors.is_empty() => refused(Status::invalid(request, &errors)),
            Operation::Create if self.configuration.exemptions.namespace(request.namespace) => {
                Review::Done(self.exempt_warning(namespace, &policy))
            }
            Operation::Update => {
                let Some(old) = request.old_object.filter(|object| object.is_object()) else {
                    return Review::Done(unread("failed to decode  old namespace"));
                };
                let (old_policy, old_errors) = self.policy(old);
                if !errors.is_empty() && errors != old_errors {
                    return refused(Status::invalid(request, &errors));
                }
                self.review_tightening(request, namespace, &policy, old_policy.enforce)
            }
            Operation::Create | Operation::Other => Review::Done(Response::default()),
        }
    }

    fn review_tightening(
        &self,
        request: &Request<'_>,
        namespace: &Value,
        policy: &Policy,
        old: LevelVersion,
    ) -> Review {
        let enforce = policy.enforce;
        let relaxed = enforce.version == old.version && enforce.level <= old.level;
        if enforce.level == Level::Privileged || relaxed {
            return Review::Done(Response::default());
        }
        if self.configuration.exemptions.namespace(request.namespace) {
            return Review::Done(self.exempt_warning(namespace, policy));
        }
        Review::DryRun(DryRun { namespace: name(namespace).to_owned(), enforce })
    }

    /// Tells that labels on an exempt namespace have no effect, naming the modes that they set.
    fn exempt_warning(&self, namespace: &Value, policy: &Policy) -> Response {
        if policy.fully_privileged() || policy.equivalent(&self.configuration.defaults) {
            return Response::default();
        }
        let modes: Vec<String> = Mode::ALL
            .into_iter()
            .filter(|mode| {
                let key = format!("{}{}", self.prefix, mode.as_str());
                let labelled =
                    namespace.label(&key).is_some() || namespace.label(&format!("{key}-version")).is_some();
                labelled && policy.mode(*mode).level != Level::Privileged
            })
            .map(|mode| format!("{}={}", mode.as_str(), policy.mode(mode)))
            .collect();
        Response::warned(vec![format!(
            "namespace {} is exempt from Pod Security, and the policy ({}) will be ignored",
            quote(name(namespace)),
            modes.join(", ")
        )])
    }
}

fn refused(refusal: Status) -> Review {
    Review::Done(Response { refusal: Some(refusal), ..Response::default() })
}

/// Upstream counts no error for namespaces.
fn unread(message: &str) -> Response {
    Response { records: Vec::new(), ..Response::failed(Status::bad_request(message), None) }
}
