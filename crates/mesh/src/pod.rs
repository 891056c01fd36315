//! A read-only view of a pod template. Everything in it is written by the pod's author, so each accessor answers
//! "not there" for a value of the wrong type; [`PodTemplate::oversized`] and `annotation` checks report the rest.

use serde_json::Value;

use crate::container::Container;

/// The longest annotation that is read; the API server allows 256 KiB for all of an object's annotations.
pub const LONGEST_ANNOTATION: usize = 256 * 1024;
/// The most containers, annotations, arguments or variables of one kind that are read.
pub const MOST_ENTRIES: usize = 1024;

/// A pod, or the template of one, with the object it was found in.
#[derive(Debug, Clone)]
pub struct PodTemplate<'a> {
    kind: &'a str,
    object: &'a Value,
    template: &'a Value,
    pointer: String,
}

impl<'a> PodTemplate<'a> {
    pub(crate) fn new(kind: &'a str, object: &'a Value, template: &'a Value, pointer: String) -> Self {
        Self { kind, object, template, pointer }
    }

    /// The kind of the object it was found in: `Pod`, `Deployment`…
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// The name of that object (its `generateName` where it has no name yet).
    pub fn name(&self) -> &'a str {
        let metadata = self.object.get("metadata");
        ["name", "generateName"].into_iter().find_map(|key| metadata?.get(key)?.as_str()).unwrap_or_default()
    }

    /// The namespace that object names, if it does.
    pub fn namespace(&self) -> Option<&'a str> {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// Where the template stands in the document it was read from, as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The template's metadata; null where it has none.
    pub fn metadata(&self) -> &'a Value {
        self.template.get("metadata").unwrap_or(&Value::Null)
    }

    /// The template itself: metadata and specification (and, of a pod, everything else).
    pub fn template(&self) -> &'a Value {
        self.template
    }

    /// The same pod with another template.
    pub(crate) fn with_template<'b>(&'b self, template: &'b Value) -> PodTemplate<'b> {
        PodTemplate { kind: self.kind, object: self.object, template, pointer: self.pointer.clone() }
    }

    /// Kind and name of the object it was found in, as errors begin.
    pub(crate) fn title(&self) -> String {
        format!("{} {:?}", self.kind, self.name())
    }

    /// A field of the pod's own security context.
    pub(crate) fn security(&self, field: &str) -> Option<&'a Value> {
        self.spec().get("securityContext")?.get(field).filter(|value| !value.is_null())
    }

    /// The pod specification; null where it has none.
    pub fn spec(&self) -> &'a Value {
        self.template.get("spec").unwrap_or(&Value::Null)
    }

    /// An annotation of the pod itself (for workloads: of the template).
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.metadata().get("annotations")?.get(key)?.as_str()
    }

    /// A label of the pod itself.
    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.metadata().get("labels")?.get(key)?.as_str()
    }

    /// All containers in the order the kubelet starts them: init containers, then the regular ones.
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> {
        let spec = self.spec();
        [("initContainers", true), ("containers", false)].into_iter().flat_map(move |(field, init)| {
            let list = spec.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().enumerate().map(move |(index, value)| Container::new(value, index, init))
        })
    }

    /// Whether the pod shares the node's network namespace.
    pub fn is_host_network(&self) -> bool {
        self.spec().get("hostNetwork").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Whether the pod is meant for Windows nodes.
    pub fn is_windows(&self) -> bool {
        let spec = self.spec();
        let selector = spec.get("nodeSelector");
        let selected = |key: &str| {
            selector.and_then(|selector| selector.get(key)).and_then(Value::as_str) == Some("windows")
        };
        spec.pointer("/os/name").and_then(Value::as_str) == Some("windows")
            || selected("kubernetes.io/os")
            || selected("beta.kubernetes.io/os")
    }

    /// Whether the pod has run to its end.
    pub fn is_finished(&self) -> bool {
        let phase = (self.kind == "Pod").then(|| self.object.pointer("/status/phase")).flatten();
        phase.and_then(Value::as_str).is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"))
    }

    /// Whether the kubelet reports that init container `name` has ended well.
    pub fn has_completed(&self, name: &str) -> bool {
        let statuses =
            (self.kind == "Pod").then(|| self.object.pointer("/status/initContainerStatuses")).flatten();
        statuses.and_then(Value::as_array).is_some_and(|statuses| {
            statuses.iter().any(|status| {
                status.get("name").and_then(Value::as_str) == Some(name)
                    && status.pointer("/state/terminated/exitCode").and_then(Value::as_i64) == Some(0)
            })
        })
    }

    /// What of the pod is larger than we read, in a few words.
    pub fn oversized(&self) -> Option<String> {
        let entries = |path: &str| {
            let field = self.template.pointer(path);
            field.map_or(0, |field| {
                field.as_array().map_or_else(|| field.as_object().map_or(0, |o| o.len()), Vec::len)
            })
        };
        for path in ["/metadata/annotations", "/metadata/labels", "/spec/containers", "/spec/initContainers"]
        {
            if entries(path) > MOST_ENTRIES {
                return Some(format!(
                    "{} entries in {path}, accepted: at most {MOST_ENTRIES}",
                    entries(path)
                ));
            }
        }
        self.containers().find_map(|container| container.oversized())
    }
}
