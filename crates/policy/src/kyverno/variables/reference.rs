//! `$(path)`: a value from another place of the same pattern, optionally behind an operator (`$(<=./../limit)`).

use super::{SubstitutionError, scan, traverse};
use crate::go::print::sprint;
use crate::go::text::clean_path;
use crate::kyverno::pattern::{Anchor, Operator};
use serde_json::Value;

/// The document with its references replaced; `None` if there are none.
pub(super) fn substitute(document: &Value) -> Result<Option<Value>, SubstitutionError> {
    traverse::map(document, &mut |text, path| replace(document, text, path))
}

fn replace(document: &Value, text: &str, path: &str) -> Result<Option<Value>, SubstitutionError> {
    if !text.contains("$(") {
        return Ok(None);
    }
    let mut value = text.to_owned();
    for (matched, reference) in scan::references(text) {
        let resolved = resolve(document, reference, path)?;
        let prefix = &matched[..matched.len() - reference.len()];
        value = value.replacen(matched, &format!("{prefix}{resolved}"), 1);
    }
    Ok(Some(Value::String(unescape(&value))))
}

/// The text without the backslashes before references.
fn unescape(text: &str) -> String {
    let (mut result, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("\\$(") {
        result.push_str(&rest[..at]);
        let length = scan::reference_length(&rest[at + 1..]);
        let kept = if length.is_some() { at + 1 } else { at };
        let end = at + 1 + length.unwrap_or(0);
        result.push_str(&rest[kept..end]);
        rest = &rest[end..];
    }
    result.push_str(rest);
    result
}

fn resolve(document: &Value, reference: &str, path: &str) -> Result<String, SubstitutionError> {
    let unresolved = |reason: String| SubstitutionError::Unresolved {
        expression: reference.to_owned(),
        path: path.to_owned(),
        reason,
    };
    let target = reference.trim_matches(['$', '(', ')']);
    let operator = Operator::of(target);
    let target = &target[operator.as_str().len().min(target.len())..];
    if target.is_empty() {
        return Err(unresolved("expected path, found empty reference".to_owned()));
    }
    let target =
        if target.starts_with('/') { target.to_owned() } else { clean_path(&format!("{path}/{target}")) };
    let found = find(document, &target);
    if operator == Operator::Equal {
        return match found {
            None | Some(Value::Null) => Err(SubstitutionError::NilReference {
                reference: reference.to_owned(),
                path: path.to_owned(),
            }),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(SubstitutionError::ReferenceType {
                reference: reference.to_owned(),
                path: path.to_owned(),
            }),
        };
    }
    let text = match found {
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) if number.is_f64() => {
            format!("{:.6}", number.as_f64().unwrap_or_default())
        }
        Some(Value::Number(number)) => number.to_string(),
        other => {
            return Err(unresolved(format!(
                "incorrect expression: operator {} does not match with value {}",
                operator.as_str(),
                sprint(&other.unwrap_or(Value::Null))
            )));
        }
    };
    Ok(format!("{}{text}", operator.as_str()))
}

/// The leaf at a path in which keys stand without their anchors; for an object one of its keys, as in Kyverno.
fn find(document: &Value, path: &str) -> Option<Value> {
    let mut steps = path.split('/').filter(|step| !step.is_empty());
    descend(document, &mut steps.by_ref().collect::<Vec<_>>())
}

fn descend(value: &Value, steps: &mut Vec<&str>) -> Option<Value> {
    match value {
        Value::Object(map) if steps.is_empty() => map.keys().max().map(|key| Value::String(key.clone())),
        Value::Array(_) if steps.is_empty() => None,
        leaf if steps.is_empty() => Some(leaf.clone()),
        Value::Object(map) => map.iter().rev().find_map(|(key, value)| {
            let bare = Anchor::parse(key).map_or(key.as_str(), |(_, bare)| bare);
            // A key with slashes takes as many steps as it has parts.
            let parts: Vec<&str> = bare.split('/').filter(|part| !part.is_empty()).collect();
            let rest = steps.strip_prefix(parts.as_slice()).filter(|_| !parts.is_empty())?;
            descend(value, &mut rest.to_vec())
        }),
        Value::Array(values) => {
            let (first, rest) = steps.split_first()?;
            values.get(first.parse::<usize>().ok()?).and_then(|value| descend(value, &mut rest.to_vec()))
        }
        _ => None,
    }
}
