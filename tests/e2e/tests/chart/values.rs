//! The values and their schema.

use serde_json::Value;

use super::{chart, read};

/// Every value has a default and a description, and nothing else is accepted.
#[test]
fn schema_and_values_agree() {
    let schema: Value =
        serde_json::from_slice(&std::fs::read(chart().join("values.schema.json")).unwrap()).unwrap();
    let values = read("values.yaml");
    agree(&schema, &values.objects()[0], "");
}

fn agree(schema: &Value, values: &Value, path: &str) {
    // A map with keys of the user's own.
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} takes what nobody knows");
    for (key, property) in properties {
        let path = format!("{path}.{key}");
        let is_own = ["updateStrategy", "resources", "probes", "controller.resources", "controller.probes"]
            .iter()
            .any(|of| path.starts_with(&format!(".{of}.")));
        if path == ".global" || is_own {
            continue;
        }
        assert!(property["description"].is_string(), "{path} is not described");
        assert!(!values[key].is_null(), "{path} has no default in values.yaml");
        agree(property, &values[key], &path);
    }
    for key in values.as_object().unwrap().keys() {
        assert!(properties.contains_key(key), "{path}.{key} is not in the schema");
    }
}
