//! Keys of labels and annotations in a pattern may have wildcards: they stand for the first key of the object that
//! matches.

use super::Anchor;
use crate::wildcard;
use serde_json::{Map, Value};

const TAGS: [&str; 2] = ["labels", "annotations"];

/// Whether an object of a pattern has such keys in its `metadata`, or values there that are not text and get lost.
pub(super) fn is_wild(pattern: &Map<String, Value>) -> bool {
    matches!(member(pattern, "metadata"), Some((_, Value::Object(metadata))) if wild(metadata).next().is_some())
}

/// The labels and the annotations of a pattern's metadata that have any of these: which of both, the key and the value.
fn wild(metadata: &Map<String, Value>) -> impl Iterator<Item = (&'static str, &str, &Map<String, Value>)> {
    TAGS.into_iter().filter_map(|tag| {
        let Some((key, Value::Object(wanted))) = member(metadata, tag) else { return None };
        let has_any = wanted.iter().any(|(key, value)| wildcard::is_pattern(key) || !value.is_string());
        has_any.then_some((tag, key, wanted))
    })
}

/// The pattern with such keys replaced; `None` if the object has nothing to replace them with.
pub(super) fn expand(
    pattern: &Map<String, Value>,
    object: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let Some((key, Value::Object(metadata))) = member(pattern, "metadata") else { return None };
    let Some(Value::Object(actual)) = object.get("metadata") else { return None };
    let mut expanded: Option<Map<String, Value>> = None;
    for (tag, tag_key, wanted) in wild(metadata) {
        if let Some((_, Value::Object(found))) = member(actual, tag) {
            let replaced = replace(wanted, found);
            expanded
                .get_or_insert_with(|| metadata.clone())
                .insert(tag_key.to_owned(), Value::Object(replaced));
        }
    }
    let mut pattern = pattern.clone();
    pattern.insert(key.to_owned(), Value::Object(expanded?));
    Some(pattern)
}

/// The member with a name, in an anchor or not.
fn member<'m>(map: &'m Map<String, Value>, name: &str) -> Option<(&'m str, &'m Value)> {
    if let Some((key, value)) = map.get_key_value(name) {
        return Some((key, value));
    }
    map.iter()
        .find(|(key, _)| Anchor::parse(key).is_some_and(|(_, inner)| inner == name))
        .map(|(key, value)| (key.as_str(), value))
}

/// As in Kyverno, values that are not text are lost.
fn replace(wanted: &Map<String, Value>, found: &Map<String, Value>) -> Map<String, Value> {
    let matching = |pattern: &str| {
        found.iter().find(|(key, value)| value.is_string() && wildcard::matches(pattern, key))
    };
    let mut replaced = Map::new();
    for (key, value) in wanted.iter().filter(|(_, value)| value.is_string()) {
        let new = match Anchor::parse(key) {
            _ if !wildcard::is_pattern(key) => key.clone(),
            None => matching(key).map_or_else(|| key.clone(), |(key, _)| key.clone()),
            Some((anchor, inner)) => {
                let inner = matching(inner).map_or(inner, |(key, _)| key.as_str());
                format!("{}({inner})", anchor.modifier())
            }
        };
        replaced.insert(new, value.clone());
    }
    replaced
}
