//! JSON schemas of the specs, for the definitions that a cluster is given. Made from the types that are read, so that an
//! API server and this crate cannot disagree about a field.

use super::select::KINDS;
use super::{Kind, PRESETS, spec};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of a kind's `spec`, without references; what is accepted where only some words are is listed.
pub fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Exemption | Kind::ClusterExemption => of::<spec::Exemption>(),
        Kind::MeshPreset => of::<spec::MeshPreset>(),
    }
}

fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// The built-in presets.
pub(super) fn preset_names() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

/// Makes a list one of kinds of containers.
pub(super) fn known_kinds(schema: &mut Schema) {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.as_str()).collect();
    if let Some(items) = schema.pointer_mut("/items") {
        items["enum"] = Value::from(kinds);
    }
}
