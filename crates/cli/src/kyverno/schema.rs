//! The fields of Kyverno's objects. A field that its reader does not know is a policy that does less than its author
//! thinks, and Kyverno drops such policies without a word; here it is told with the nearest known name.

mod shapes;

use meshward_manifest::{Object, Place};
use meshward_policy::nearest::nearest;
use serde_json::Value;

use super::problem::{Problem, Problems};
use crate::input::Input;

pub(crate) use shapes::{EXCEPTION, POLICY, TEST, USER_INFO, VALUES};

/// What may stand somewhere. Lists are looked through: every item has the shape. Null may stand everywhere.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A map with these fields.
    Map(Fields),
}

/// Names of fields with what may stand in them.
type Fields = &'static [(&'static str, &'static Shape)];

/// Tells every field of the object that the shape does not have.
pub(crate) fn check(input: &Input, object: &Object<'_>, shape: &Shape, problems: &mut Problems) {
    let mut unknown = Vec::new();
    walk(&object.value, shape, &mut String::new(), &mut unknown);
    for (pointer, message) in unknown {
        let place = object.nearest(&pointer).map(|(place, _)| place);
        // Of a field that nobody knows it is the name that is wrong.
        let place = match message.starts_with("unknown field") {
            true => place.map(|place| Place { value: place.key.unwrap_or(place.value), ..place }),
            false => place,
        };
        problems.tell(Problem::at(input, &message, place));
    }
}

/// Pointers of unknown fields with what is to be said about them.
fn walk(value: &Value, shape: &Shape, pointer: &mut String, unknown: &mut Vec<(String, String)>) {
    let fits = match shape {
        Shape::Any => return,
        Shape::Text => value.is_string(),
        Shape::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
        Shape::Flag => value.is_boolean(),
        Shape::Map(fields) => return walk_map(value, fields, pointer, unknown),
    };
    if !fits && !value.is_null() {
        unknown.push((pointer.clone(), wrong_type(value, shape)));
    }
}

fn walk_map(value: &Value, fields: Fields, pointer: &mut String, unknown: &mut Vec<(String, String)>) {
    let length = pointer.len();
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk_map(item, fields, pointer, unknown);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                match fields.iter().find(|(known, _)| known == key) {
                    Some((_, shape)) => walk(value, shape, pointer, unknown),
                    None => unknown.push((pointer.clone(), message(key, fields))),
                }
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// YAML makes something else of `y` and `1.30` than their authors meant.
fn wrong_type(value: &Value, shape: &Shape) -> String {
    let accepted = match shape {
        Shape::Text => "a text, in quotes where YAML would read something else",
        Shape::Texts => "a list of texts, in quotes where YAML would read something else",
        _ => "true, false",
    };
    let found = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
        value => value.to_string(),
    };
    format!("wrong type: found {found}, accepted: {accepted}")
}

fn message(key: &str, fields: &[(&str, &Shape)]) -> String {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let meant = nearest(key, names.iter().copied());
    let meant = meant.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    format!("unknown field {key:?}; {meant}accepted: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_found_wherever_they_are() {
        let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "spec": {"rules": [
            {"name": "a", "validate": {"pattern": {"any": {"thing": 1}}, "mesage": "x"}}, {"nam": "b"}]}});
        let mut unknown = Vec::new();
        walk(&policy, &POLICY, &mut String::new(), &mut unknown);
        let pointers: Vec<&str> = unknown.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/spec/rules/0/validate/mesage", "/spec/rules/1/nam"]);
        assert!(unknown[0].1.contains("did you mean message?"), "{}", unknown[0].1);
    }

    #[test]
    fn what_yaml_reads_as_something_else_is_found() {
        let found = |rule: Value| {
            let mut unknown = Vec::new();
            let policy = json!({"apiVersion": "kyverno.io/v1", "spec": {"rules": [rule]}});
            walk(&policy, &POLICY, &mut String::new(), &mut unknown);
            unknown
        };
        let wrong = found(json!({"context": [{"configMap": {"name": "a", "namespace": true}}]}));
        assert_eq!(wrong[0].0, "/spec/rules/0/context/0/configMap/namespace");
        assert!(wrong[0].1.starts_with("wrong type: found true, accepted: a text"), "{}", wrong[0].1);
        assert_eq!(found(json!({"match": {"any": [{"resources": {"kinds": "Pod"}}]}})).len(), 1);
        assert_eq!(found(json!({"match": null, "name": null})), []);
    }
}
