//! What came of a swap, in data and in words: the CLI prints it, the webhook returns it as warnings, and a dry run
//! is nothing else.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::pod::PodTemplate;
use crate::problem::PlanError;
use crate::swap::refusal::Refusal;
use crate::swap::wait::WAIT_CONTAINER;
use crate::verdict::{Plan, Reason};

/// What came of a swap.
#[derive(Debug, Clone)]
pub enum Swapped {
    /// Another pod.
    Changed(Box<SwappedPod>),
    /// The same pod.
    Unchanged(Unchanged),
}

/// A pod after the swap.
#[derive(Debug, Clone)]
pub struct SwappedPod {
    /// The whole template; it belongs where [`PodTemplate::pointer`] points.
    pub template: Value,
    /// What the pod wants, now as before.
    pub plan: Box<Plan>,
    /// What was done, at least one.
    pub changes: Vec<Change>,
    /// What the mesh itself set in a way that *restricted* forbids, and therefore stays.
    pub left: Vec<Left>,
}

/// Why a pod stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Unchanged {
    /// It, or its namespace, says so.
    OptedOut {
        /// `annotation X of the pod is "disabled"`
        by: String,
    },
    /// It gets no rules, so there is nothing to wait for.
    NoRules {
        /// Why not.
        reason: Reason,
        /// Privileged init containers of a mesh that are nevertheless in it.
        privileged: Vec<String>,
    },
    /// It is swapped already.
    Already {
        /// What *restricted* forbids in the mesh's containers even so.
        left: Vec<Left>,
    },
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unchanged::OptedOut { by } => write!(f, "{by}"),
            Unchanged::NoRules { reason, privileged } if privileged.is_empty() => write!(f, "{reason}"),
            Unchanged::NoRules { reason, privileged } => {
                write!(f, "{reason}; its privileged init container stays: {}", privileged.join(", "))
            }
            Unchanged::Already { .. } => f.write_str("it is swapped already"),
        }
    }
}

/// One thing that was done to a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// The wait container took the place of others.
    Replaced {
        /// Their names.
        containers: Vec<String>,
    },
    /// The wait container was put in front of what must not start without rules.
    Inserted,
    /// The wait container that was there was brought up to the present options.
    Refreshed,
    /// Consul's init container lost what it needed for rules; it logs the proxy in, and nothing else.
    LogInOnly {
        /// Its name.
        container: String,
    },
    /// Fields that the mesh left open were closed.
    Hardened {
        /// The container.
        container: String,
        /// The fields of its security context.
        fields: Vec<&'static str>,
    },
    /// An annotation was written.
    Annotated {
        /// Its key.
        key: String,
    },
    /// An annotation about a container that is gone was removed; the API server refuses those.
    Removed {
        /// Its key.
        key: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Replaced { containers } => {
                write!(f, "{WAIT_CONTAINER} in place of {}", containers.join(", "))
            }
            Change::Inserted => write!(f, "{WAIT_CONTAINER} in front"),
            Change::Refreshed => write!(f, "{WAIT_CONTAINER} brought up to date"),
            Change::LogInOnly { container } => {
                write!(f, "{container} keeps its log-in, and loses root and NET_ADMIN")
            }
            Change::Hardened { container, fields } => write!(f, "{container}: {} set", fields.join(", ")),
            Change::Annotated { key } => write!(f, "annotation {key} written"),
            Change::Removed { key } => write!(f, "annotation {key} removed"),
        }
    }
}

/// Something that *restricted* forbids, and that the mesh itself asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The container.
    pub container: String,
    /// The field of its security context.
    pub field: &'static str,
    /// Its value, as JSON.
    pub value: String,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, field, value } = self;
        write!(f, "container {container} still violates restricted: the mesh set {field} to {value}")
    }
}

/// Why a pod cannot be swapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapError {
    /// What it wants cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What it wants cannot be had without privileges in the pod.
    #[error("{object}: {}", sentence(refusals))]
    Refused {
        /// Kind and name of the object the pod was found in.
        object: String,
        /// Every reason, at least one.
        refusals: Vec<Refusal>,
    },
}

impl SwapError {
    pub(crate) fn refused(pod: &PodTemplate<'_>, refusals: Vec<Refusal>) -> Self {
        SwapError::Refused { object: pod.title(), refusals }
    }
}

fn sentence(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
