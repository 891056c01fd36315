//! A field that nobody reads is a rule that nobody enforces: Kyverno's command line skips a policy with an unknown field
//! without a word, and a slip in an exemption makes it exempt nothing. This table knows the fields of every kind that
//! this crate reads; those of kyverno.io are the fields of its custom resource definitions, version 1.19.1.
//!
//! ```text
//! data/fields.json ─► Shape of (kind, version) ─ walk(object) ─► [FieldProblem { path, problem, accepted, nearest }]
//! ```

use crate::nearest::nearest;
use serde_json::{Map, Value};
use std::fmt;
use std::sync::OnceLock;

/// How deep the walk goes; loops may be nested in policies.
const MAX_DEPTH: usize = 64;

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// No such field is known.
    Unknown,
    /// The field holds a value of another type.
    Type,
}

/// A field that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Where it is, such as `spec.rules[0].validate.patern`.
    pub path: String,
    /// The same as a JSON pointer (RFC 6901), to find the line.
    pub pointer: String,
    /// What is wrong.
    pub wrong: Wrong,
    /// The type that was found.
    pub found: &'static str,
    /// What is accepted: names of fields, or a type.
    pub accepted: Vec<String>,
    /// Of an unknown field, the known one that is most likely meant.
    pub nearest: Option<String>,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = self.accepted.join(", ");
        match self.wrong {
            Wrong::Unknown => write!(f, "{}: unknown field, accepted: {accepted}", self.path)?,
            Wrong::Type => write!(f, "{}: found {}, accepted: {accepted}", self.path, self.found)?,
        }
        match &self.nearest {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

/// The fields of an object of kyverno.io (ClusterPolicy, Policy, PolicyException) or meshward.dev that are unknown or of
/// another type than they must be. `None` if the kind or its version is not one of these.
pub fn check(object: &Value) -> Option<Vec<FieldProblem>> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/')?;
    let kind = text("kind");
    let own = matches!(kind, "Exemption" | "ClusterExemption" | "MeshPreset");
    if group != if own { "meshward.dev" } else { "kyverno.io" } {
        return None;
    }
    let shape = table().get("kinds")?.get(format!("{kind}/{version}"))?;
    let mut walk = Walk { problems: Vec::new(), path: String::new(), pointer: String::new() };
    walk.value(object, shape, 0);
    Some(walk.problems)
}

/// Only the unknown fields; empty for kinds that the table does not know.
pub fn unknown_fields(object: &Value) -> Vec<FieldProblem> {
    let mut problems = check(object).unwrap_or_default();
    problems.retain(|problem| problem.wrong == Wrong::Unknown);
    problems
}

/// The versions that the table knows of a kind, such as `v1` and `v2beta1` of `ClusterPolicy`.
pub fn versions(kind: &str) -> Vec<&'static str> {
    let kinds = table().get("kinds").and_then(Value::as_object).into_iter().flatten();
    kinds.filter_map(|(name, _)| name.strip_prefix(kind)?.strip_prefix('/')).collect()
}

/// Shapes in short form: `s` text, `i` number, `b` boolean, `*` anything, `[x]` a list, `{"*": x}` an object of any
/// names, `$n` one that several share.
fn table() -> &'static Value {
    static TABLE: OnceLock<Value> = OnceLock::new();
    TABLE.get_or_init(|| serde_json::from_str(include_str!("../data/fields.json")).unwrap_or_default())
}

struct Walk {
    problems: Vec<FieldProblem>,
    path: String,
    pointer: String,
}

impl Walk {
    fn value(&mut self, value: &Value, shape: &'static Value, depth: usize) {
        let shape = match shape.as_str() {
            Some(name) if name.starts_with('$') => {
                table().get("shared").and_then(|shared| shared.get(name)).unwrap_or(&Value::Null)
            }
            _ => shape,
        };
        if value.is_null() || depth > MAX_DEPTH {
            return;
        }
        match (shape, value) {
            (Value::Object(fields), Value::Object(map)) => self.members(map, fields, depth),
            (Value::Array(items), Value::Array(values)) => {
                let Some(item) = items.first() else { return };
                for (index, value) in values.iter().enumerate() {
                    self.inside(&format!("[{index}]"), &index.to_string(), |walk| {
                        walk.value(value, item, depth + 1);
                    });
                }
            }
            (Value::Object(_), _) => self.wrong_type(value, "an object"),
            (Value::Array(_), _) => self.wrong_type(value, "a list"),
            (Value::String(kind), value) => match (kind.as_str(), value) {
                ("s", Value::String(_)) | ("b", Value::Bool(_)) | ("i", Value::Number(_)) => {}
                ("s", _) => self.wrong_type(value, "text"),
                ("b", _) => self.wrong_type(value, "true, false"),
                ("i", _) => self.wrong_type(value, "a number"),
                _ => {}
            },
            _ => {}
        }
    }

