//! From JSON schema to what Kubernetes calls a structural schema: no references, no alternatives, one type each.

use serde_json::{Map, Value};

/// Makes a schema structural.
///
/// Where unknown fields are refused, they are kept: an API server would drop them without a word for clients that do not
/// ask for strictness, and an exemption whose `podLables` is dropped is wider than the one that was written. So they
/// come through to the controller, which refuses them by name, and gives an object with one no effect.
pub(crate) fn structural(schema: &mut Value) {
    match schema {
        Value::Object(map) => object(map),
        Value::Array(list) => list.iter_mut().for_each(structural),
        _ => {}
    }
}

fn object(map: &mut Map<String, Value>) {
    for key in ["$schema", "title", "nullable"] {
        // A property may have such a name; a keyword's value is a text or a truth.
        if map.get(key).is_some_and(|value| !value.is_object()) {
            map.remove(key);
        }
    }
    if map.get("additionalProperties") == Some(&Value::Bool(false)) {
        map.remove("additionalProperties");
        map.insert("x-kubernetes-preserve-unknown-fields".into(), Value::Bool(true));
    }
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    map.values_mut().for_each(structural);
}
