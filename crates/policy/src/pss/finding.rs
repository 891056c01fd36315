//! One offending value and its place. Exemptions, explanations, snippets of the user's file and upstream's sentences
//! are all made from findings, so none of them can name a value that the others do not know.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::Value;

use super::Container;

/// What kind of object holds a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `metadata.annotations`; the path is a key, or a key's prefix and `*`.
    Annotation,
    /// The pod's `spec`.
    Pod,
    /// An element of `spec.{initContainers,containers,ephemeralContainers}`.
    Container,
    /// An element of `spec.volumes`.
    Volume,
}

/// A field that a check reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// What holds it.
    pub scope: Scope,
    /// Its path inside the holder, list elements as `[*]`; empty for the holder itself.
    pub path: &'static str,
    /// What it may hold, for people.
    pub allowed: &'static str,
}

impl Field {
    /// The names of the field as `restrictedField` in exemptions writes them: one, or one for each list of containers.
    #[must_use]
    pub fn restricted_fields(&self) -> Vec<String> {
        let path = self.path;
        match self.scope {
            Scope::Annotation => vec![format!("metadata.annotations[{path}]")],
            Scope::Pod => vec![format!("spec.{path}")],
            Scope::Volume => vec![join("spec.volumes[*]", path)],
            Scope::Container => {
                ["spec.initContainers[*]", "spec.containers[*]", "spec.ephemeralContainers[*]"]
                    .into_iter()
                    .map(|list| join(list, path))
                    .collect()
            }
        }
    }
}

fn join(holder: &str, path: &str) -> String {
    if path.is_empty() { holder.to_owned() } else { format!("{holder}.{path}") }
}

/// The object that holds an offending value.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// The pod.
    Pod,
    /// One container.
    Container(Container<'a>),
    /// One volume.
    Volume {
        /// Its place in `spec.volumes`.
        index: usize,
        /// Its name; empty when it has none.
        name: &'a str,
    },
    /// One annotation of the pod.
    Annotation {
        /// Its key.
        key: &'a str,
        /// The container that the key ends in, where the pod has it.
        container: Option<Container<'a>>,
    },
}

/// One offending value.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'a> {
    /// The field, as the table of checks knows it.
    pub field: &'static Field,
    /// Who holds it.
    pub holder: Holder<'a>,
    /// The list element: what `[*]` in the field's path stands for, or the element of the list that the field is.
    pub index: Option<usize>,
    /// The value; `None` where the field must be set and is not. For `hostPath` it is the path on the host. A host
    /// port that the API server would fill in is the container's port.
    pub value: Option<&'a Value>,
    pub(super) base: &'static str,
}

impl<'a> Finding<'a> {
    /// The container that the finding is about, if it is about one.
    #[must_use]
    pub fn container(&self) -> Option<Container<'a>> {
        match self.holder {
            Holder::Container(container) => Some(container),
            Holder::Annotation { container, .. } => container,
            Holder::Pod | Holder::Volume { .. } => None,
        }
    }

    /// The field's name with list elements as `[*]`, for example `spec.initContainers[*].securityContext.privileged`;
    /// for an annotation its whole key in brackets.
    #[must_use]
    pub fn restricted_field(&self) -> String {
        let path = self.field.path;
        match self.holder {
            Holder::Annotation { key, .. } => format!("metadata.annotations[{key}]"),
            Holder::Pod => format!("spec.{path}"),
            Holder::Volume { .. } => join("spec.volumes[*]", path),
            Holder::Container(container) => format!("spec.{}[*].{path}", container.kind.list()),
        }
    }

    /// The same with the numbers of the list elements, as field errors of the API server write it.
    #[must_use]
    pub fn path(&self) -> String {
        let path = match self.index {
            Some(index) if self.field.path.contains("[*]") => {
                Cow::Owned(self.field.path.replacen("[*]", &format!("[{index}]"), 1))
            }
            _ => Cow::Borrowed(self.field.path),
        };
        match self.holder {
            Holder::Annotation { key, .. } => format!("metadata.annotations[{key}]"),
            Holder::Pod => format!("spec.{path}"),
            Holder::Volume { index, .. } => join(&format!("spec.volumes[{index}]"), &path),
            Holder::Container(container) => {
                format!("spec.{}[{}].{path}", container.kind.list(), container.index)
            }
        }
    }

    /// The JSON pointer (RFC 6901) from the root of the object that was given, a controller's template included. It
    /// may name a place that does not exist: that is where the missing value belongs.
    #[must_use]
    pub fn pointer(&self) -> String {
        let mut pointer = self.base.to_owned();
        // Writing to a String cannot fail.
        let _ = match self.holder {
            Holder::Annotation { key, .. } => {
                let key = key.replace('~', "~0").replace('/', "~1");
                write!(pointer, "/metadata/annotations/{key}")
            }
            Holder::Pod => pointer.write_str("/spec"),
            Holder::Volume { index, .. } => write!(pointer, "/spec/volumes/{index}"),
            Holder::Container(container) => {
                write!(pointer, "/spec/{}/{}", container.kind.list(), container.index)
            }
        };
        if !matches!(self.holder, Holder::Annotation { .. }) {
            self.push_path(&mut pointer);
        }
        pointer
    }

    fn push_path(&self, pointer: &mut String) {
        let mut index = self.index;
        for step in self.field.path.split('.').filter(|step| !step.is_empty()) {
            pointer.push('/');
            match step.strip_suffix("[*]") {
                Some(list) => {
                    let _ = write!(pointer, "{list}/{}", index.take().unwrap_or_default());
                }
                None => pointer.push_str(step),
            }
        }
        if let Some(index) = index {
            let _ = write!(pointer, "/{index}");
        }
    }

    /// The value as sentences and exemptions write it: text as it is, numbers and booleans in JSON, nothing for a
    /// missing or null value.
    #[must_use]
    pub fn value_text(&self) -> Cow<'a, str> {
        match self.value {
            None | Some(Value::Null) => Cow::Borrowed(""),
            Some(Value::String(text)) => Cow::Borrowed(text),
            Some(Value::Bool(true)) => Cow::Borrowed("true"),
            Some(Value::Bool(false)) => Cow::Borrowed("false"),
            Some(other) => Cow::Owned(other.to_string()),
        }
    }
}
