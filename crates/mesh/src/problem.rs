//! What can be wrong with a pod. Problems stop it (its rules would not be what its author asked for); warnings do
//! not. All problems are collected before any is told, so that one round of corrections is enough.

use std::fmt;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::InvalidOption;
use meshward_redirect::net::visible;
use serde::Serialize;

/// A pod whose redirection cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanError {
    /// Kind and name of the object the pod was found in.
    pub object: String,
    /// Everything that is wrong, at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{} {problem}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanError {}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An option's value is not accepted, or contradicts another.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// An annotation or label that is no option by itself has a value that is not accepted.
    #[error("{place}: found {found}, accepted: {accepted}")]
    Value {
        /// `annotation X of the pod`, or a field's path
        place: String,
        /// The value, cut to a bounded length.
        found: String,
        /// The accepted form.
        accepted: &'static str,
    },
    /// The init container's command line does not parse.
    #[error("arguments of container {}: {problem}", visible(container))]
    Arguments {
        /// The container.
        container: String,
        /// The argument and, where there is one, the nearest known one.
        problem: String,
    },
    /// The configuration is somewhere that cannot be read from outside the pod.
    #[error(
        "container {} reads {}, which cannot be known here; accepted: {accepted}",
        visible(container),
        visible(what)
    )]
    OutOfReach {
        /// The container.
        container: String,
        /// A variable or a file.
        what: String,
        /// Where the value is looked for instead.
        accepted: &'static str,
    },
    /// A document inside an annotation or variable does not parse.
    #[error("{place}: {}", visible(problem))]
    Document {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Containers of more than one mesh.
    #[error("the pod has containers of more than one mesh ({}); accepted: one mesh per pod", list(found))]
    SeveralMeshes {
        /// Each with one of its containers.
        found: Vec<(Mesh, String)>,
    },
    /// Larger than we read.
    #[error("found {0}")]
    TooLarge(String),
}

fn list(found: &[(Mesh, String)]) -> String {
    found
        .iter()
        .map(|(mesh, container)| format!("{mesh}: {}", visible(container)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A value as it appears in an error: quoted, at most 120 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// Something that does not stop the pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// A key under a mesh's prefix that the mesh does not know, and therefore ignores.
    UnknownAnnotation {
        /// `pod` or `namespace`
        object: &'static str,
        /// The key.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// An annotation of a mesh was set as a label, which nobody reads. (The seed project read its tuning from
    /// labels by mistake; label values cannot even hold `*`, `,` or `/`.)
    LabelInsteadOfAnnotation {
        /// `pod` or `namespace`
        object: &'static str,
        /// The key.
        key: String,
    },
    /// A deprecated key.
    Deprecated {
        /// The key.
        key: String,
        /// What to use instead.
        instead: &'static str,
    },
    /// A variable or file that cannot be read from outside the pod, and might have changed the rules.
    Unresolved {
        /// The container.
        container: String,
        /// The variable or source.
        what: String,
    },
    /// The proxy's own traffic would be redirected back to it.
    ProxyNotExempt {
        /// The container.
        container: String,
        /// The user it runs as.
        user: u32,
        /// The users that are exempt.
        exempt: String,
    },
    /// Anything else about one option.
    Option {
        /// The option's long name.
        option: &'static str,
        /// What happens, and what to do about it.
        message: String,
    },
    /// Anything else about the pod.
    Pod {
        /// What happens, and what to do about it.
        message: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownAnnotation { object, key, nearest: Some(nearest) } => {
                write!(
                    f,
                    "annotation {} of the {object} is unknown and ignored; did you mean {nearest}?",
                    visible(key)
                )
            }
            Warning::UnknownAnnotation { object, key, nearest: None } => {
                write!(f, "annotation {} of the {object} is unknown and ignored", visible(key))
            }
            Warning::LabelInsteadOfAnnotation { object, key } => {
                write!(f, "{} is a label of the {object}; it is only read as an annotation", visible(key))
            }
            Warning::Deprecated { key, instead } => {
                write!(f, "annotation {key} is deprecated; use {instead}")
            }
            Warning::Unresolved { container, what } => {
                write!(
                    f,
                    "container {} takes {what} from a place that cannot be read here; it is ignored",
                    visible(container)
                )
            }
            Warning::ProxyNotExempt { container, user, exempt } => write!(
                f,
                "container {} runs as user {user}, exempt are {exempt}: its own traffic would come back to it",
                visible(container)
            ),
            Warning::Option { option, message } => write!(f, "{option}: {message}"),
            Warning::Pod { message } => f.write_str(message),
        }
    }
}
