//! The configuration file: one flat map, read as the API server reads manifests, strictly.

use std::collections::BTreeMap;
use std::path::Path;

use meshward_manifest::{Documents, Limits, Options, Step};
use meshward_redirect::dialect::nearest;
use serde_json::Value;

use super::Problem;
use super::table::SETTINGS;

/// A value of the file.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    pub(super) text: String,
    pub(super) place: String,
}

/// Far more than all settings need.
const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 8, nodes: 10_000, repeated_nodes: 0 };

/// The values by setting, and everything that is wrong with the file.
pub(super) fn read(path: &Path, text: &[u8]) -> (BTreeMap<&'static str, FileValue>, Vec<Problem>) {
    let mut values = BTreeMap::new();
    let mut problems = Vec::new();
    let at = |place: &str| format!("{} {place}", path.display());
    let mut documents = Documents::new(text, Options { limits: LIMITS, spans: true, strict: true });
    let document = match documents.next() {
        None => return (values, problems),
        Some(Ok(document)) => document,
        Some(Err(error)) => {
            problems.push(Problem { place: at(&error.at.to_string()), message: error.problem.to_string() });
            return (values, problems);
        }
    };
    if documents.next().is_some() {
        let message = "there is a second document; accepted is one".into();
        problems.push(Problem { place: path.display().to_string(), message });
    }
    let Value::Object(map) = &document.value else {
        let message = "accepted is a map of settings, `log-level: debug`".into();
        problems.push(Problem { place: at(&document.span.start.to_string()), message });
        return (values, problems);
    };
    for (key, value) in map {
        let place = document.spans.find([Step::Key(key)]);
        let line = place.map_or_else(String::new, |place| place.location().to_string());
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            problems.push(Problem { place: at(&line), message: unknown(key) });
            continue;
        };
        let source = place.and_then(|place| text.get(place.value.range()));
        match words(value, source) {
            Some(text) => {
                values.insert(setting.name, FileValue { text, place: line });
            }
            None => {
                let message = format!("{key}: found {}; accepted: {}", kind(value), setting.value);
                problems.push(Problem { place: at(&line), message });
            }
        }
    }
    (values, problems)
}

fn unknown(key: &str) -> String {
    let shown: String = key.chars().take(80).collect();
    match nearest(key, SETTINGS.iter().map(|setting| setting.name)) {
        Some(near) => format!("unknown setting {shown:?}; did you mean {near:?}?"),
        None => format!("unknown setting {shown:?}; `meshward-node --help` lists all"),
    }
}

/// The value as a flag would give it: what is written, so that `nri: on` is `on` and `nri-index: 07` is `07`.
fn words(value: &Value, source: Option<&[u8]>) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(std::str::from_utf8(source?).ok()?.trim().to_string()),
        Value::Array(items) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Some(items?.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "no value",
        Value::Object(_) => "a map",
        Value::Array(_) => "a list of other things than strings",
        _ => "something else",
    }
}
