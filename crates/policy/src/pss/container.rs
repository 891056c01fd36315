//! A container as the checks and the exemptions see it.

use serde_json::{Map, Value};

use super::pod::{member, object, text};

/// Which role a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerKind {
    /// In `spec.initContainers`, and ends before the pod starts.
    Init,
    /// In `spec.initContainers` with `restartPolicy: Always`: a native sidecar, which lives as long as the pod.
    Sidecar,
    /// In `spec.containers`.
    Regular,
    /// In `spec.ephemeralContainers`.
    Ephemeral,
}

impl ContainerKind {
    /// The key of its list in the pod's `spec`.
    #[must_use]
    pub fn list(self) -> &'static str {
        match self {
            ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
            ContainerKind::Regular => "containers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        }
    }

    /// The name for people and exemptions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ContainerKind::Init => "init",
            ContainerKind::Sidecar => "sidecar",
            ContainerKind::Regular => "regular",
            ContainerKind::Ephemeral => "ephemeral",
        }
    }
}

/// One container of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// Its role.
    pub kind: ContainerKind,
    /// Its place in its list.
    pub index: usize,
    /// Its name; empty when it has none.
    pub name: &'a str,
    /// The container itself; `None` where the list holds something that is not an object.
    pub object: Option<&'a Map<String, Value>>,
    pub(super) security: Option<&'a Map<String, Value>>,
}

impl<'a> Container<'a> {
    pub(super) fn new(list: ContainerKind, index: usize, value: &'a Value) -> Container<'a> {
        let container = value.as_object();
        let always = text(container, "restartPolicy") == "Always";
        let kind = if list == ContainerKind::Init && always { ContainerKind::Sidecar } else { list };
        let name = text(container, "name");
        Container { kind, index, name, object: container, security: object(container, "securityContext") }
    }

    /// A container with a name and nothing else.
    pub(crate) fn empty(name: &'a str) -> Container<'a> {
        Container { kind: ContainerKind::Regular, index: 0, name, object: None, security: None }
    }

    /// The raw `image`; empty when there is none.
    #[must_use]
    pub fn image(&self) -> &'a str {
        text(self.object, "image")
    }

    /// Whether both are the same element of the same list; names may repeat.
    #[must_use]
    pub fn same(&self, other: &Container<'_>) -> bool {
        self.index == other.index && self.kind == other.kind
    }

    pub(super) fn setting(&self, key: &str) -> Option<&'a Value> {
        member(self.security, key)
    }
}
