//! Exemptions: what a cluster's owner allows one container although Pod Security forbids it. The peers exempt by
//! namespace, or by image and control apart from each other, and so release more than anybody meant; here every word of
//! an entry is about one and the same container, and an exemption takes out single values, never a whole check.
//!
//! ```text
//! Exemption, ClusterExemption ─ parse ─┐
//! MeshPreset ─ Preset (a table) ───────┴─► Exemption { subjects, entries [{ containers, allow }] }
//! CheckResults of a pod ─ apply(exemptions, now) ─► what is left, and for each removed finding who removed it
//! what is left ─ near_misses ─► why an exemption that was nearly meant did not apply
//! ```
//!
//! The objects are of group `meshward.dev`, version `v1alpha1`:
//! - `Exemption` is namespaced and about pods of its own namespace; it has no `subjects.namespaces`.
//! - `ClusterExemption` is cluster-scoped and must say which namespaces it is about.
//! - `MeshPreset` is cluster-scoped, says its namespaces as well, and stands for entries that are built in; see
//!   [`PRESETS`].
//!
//! ```yaml
//! apiVersion: meshward.dev/v1alpha1
//! kind: Exemption
//! metadata: {name: legacy-init, namespace: shop}
//! spec:
//!   reason: writes the redirection rules until the node agent is rolled out
//!   owner: team-mesh
//!   expires: 2027-03-31T00:00:00Z
//!   subjects: {serviceAccounts: [web]}
//!   entries:
//!     - containers: {names: [istio-init], kinds: [init], images: ["docker.io/istio/proxyv2:1.27.*"], command: [], args: [istio-iptables, "..."]}
//!       allow:
//!         - {control: Capabilities, field: "spec.initContainers[*].securityContext.capabilities.add", values: [NET_ADMIN, NET_RAW]}
//! ```

mod allow;
mod apply;
mod around;
mod error;
mod near;
mod parse;
mod preset;
mod select;
mod spec;
mod values;

use crate::go::time::Moment;
use crate::kyverno::matching::Selector;
use std::fmt;

pub use apply::{Removed, Who, apply};
pub use error::ExemptionError;
pub use near::{Miss, NearMiss, near_misses};
pub use preset::{PRESETS, Preset, PresetAllow};
pub use select::Trait;
pub use spec::{
    Allow as AllowSpec, Containers as ContainersSpec, Entry as EntrySpec, Exemption as ExemptionSpec,
};
pub use spec::{MeshPreset as MeshPresetSpec, Subjects as SubjectsSpec};

#[cfg(feature = "schema")]
mod schema;
#[cfg(feature = "schema")]
pub use schema::schema;
#[cfg(feature = "schema")]
use schema::{known_kinds, preset_names};

pub(crate) use allow::{controls, fields_of, names as field_has_name};
pub(crate) use values::{UNSET, slip, value_of};

use allow::Allow;
use select::ContainerSelector;

/// The API group of the objects.
pub const GROUP: &str = "meshward.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";

/// Which kind of object an exemption was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of one namespace.
    Exemption,
    /// Of the namespaces that it names.
    ClusterExemption,
    /// Built-in entries for the namespaces that it names.
    MeshPreset,
}

impl Kind {
    /// The name in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Exemption => "Exemption",
            Kind::ClusterExemption => "ClusterExemption",
            Kind::MeshPreset => "MeshPreset",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An exemption that was read and checked.
#[derive(Debug, Clone)]
pub struct Exemption {
    kind: Kind,
    name: String,
    namespace: String,
    reason: String,
    owner: String,
    expires: Option<Moment>,
    preset: Option<&'static Preset>,
    subjects: Subjects,
    entries: Vec<Entry>,
}

/// Whose pods an exemption is about; every part must hold.
#[derive(Debug, Clone, Default)]
struct Subjects {
    /// Patterns; empty for an `Exemption`, which has its own namespace instead.
    namespaces: Vec<String>,
    labels: Option<Selector>,
    service_accounts: Vec<String>,
}

/// What is allowed to which containers.
#[derive(Debug, Clone)]
struct Entry {
    /// `None`: what the entry allows is of the pod, not of a container.
    containers: Option<ContainerSelector>,
    allow: Vec<Allow>,
}

impl Exemption {
    /// Which kind of object it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The object's name; with its namespace and a slash before it if it has one.
    pub fn key(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    /// Why it is there, in its owner's words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who answers for it; may be empty.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// From when on it has no effect.
    pub fn expires(&self) -> Option<Moment> {
        self.expires
    }

    /// Whether it has no effect any more.
    pub fn expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|expires| !now.is_before(expires))
    }

    /// The preset that its entries are from.
    pub fn preset(&self) -> Option<&'static Preset> {
        self.preset
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no entries; one that was read has at least one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
