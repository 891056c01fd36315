//! Pods of a mesh on their way in: the privileged init container gives way to one that only waits, so that the pod
//! passes `restricted`. A pod that cannot be swapped is let through as it is, with the reason, and Pod Security decides
//! about it; half a swap would be a pod that bypasses its mesh.
//!
//! ```text
//! pod CREATE ─► namespace (snapshot, else asked for) ─► mesh::swap ─► JSON patch, warnings, audit annotation
//! ```

use meshward_mesh::{PodTemplate, SwapOptions, Swapped, Unchanged, WaitUser, patch, pods, swap};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::review::{Answer, Request};

/// Warnings are headers of the API server's answer, which cuts them to this much when there are many.
const LONGEST_WARNING: usize = 256;

/// What became of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Swapped,
    Already,
    NoRules,
    OptedOut,
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Already => "already",
            Self::NoRules => "no-rules",
            Self::OptedOut => "opted-out",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    outcome: &'static str,
}

/// Swaps pods.
pub struct Swapper {
    options: SwapOptions,
    /// Whom wait containers run as, on this platform.
    user: Box<dyn Fn() -> WaitUser + Send + Sync>,
    /// Namespaces whose pods are left alone.
    excluded: Vec<String>,
    outcomes: Family<Label, Counter>,
}

impl Swapper {
    /// Swaps pods by these options, but for those of the excluded namespaces. What kind of platform this is may only be
    /// known later: `user` is asked for each pod.
    pub fn new(
        options: SwapOptions,
        user: impl Fn() -> WaitUser + Send + Sync + 'static,
        excluded: Vec<String>,
    ) -> Self {
        Self { options, user: Box::new(user), excluded, outcomes: Family::default() }
    }

    fn options(&self) -> SwapOptions {
        SwapOptions { user: (self.user)(), ..self.options.clone() }
    }

    /// Puts `swaps_total{outcome}` among the metrics.
    pub fn register(&self, metrics: &mut Registry) {
        let help = "Pods seen on their way in, by what became of them";
        metrics.register("swaps", help, self.outcomes.clone());
    }

    /// Whether the request is about a new pod of a namespace that is looked at. What a webhook configuration of somebody
    /// else's making sends beyond that is let through untouched.
    pub fn is_asked(&self, request: &Request<'_>) -> bool {
        request.resource.group.is_empty()
            && request.resource.resource == "pods"
            && request.sub_resource.is_empty()
            && request.operation == "CREATE"
            && !self.excluded.iter().any(|name| *name == request.namespace)
    }

    /// The answer about a pod. `namespace` is its Namespace object; an error says why nobody knows it, and then the pod
    /// stays as it is: what the namespace wants of its pods is not known.
    ///
    /// # Errors
    /// The object is no JSON.
    pub fn answer(
        &self,
        request: &Request<'_>,
        namespace: Result<&Value, &str>,
    ) -> Result<Answer, serde_json::Error> {
        if !self.is_asked(request) {
            return Ok(Answer::allowed());
        }
        let object = request.object()?;
        let all = pods(&object);
        let [pod] = all.as_slice() else { return Ok(Answer::allowed()) };
        let mut answer = Answer::allowed();
        let outcome = match namespace {
            Ok(namespace) => self.swap(pod, namespace, &object, &mut answer),
            Err(why) => self.unknown(pod, why, &mut answer),
        };
        self.outcomes.get_or_create(&Label { outcome: outcome.as_str() }).inc();
        self.log(request, pod, outcome, &answer);
        Ok(answer)
    }

    fn swap(&self, pod: &PodTemplate<'_>, namespace: &Value, object: &Value, answer: &mut Answer) -> Outcome {
        let mut warn = |text: String| answer.warnings.push(cut(format!("meshward: {text}")));
        match swap(pod, Some(namespace), &self.options()) {
            Ok(Swapped::Changed(swapped)) => {
                swapped.left.iter().for_each(|left| warn(left.to_string()));
                swapped.plan.warnings.iter().for_each(|warning| warn(warning.to_string()));
                let done: Vec<String> = swapped.changes.iter().map(ToString::to_string).collect();
                answer.audit.insert("swap".to_owned(), done.join("; "));
                answer.patch = patch(object, &swapped.template);
                Outcome::Swapped
            }
            Ok(Swapped::Unchanged(Unchanged::Already { left })) => {
                left.iter().for_each(|left| warn(left.to_string()));
                Outcome::Already
            }
            Ok(Swapped::Unchanged(Unchanged::OptedOut { by })) => {
                answer.audit.insert("swap".to_owned(), by);
                Outcome::OptedOut
            }
            Ok(Swapped::Unchanged(unchanged @ Unchanged::NoRules { .. })) => {
                if let Unchanged::NoRules { privileged, .. } = &unchanged
                    && !privileged.is_empty()
                {
                    warn(format!("not swapped: {unchanged}"));
                }
                Outcome::NoRules
            }
            Err(error) => {
                warn(format!("not swapped: {error}"));
                answer.audit.insert("swap".to_owned(), format!("not swapped: {error}"));
                Outcome::Refused
            }
        }
    }

    /// One line for each decision; pods of no mesh are no decision.
    fn log(&self, request: &Request<'_>, pod: &PodTemplate<'_>, outcome: Outcome, answer: &Answer) {
        let (namespace, name, uid, outcome) =
            (&*request.namespace, pod.name(), &*request.uid, outcome.as_str());
        match answer.audit.get("swap").or(answer.warnings.first()) {
            Some(done) => tracing::info!(namespace, name, uid, outcome, "{done}"),
            None => tracing::debug!(namespace, name, uid, outcome, "left as it is"),
        }
    }

    /// Only pods of a mesh are worth a word.
    fn unknown(&self, pod: &PodTemplate<'_>, why: &str, answer: &mut Answer) -> Outcome {
        let concerned = !matches!(
            swap(pod, None, &self.options()),
            Ok(Swapped::Unchanged(Unchanged::NoRules { .. } | Unchanged::OptedOut { .. }))
        );
        if !concerned {
            return Outcome::NoRules;
        }
        answer.warnings.push(cut(format!("meshward: not swapped: the namespace is not known: {why}")));
        answer.audit.insert("swap".to_owned(), format!("not swapped: {why}"));
        Outcome::Refused
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_WARNING {
        text.truncate(text.floor_char_boundary(LONGEST_WARNING - '…'.len_utf8()));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
