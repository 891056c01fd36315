//! YAML's merge key `<<`. JSON never comes here.

use serde_json::Value;

use super::{Builder, Finished, Mark};
use crate::{
    error::{ManifestError, Problem},
    location::Location,
};

impl Builder<'_> {
    /// Sets what a merge key brings, in the order of go-yaml v2: it replaces what the map already has, and of a list's
    /// maps the first wins (`decode.go`, `merge`).
    pub(super) fn merge(&mut self, finished: Finished, at: Location) -> Result<(), ManifestError> {
        let sources = match finished.value {
            Value::Object(map) => vec![map],
            Value::Array(items) if !finished.aliased => items
                .into_iter()
                .rev()
                .map(|item| match item {
                    Value::Object(map) => Ok(map),
                    other => Err(ManifestError::new(at, Problem::Merge { found: name_in_list(&other) })),
                })
                .collect::<Result<_, _>>()?,
            other => return Err(ManifestError::new(at, Problem::Merge { found: name(&other) })),
        };
        let mark = Mark { at, merged: true };
        sources.into_iter().flatten().try_for_each(|(key, value)| self.put_entry(key, value, mark))
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an alias of a list",
        Value::Object(_) => "a map",
    }
}

fn name_in_list(value: &Value) -> &'static str {
    if value.is_array() { "a list in a list" } else { name(value) }
}