    fn members(&mut self, map: &Map<String, Value>, fields: &'static Map<String, Value>, depth: usize) {
        let any = fields.get("*");
        for (name, value) in map {
            let step = if self.path.is_empty() { name.clone() } else { format!(".{name}") };
            let pointer = name.replace('~', "~0").replace('/', "~1");
            self.inside(&step, &pointer, |walk| match fields.get(name).or(any) {
                Some(shape) => walk.value(value, shape, depth + 1),
                None => walk.unknown(name, value, fields),
            });
        }
    }

    fn inside(&mut self, step: &str, pointer: &str, walk: impl FnOnce(&mut Walk)) {
        let (path, at) = (self.path.len(), self.pointer.len());
        self.path.push_str(step);
        self.pointer.push('/');
        self.pointer.push_str(pointer);
        walk(self);
        self.path.truncate(path);
        self.pointer.truncate(at);
    }

    fn unknown(&mut self, name: &str, value: &Value, fields: &'static Map<String, Value>) {
        let names = || fields.keys().map(String::as_str);
        self.problems.push(FieldProblem {
            path: self.path.clone(),
            pointer: self.pointer.clone(),
            wrong: Wrong::Unknown,
            found: type_name(value),
            accepted: names().map(str::to_owned).collect(),
            nearest: nearest(name, names()).map(str::to_owned),
        });
    }

    fn wrong_type(&mut self, value: &Value, accepted: &str) {
        self.problems.push(FieldProblem {
            path: self.path.clone(),
            pointer: self.pointer.clone(),
            wrong: Wrong::Type,
            found: type_name(value),
            accepted: vec![accepted.to_owned()],
            nearest: None,
        });
    }
}

/// A value's type in words.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_slips_with_what_is_meant() {
        let policy = json!({
            "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p", "lables": {}},
            "spec": {"backgroud": true, "rules": [{
                "name": "r", "match": {"any": [{"resources": {"kind": ["Pod"]}}]},
                "validate": {"mesage": "m", "pattern": {"any": {"thing": ["=(goes)"]}}, "foreach": [{"foreach": [{"lst": "x"}]}]},
            }]},
        });
        let found: Vec<_> = unknown_fields(&policy)
            .into_iter()
            .map(|problem| (problem.path, problem.nearest.unwrap_or_default()))
            .collect();
        let expected = [
            ("metadata.lables", "labels"),
            ("spec.backgroud", "background"),
            ("spec.rules[0].match.any[0].resources.kind", "kinds"),
            ("spec.rules[0].validate.mesage", "message"),
        ];
        assert_eq!(found, expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
    }

    #[test]
    fn finds_wrong_types_and_knows_its_kinds() {
        let exemption = json!({
            "apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "metadata": {"name": "e"},
            "spec": {"reason": 3, "entries": {"allow": []}},
        });
        let found: Vec<String> = check(&exemption).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "spec.reason: found a number, accepted: text",
                "spec.entries: found an object, accepted: a list"
            ]
        );
        assert_eq!(versions("ClusterPolicy"), ["v1", "v2beta1"]);
        assert_eq!(versions("Exemption"), ["v1alpha1"]);
        for other in [
            json!({"apiVersion": "v1", "kind": "Pod"}),
            json!({"apiVersion": "kyverno.io/v3", "kind": "Policy"}),
            json!(3),
        ] {
            assert_eq!(check(&other), None);
        }
    }

    #[test]
    fn every_reference_of_the_table_exists() {
        fn walk(shape: &Value, names: &Map<String, Value>) {
            match shape {
                Value::String(text) => assert!(
                    ["s", "i", "b", "*"].contains(&text.as_str()) || names.contains_key(text),
                    "{text}"
                ),
                Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
                Value::Object(map) => map.values().for_each(|shape| walk(shape, names)),
                other => panic!("{other}"),
            }
        }
        let shared = table()["shared"].as_object().unwrap();
        walk(&table()["kinds"], shared);
        shared.values().for_each(|shape| walk(shape, shared));
    }
}
