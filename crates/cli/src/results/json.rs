//! The results as a JSON value: an array with one entry an object. YAML is the same value. A verb that has results one
//! after the other can write the array so, with [`Entries`], and keep none of them.

use serde_json::{Map, Value, json};

use super::{Exempted, FieldValue, Form, Listed, ObjectReference, Results, Verdict};

/// The text of [`to_value`]'s array, entry by entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries {
    yaml: bool,
    any: bool,
}

impl Entries {
    /// `None` for forms that are no such array.
    pub(crate) fn of(form: Form) -> Option<Self> {
        match form {
            Form::Json => Some(Self { yaml: false, any: false }),
            Form::Yaml => Some(Self { yaml: true, any: false }),
            Form::Table | Form::Sarif | Form::Junit | Form::Markdown => None,
        }
    }

    /// One more entry, with the beginning of the array if it is the first.
    pub(crate) fn entry(&mut self, listed: &Listed) -> String {
        let first = !std::mem::replace(&mut self.any, true);
        if self.yaml {
            return meshward_manifest::to_yaml(&json!([object(listed)]));
        }
        // Line breaks inside of strings are escaped, so that every one is the layout's.
        let text = serde_json::to_string_pretty(&object(listed)).unwrap_or_default().replace('\n', "\n  ");
        format!("{}\n  {text}", if first { "[" } else { "," })
    }

    /// The end of the array, or all of an empty one.
    pub(crate) fn end(self) -> &'static str {
        match (self.yaml, self.any) {
            (_, false) => "[]\n",
            (true, true) => "",
            (false, true) => "\n]\n",
        }
    }
}

/// All objects with all verdicts.
pub(crate) fn to_value(results: &Results) -> Value {
    results.objects.iter().map(object).collect()
}

/// A value as text that people can read too.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn object(listed: &Listed) -> Value {
    let ObjectReference { file, position, api_version, kind, namespace, name, .. } = &listed.object;
    let verdicts: Vec<Value> = listed.verdicts.iter().map(verdict).collect();
    json!({
        "file": **file,
        "line": position.map(|position| position.line),
        "apiVersion": api_version,
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "results": verdicts,
    })
}

fn verdict(verdict: &Verdict) -> Value {
    let mut map = Map::new();
    map.insert("policy".into(), verdict.policy.as_str().into());
    map.insert("rule".into(), verdict.rule.as_str().into());
    if let Some(control) = verdict.control {
        map.insert("control".into(), control.into());
    }
    map.insert("status".into(), verdict.status.as_str().into());
    if let Some(severity) = verdict.severity {
        map.insert("severity".into(), severity.as_str().into());
    }
    if !verdict.category.is_empty() {
        map.insert("category".into(), verdict.category.as_str().into());
    }
    map.insert("message".into(), verdict.message.as_str().into());
    if !verdict.fields.is_empty() {
        map.insert("fields".into(), verdict.fields.iter().map(field).collect());
    }
    if !verdict.exempted.is_empty() {
        map.insert("exempted".into(), verdict.exempted.iter().map(exempted).collect());
    }
    if !verdict.properties.is_empty() {
        map.insert("properties".into(), json!(verdict.properties));
    }
    Value::Object(map)
}

fn field(field: &FieldValue) -> Value {
    let mut value = json!({ "path": field.path, "value": field.value });
    if let Some(position) = field.position {
        value["line"] = position.line.into();
        value["column"] = position.column.into();
    }
    value
}

fn exempted(exempted: &Exempted) -> Value {
    let mut value = field(&exempted.field);
    value["by"] = exempted.by.as_str().into();
    value["reason"] = exempted.reason.as_str().into();
    value
}
