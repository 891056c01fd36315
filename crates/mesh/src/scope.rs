//! One pod with its namespace while it is being judged: where to look, and the place where problems and warnings
//! gather.

use meshward_redirect::dialect::Origin;
use meshward_redirect::net::visible;
use serde_json::Value;

use crate::container::Container;
use crate::findings::Findings;
use crate::known;
use crate::pod::{LONGEST_ANNOTATION, MOST_ENTRIES, PodTemplate};
use crate::problem::{Problem, Warning, quoted};

/// A text with its place.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a> {
    pub(crate) value: &'a str,
    pub(crate) origin: Origin,
    /// Labels have no origin of their own; their place is told from this.
    label: bool,
}

impl Found<'_> {
    /// Where it stands, for people.
    pub(crate) fn place(&self) -> String {
        let place = self.origin.to_string();
        if self.label { place.replacen("annotation", "label", 1) } else { place }
    }

    /// `annotation X of the pod is "false"`
    pub(crate) fn says(&self) -> String {
        format!("{} is {}", self.place(), quoted(self.value))
    }

    /// An error about it.
    pub(crate) fn invalid(&self, accepted: &'static str) -> Problem {
        Problem::Value { place: self.place(), found: quoted(self.value), accepted }
    }
}

/// A pod and its namespace under judgement.
pub(crate) struct Scope<'a> {
    pub(crate) pod: &'a PodTemplate<'a>,
    namespace: Option<&'a Value>,
    pub(crate) findings: Findings<'a>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(pod: &'a PodTemplate<'a>, namespace: Option<&'a Value>) -> Self {
        let mut scope = Self {
            pod,
            namespace,
            findings: Findings::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        scope.check_namespace();
        scope.check_size();
        if scope.problems.is_empty() {
            scope.findings = Findings::of(pod);
            scope.check_keys("pod", pod.metadata());
            scope.check_keys("namespace", namespace.and_then(|n| n.get("metadata")).unwrap_or(&Value::Null));
        }
        scope
    }

    fn check_namespace(&mut self) {
        let Some(namespace) = self.namespace else { return };
        if namespace.get("kind").and_then(Value::as_str) != Some("Namespace") {
            let kind = namespace.get("kind").and_then(Value::as_str).unwrap_or("no kind");
            self.problems.push(Problem::Value {
                place: "the namespace object".into(),
                found: quoted(kind),
                accepted: "an object of kind Namespace",
            });
            return;
        }
        let name = namespace.pointer("/metadata/name").and_then(Value::as_str);
        if let (Some(of_pod), Some(name)) = (self.pod.namespace(), name)
            && of_pod != name
        {
            let message = format!(
                "the pod is in namespace {}, the namespace object given is {}",
                visible(of_pod),
                visible(name)
            );
            self.warnings.push(Warning::Pod { message });
        }
    }

    fn check_size(&mut self) {
        let namespace = self.namespace.and_then(|n| n.pointer("/metadata/annotations")?.as_object());
        if let Some(found) = self.pod.oversized() {
            self.problems.push(Problem::TooLarge(found));
        } else if namespace.is_some_and(|annotations| annotations.len() > MOST_ENTRIES) {
            let found = format!("more than {MOST_ENTRIES} annotations of the namespace");
            self.problems.push(Problem::TooLarge(found));
        }
    }

    /// Looks over every annotation and label of a mesh, whether anything reads it or not.
    fn check_keys(&mut self, object: &'static str, metadata: &'a Value) {
        let entries = |field: &str| metadata.get(field).and_then(Value::as_object);
        for (key, value) in entries("annotations").into_iter().flatten() {
            if let Some(unknown) = known::unknown(key) {
                let key = key.chars().take(256).collect();
                self.warnings.push(Warning::UnknownAnnotation { object, key, nearest: unknown.nearest });
            } else if known::is_ours(key) {
                self.check_value(object, key, value);
            }
        }
        for key in entries("labels").into_iter().flatten().map(|(key, _)| key) {
            if known::affects_rules(key) && !READ_AS_LABELS.contains(&key.as_str()) {
                self.warnings.push(Warning::LabelInsteadOfAnnotation { object, key: key.clone() });
            }
        }
    }

    fn check_value(&mut self, object: &'static str, key: &str, value: &Value) {
        let place = || format!("annotation {} of the {object}", visible(key));
        match value {
            Value::String(text) if text.len() > LONGEST_ANNOTATION => {
                let found =
                    format!("{} bytes in {}, accepted: at most {LONGEST_ANNOTATION}", text.len(), place());
                self.problems.push(Problem::TooLarge(found));
            }
            Value::String(_) => {}
            other => self.problems.push(Problem::Value {
                place: place(),
                found: quoted(&other.to_string()),
                accepted: "a text; quote it in YAML",
            }),
        }
    }

    fn namespace_entry(&self, field: &str, key: &str) -> Option<&'a str> {
        self.namespace?.get("metadata")?.get(field)?.get(key)?.as_str()
    }

    /// An annotation of the pod.
    pub(crate) fn on_pod(&self, key: &str) -> Option<Found<'a>> {
        Some(found(self.pod.annotation(key)?, "pod", key, false))
    }

    /// An annotation of the namespace.
    pub(crate) fn on_namespace(&self, key: &str) -> Option<Found<'a>> {
        Some(found(self.namespace_entry("annotations", key)?, "namespace", key, false))
    }

    /// An annotation of the pod, else of the namespace.
    pub(crate) fn on_either(&self, key: &str) -> Option<Found<'a>> {
        self.on_pod(key).or_else(|| self.on_namespace(key))
    }

    /// A label of the pod.
    pub(crate) fn pod_label(&self, key: &str) -> Option<Found<'a>> {
        Some(found(self.pod.label(key)?, "pod", key, true))
    }

    /// A label of the namespace.
    pub(crate) fn namespace_label(&self, key: &str) -> Option<Found<'a>> {
        Some(found(self.namespace_entry("labels", key)?, "namespace", key, true))
    }

    /// A variable of a container; one that cannot be read here leaves a warning.
    pub(crate) fn variable(&mut self, container: &Container<'a>, name: &str) -> Option<(String, Origin)> {
        let environment = container.environment();
        if environment.is_unresolved(name) {
            let warning = Warning::Unresolved { container: container.name().into(), what: name.into() };
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let value = environment.get(name)?.to_string();
        let origin = Origin::Environment { container: container.name().into(), variable: name.into() };
        Some((value, origin))
    }
}

/// Keys that a mesh really reads as labels.
const READ_AS_LABELS: &[&str] = &[
    "sidecar.istio.io/inject",
    "istio.io/dataplane-mode",
    "kuma.io/sidecar-injection",
    "kuma.io/gateway",
    "consul.hashicorp.com/connect-inject-status",
    "consul.hashicorp.com/transparent-proxy",
    "consul.hashicorp.com/consul-dns",
    "linkerd.io/inject",
];

fn found<'a>(value: &'a str, object: &'static str, key: &str, label: bool) -> Found<'a> {
    Found { value, origin: Origin::Annotation { object, key: key.into(), path: None }, label }
}
