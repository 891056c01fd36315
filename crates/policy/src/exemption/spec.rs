//! The `spec` of each kind as it is written, for schemas, editors and generators.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `spec` of an `Exemption` or `ClusterExemption`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exemption {
    /// Why it is there. Required: whoever finds it later must know whether it may go.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"\S")))]
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// From when on it has no effect, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires: Option<String>,
    /// Whose pods it is about; all pods of the namespace if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Subjects>,
    /// What is allowed; at least one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub entries: Vec<Entry>,
}

/// `spec` of a `MeshPreset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MeshPreset {
    /// The name of a built-in preset, such as `istio-init`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = super::preset_names())))]
    pub preset: String,
    /// The images of the mesh in this cluster, if they are not the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(length(min = 1))))]
    pub images: Option<Vec<String>>,
    /// Why it is there.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"\S")))]
    pub reason: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// From when on it has no effect, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires: Option<String>,
    /// Whose pods it is about; `namespaces` is required.
    pub subjects: Subjects,
}

/// Whose pods; every part that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subjects {
    /// Names or patterns (`*`, `?`) of namespaces; not in an `Exemption`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = r"^[a-z0-9.*?-]{1,253}$"))))]
    pub namespaces: Option<Vec<String>>,
    /// A label selector for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_labels: Option<LabelSelector>,
    /// Names or patterns of the pods' service accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = r"^[a-z0-9.*?-]{1,253}$"))))]
    pub service_accounts: Option<Vec<String>>,
}

/// A label selector as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Requirements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_expressions: Option<Vec<Requirement>>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"])))]
    pub operator: String,
    /// Of `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
}

/// What is allowed to which containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Which containers. If it is left out, the entry is about fields of the pod, never about those of containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containers: Option<Containers>,
    /// What they may; at least one.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub allow: Vec<Allow>,
}

/// Which containers: of each list that is set, one element must fit the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Containers {
    /// Names or patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1), inner(regex(pattern = r"^[a-z0-9.*?-]{1,253}$")))
    )]
    pub names: Option<Vec<String>>,
    /// `init` (ends before the pod starts), `sidecar` (an init container that is always restarted), `regular`,
    /// `ephemeral`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), transform = super::known_kinds))]
    pub kinds: Option<Vec<String>>,
    /// Image patterns, such as `docker.io/istio/proxyv2:1.27.*` or `docker.io/istio/proxyv2@sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1), inner(length(min = 1))))]
    pub images: Option<Vec<String>>,
    /// The container's `command`, word by word; `[]` for a container that has none. `...` as the last word stands for
    /// any further ones. `!` before a pattern forbids it of every word, and of two that follow each other with a space
    /// between them: `"!--path */*"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The container's `args`, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Names or patterns of the variables that its environment may have; `[]` for none. `!` before one forbids it.
    /// `envFrom` brings names that the pod does not tell and fits `["*"]` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Paths or patterns of what may be mounted in it; `[]` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<String>>,
    /// Commands that its probes and lifecycle hooks may run in it, the words of each with a space between them, or
    /// patterns; `[]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Vec<String>>,
}

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Allow {
    /// The control's name, such as `Capabilities`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = super::controls())))]
    pub control: String,
    /// One field of the control; all of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Values or patterns of the field; `unset` for a field that is not set. All values if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub values: Option<Vec<String>>,
}
