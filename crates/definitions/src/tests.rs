use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use meshward_manifest::{Documents, Options};
use meshward_policy::exemption::{Exemption, PRESETS};

use super::*;

fn schemas(definition: &Value) -> impl Iterator<Item = &Value> {
    let versions = definition["spec"]["versions"].as_array().unwrap();
    versions.iter().map(|version| &version["schema"]["openAPIV3Schema"])
}

/// What an API server demands of a schema (apiextensions.k8s.io/v1, "structural").
fn assert_structural(schema: &Value, path: &str) {
    let Some(map) = schema.as_object() else { panic!("{path} is no schema: {schema}") };
    for key in
        ["$ref", "$schema", "title", "nullable", "anyOf", "oneOf", "allOf", "not", "const", "definitions"]
    {
        assert!(!map.contains_key(key), "{path} has {key}");
    }
    assert!(map.get("type").is_some_and(Value::is_string), "{path} has no single type: {schema}");
    assert!(!(map.contains_key("properties") && map.contains_key("additionalProperties")), "{path}");
    for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        assert_structural(property, &format!("{path}.{name}"));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(of) = map.get(key) {
            assert_structural(of, &format!("{path}[{key}]"));
        }
    }
}

#[test]
fn every_definition_is_one_of_kubernetes_and_structural() {
    for definition in all() {
        let typed: CustomResourceDefinition = serde_json::from_value(definition.object.clone()).unwrap();
        let written = serde_json::to_value(&typed).unwrap();
        assert_eq!(
            written["spec"]["versions"],
            definition.object["spec"]["versions"],
            "{}",
            definition.name()
        );
        let stored = typed.spec.versions.iter().filter(|version| version.storage).count();
        assert_eq!(stored, 1, "{}", definition.name());
        schemas(&definition.object).for_each(|schema| assert_structural(schema, definition.name()));
    }
}

/// A field that is not described cannot be explained by `kubectl explain`.
#[test]
fn every_field_of_a_spec_of_ours_is_described() {
    fn walk(schema: &Value, path: &str) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(property["description"].is_string(), "{path}");
            walk(property, &path);
            walk(&property["items"], &path);
        }
    }
    for definition in all().iter().filter(|definition| definition.set == Set::Meshward) {
        schemas(&definition.object).for_each(|schema| walk(&schema["properties"]["spec"], definition.name()));
    }
}

/// Whether a schema knows every field of an object, and takes the words that it lists.
fn assert_known(value: &Value, schema: &Value, path: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let of = [&schema["properties"][key], &schema["additionalProperties"]];
                let Some(schema) = of.into_iter().find(|schema| schema.is_object()) else {
                    panic!("{path}.{key} is not in the schema")
                };
                assert_known(value, schema, &format!("{path}.{key}"));
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|value| assert_known(value, &schema["items"], &format!("{path}[]")));
        }
        _ => {
            let words = schema["enum"].as_array();
            assert!(words.is_none_or(|words| words.contains(value)), "{path}: {value} is not in the list");
        }
    }
}

/// What is taken by the parser is in the schema: with every example, and every preset written out.
#[test]
fn examples_are_in_the_schemas() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        for document in Documents::new(&text, Options::default()) {
            let object = document.unwrap().value;
            if Exemption::parse(&object).is_err() {
                continue;
            }
            let definitions = all();
            let of = |definition: &&Definition| definition.object["spec"]["names"]["kind"] == object["kind"];
            let definition = definitions.iter().find(of).unwrap();
            let schema = schemas(&definition.object).next().unwrap();
            assert_known(&object["spec"], &schema["properties"]["spec"], &path.display().to_string());
            tried += 1;
        }
    }
    assert!(tried >= 3, "only {tried} examples were tried");
    let exemption = schema_of("Exemption");
    for preset in &PRESETS {
        let entry = serde_json::to_value(preset.entry(None)).unwrap();
        assert_known(&entry, &exemption["properties"]["entries"]["items"], preset.name);
    }
}

fn schema_of(kind: &str) -> Value {
    let definitions = all();
    let found = definitions.iter().find(|one| one.object["spec"]["names"]["kind"] == kind).unwrap();
    schemas(&found.object).next().unwrap()["properties"]["spec"].clone()
}

/// Where the parser refuses a field that it does not know, an API server must not drop it before: what is left could be
/// wider than what was written.
#[test]
fn unknown_fields_come_through_to_be_refused() {
    fn walk(schema: &Value, path: &str, found: &mut Vec<String>) {
        if schema["properties"].is_object() {
            assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{path}");
            found.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(property, &format!("{path}.{name}"), found);
            walk(&property["items"], &format!("{path}.{name}[]"), found);
        }
    }
    let mut found = Vec::new();
    walk(&schema_of("ClusterExemption"), "spec", &mut found);
    for place in ["spec", "spec.subjects", "spec.subjects.podLabels", "spec.entries[].containers"] {
        assert!(found.contains(&place.to_owned()), "{place} is not among {found:?}");
    }
}
