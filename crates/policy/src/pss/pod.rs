//! A borrowed view of a pod (or of a controller's pod template), resolved once so that nineteen checks do not look the
//! same keys up again. `null` is the same as absent everywhere, as it is when the API server decodes an object.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Container, ContainerKind};

/// Which of the API server's defaults hold for the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    /// What kube-apiserver does before admission: a volume without a source is an `emptyDir`; a pod (not a template)
    /// in the host's network uses its container ports as host ports. The default. Harmless for objects that already
    /// went through the API server.
    ApiServer,
    /// The object exactly as written.
    None,
}

/// A pod to check.
#[derive(Clone, Debug)]
pub struct Pod<'a> {
    pub(super) base: &'static str,
    pub(super) metadata: Option<&'a Map<String, Value>>,
    pub(super) spec: Option<&'a Map<String, Value>>,
    pub(super) security: Option<&'a Map<String, Value>>,
    pub(super) defaults: Defaults,
    containers: Vec<Container<'a>>,
}

impl<'a> Pod<'a> {
    /// A view of a Pod object. Anything that is not one is seen as a pod without fields; see [`Pod::malformed`].
    #[must_use]
    pub fn new(pod: &'a Value) -> Pod<'a> {
        Pod::at(pod, "")
    }

    /// A view of the pod or pod template (`metadata` and `spec`) that sits at the JSON pointer `base` of its object.
    pub(super) fn at(pod: &'a Value, base: &'static str) -> Pod<'a> {
        Pod::of_parts(pod.get("metadata"), pod.get("spec"), base)
    }

    /// A view of a pod whose two parts may come from different places.
    pub(crate) fn of_parts(
        metadata: Option<&'a Value>,
        spec: Option<&'a Value>,
        base: &'static str,
    ) -> Pod<'a> {
        let metadata = metadata.and_then(Value::as_object);
        let spec = spec.and_then(Value::as_object);
        let security = object(spec, "securityContext");
        let lists = [ContainerKind::Init, ContainerKind::Regular, ContainerKind::Ephemeral];
        let count = lists.iter().map(|kind| list(spec, kind.list()).len()).sum();
        let mut containers = Vec::with_capacity(count);
        for kind in lists {
            let elements = list(spec, kind.list()).iter().enumerate();
            containers.extend(elements.map(|(index, value)| Container::new(kind, index, value)));
        }
        Pod { base, metadata, spec, security, defaults: Defaults::ApiServer, containers }
    }

    /// The same pod with other defaults.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Defaults) -> Pod<'a> {
        self.defaults = defaults;
        self
    }

    /// The same pod with other containers.
    pub(crate) fn with_containers(mut self, containers: Vec<Container<'a>>) -> Pod<'a> {
        self.containers = containers;
        self
    }

    /// A pod of nothing but containers.
    pub(crate) fn of_containers(containers: Vec<Container<'a>>) -> Pod<'a> {
        Pod::of_parts(None, None, "").with_containers(containers)
    }

    /// The containers in the order in which upstream visits them: init, regular, ephemeral.
    #[must_use]
    pub fn containers(&self) -> &[Container<'a>] {
        &self.containers
    }

    /// The JSON pointer of the pod or template in its object: empty for a Pod.
    #[must_use]
    pub fn base(&self) -> &'static str {
        self.base
    }

    /// The pod's `spec`, if it is an object.
    #[must_use]
    pub fn spec(&self) -> Option<&'a Map<String, Value>> {
        self.spec
    }

    /// `spec.runtimeClassName`; empty when unset.
    #[must_use]
    pub fn runtime_class(&self) -> &'a str {
        text(self.spec, "runtimeClassName")
    }

    /// The pod's annotations, if it has any.
    #[must_use]
    pub fn annotations(&self) -> Option<&'a Map<String, Value>> {
        object(self.metadata, "annotations")
    }

    /// The pod's labels, if it has any.
    #[must_use]
    pub fn labels(&self) -> Option<&'a Map<String, Value>> {
        object(self.metadata, "labels")
    }

    /// `spec.serviceAccountName`, or its old name, or what the API server fills in.
    #[must_use]
    pub fn service_account(&self) -> &'a str {
        let names = [text(self.spec, "serviceAccountName"), text(self.spec, "serviceAccount")];
        names.into_iter().find(|name| !name.is_empty()).unwrap_or("default")
    }

    pub(super) fn setting(&self, key: &str) -> Option<&'a Value> {
        member(self.security, key)
    }

    /// The first container of each name. A map, because both containers and the annotations that name them are as
    /// many as a pod's author likes.
    pub(super) fn by_name(&self) -> HashMap<&'a str, Container<'a>> {
        let mut named = HashMap::with_capacity(self.containers.len());
        for container in &self.containers {
            named.entry(container.name).or_insert(*container);
        }
        named
    }

    pub(super) fn host_network(&self) -> bool {
        member(self.spec, "hostNetwork").is_some_and(|value| value == &Value::Bool(true))
    }
}

/// A member that is set, that is: present and not null.
pub(super) fn member<'a>(object: Option<&'a Map<String, Value>>, key: &str) -> Option<&'a Value> {
    object.and_then(|object| object.get(key)).filter(|value| !value.is_null())
}

pub(super) fn object<'a>(
    object: Option<&'a Map<String, Value>>,
    key: &str,
) -> Option<&'a Map<String, Value>> {
    member(object, key).and_then(Value::as_object)
}

pub(super) fn list<'a>(object: Option<&'a Map<String, Value>>, key: &str) -> &'a [Value] {
    member(object, key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(object: Option<&'a Map<String, Value>>, key: &str) -> &'a str {
    member(object, key).and_then(Value::as_str).unwrap_or_default()
}
