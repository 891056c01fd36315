//! The walk over pattern and object.

use super::{Anchor, Mismatch, metadata, scalar};
use crate::go::print::{sprint, type_name};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

static NULL: Value = Value::Null;

/// Of what kind a difference is. Kyverno looks for words in the message; a value with these words would be skipped
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A condition does not hold.
    Condition,
    /// A global condition does not hold.
    Global,
    /// A key is there that must not be.
    Negation,
    /// Everything on this level was skipped.
    Skipped,
    /// The values differ.
    Difference,
}

/// A difference found below some point of the walk.
struct Fault {
    kind: Kind,
    path: String,
    message: String,
}

impl Fault {
    fn new(kind: Kind, path: &str, message: String) -> Fault {
        Fault { kind, path: path.to_owned(), message }
    }

    fn different(path: &str, message: String) -> Fault {
        Fault::new(Kind::Difference, path, message)
    }

    fn skips(&self) -> bool {
        matches!(self.kind, Kind::Condition | Kind::Global | Kind::Skipped)
    }

    /// Several skipped parts as one.
    fn skipped(path: &str, parts: &[Fault]) -> Fault {
        let messages: Vec<&str> = parts.iter().map(|part| part.message.as_str()).collect();
        Fault::new(Kind::Skipped, path, messages.join("; "))
    }
}

type Outcome = Result<(), Fault>;

/// Anchors of the pattern seen so far, and whether the object has their keys.
type Seen = BTreeMap<String, bool>;

struct Walk {
    seen: Seen,
}

pub(super) fn check(object: &Value, pattern: &Value) -> Result<(), Mismatch> {
    let mut walk = Walk { seen: Seen::new() };
    walk.element(object, pattern, "/").map_err(|fault| {
        let skip = fault.skips();
        let unclear = fault.kind != Kind::Negation && walk.misses_anchors();
        let path = if skip || unclear { String::new() } else { fault.path };
        Mismatch { message: fault.message, path, skip }
    })
}

impl Walk {
    /// Whether the object lacks a key that a condition or an existence anchor names.
    fn misses_anchors(&self) -> bool {
        self.seen
            .iter()
            .any(|(key, found)| !found && !matches!(Anchor::parse(key), Some((Anchor::Negation, _)) | None))
    }

    fn element(&mut self, value: &Value, pattern: &Value, path: &str) -> Outcome {
        match (pattern, value) {
            (Value::Object(pattern), Value::Object(object)) => {
                self.note_anchors(pattern, object);
                self.object(object, pattern, path)
            }
            (Value::Object(_), _) => Err(Fault::different(
                path,
                format!(
                    "pattern and resource have different structures. Path: {path}. Expected {}, found {}",
                    type_name(pattern),
                    type_name(value)
                ),
            )),
            (Value::Array(pattern), Value::Array(list)) => self.list(list, pattern, path),
            (Value::Array(_), _) => Err(Fault::different(
                path,
                format!(
                    "validation rule failed at path {path}, resource does not satisfy the expected overlay \
                     pattern"
                ),
            )),
            (pattern, Value::Array(list)) if list.iter().all(|value| scalar::matches(value, pattern)) => {
                Ok(())
            }
            (pattern, value) if !value.is_array() && scalar::matches(value, pattern) => Ok(()),
            _ => Err(Fault::different(
                path,
                format!(
                    "resource value '{}' does not match '{}' at path {path}",
                    sprint(value),
                    sprint(pattern)
                ),
            )),
        }
    }

    fn note_anchors(&mut self, pattern: &Map<String, Value>, object: &Map<String, Value>) {
        for key in pattern.keys() {
            if let Some((Anchor::Condition | Anchor::Existence | Anchor::Negation, inner)) =
                Anchor::parse(key)
            {
                let found = object.contains_key(inner);
                if let Some(seen) = self.seen.get_mut(key) {
                    *seen |= found;
                } else {
                    self.seen.insert(key.clone(), found);
                }
            }
        }
    }

    /// Anchors first, then the other keys.
    fn object(&mut self, object: &Map<String, Value>, pattern: &Map<String, Value>, path: &str) -> Outcome {
        let pattern = metadata::expand(pattern, object);
        self.anchors(object, &pattern, path)?;
        for (key, value) in in_order(&pattern) {
            self.member(object, key, value, path)?;
        }
        Ok(())
    }

    fn anchors(&mut self, object: &Map<String, Value>, pattern: &Map<String, Value>, path: &str) -> Outcome {
        let mut skipped: Vec<Fault> = Vec::new();
        let mut applied = false;
        // Skipped by an anchor of this object itself, not by something further down.
        let own = |skipped: &[Fault]| skipped.iter().any(|fault| fault.kind != Kind::Skipped);
        let mut keys: Vec<_> = pattern.iter().filter(|(key, _)| is_first(key)).collect();
        keys.sort_by_key(|(key, _)| key.as_str());
        for (key, value) in keys {
            match self.member(object, key, value, path) {
                Ok(()) => applied = true,
                Err(fault) if fault.skips() => skipped.push(fault),
                Err(_) if own(&skipped) => {}
                Err(fault) => return Err(fault),
            }
        }
        if skipped.is_empty() || (applied && !own(&skipped)) {
            return Ok(());
        }
        Err(Fault::skipped(path, &skipped))
    }

    /// One key of a pattern, with or without anchor.
    fn member(&mut self, object: &Map<String, Value>, key: &str, pattern: &Value, path: &str) -> Outcome {
        let (anchor, name) = match Anchor::parse(key) {
            None | Some((Anchor::AddIfNotPresent, _)) => return self.plain(object, key, pattern, path),
            Some(parsed) => parsed,
        };
        let below = format!("{path}{name}/");
        let Some(value) = object.get(name) else {
            return match anchor {
                Anchor::Condition => {
                    Err(condition(&below, "conditional anchor key doesn't exist in the resource"))
                }
                _ => Ok(()),
            };
        };
        match anchor {
            Anchor::Negation => Err(Fault::new(
                Kind::Negation,
                &below,
                format!("negation anchor matched in resource: {below} is not allowed"),
            )),
            Anchor::Existence => self.existence(value, pattern, &below),
            Anchor::Condition => {
                self.element(value, pattern, &below).map_err(|fault| condition(&fault.path, &fault.message))
            }
            Anchor::Global => self.element(value, pattern, &below).map_err(|fault| {
                Fault::new(Kind::Global, &fault.path, format!("global anchor mismatch: {}", fault.message))
            }),
            Anchor::Equality | Anchor::AddIfNotPresent => self.element(value, pattern, &below),
        }
    }

    fn plain(&mut self, object: &Map<String, Value>, key: &str, pattern: &Value, path: &str) -> Outcome {
        let value = object.get(key).unwrap_or(&NULL);
        if pattern.as_str() != Some("*") {
            return self.element(value, pattern, &format!("{path}{key}/"));
        }
        if value.is_null() {
            return Err(Fault::different(path, format!("{path}/{key} not found")));
        }
        Ok(())
    }

    /// Each object of the pattern's list must match one element.
    fn existence(&mut self, value: &Value, pattern: &Value, path: &str) -> Outcome {
        let Value::Array(list) = value else {
            return Err(Fault::different(
                path,
                format!(
                    "invalid resource type {}: Existence ^ () anchor can be used only on list/array type \
                     resource",
                    type_name(value)
                ),
            ));
        };
        let invalid = |must: &str| {
            Fault::different(
                path,
                format!("invalid pattern type {}: Pattern has to be {must}", type_name(pattern)),
            )
        };
        let Value::Array(patterns) = pattern else {
            return Err(invalid("of list to compare against resource"));
        };
        for wanted in patterns {
            if !wanted.is_object() {
                return Err(invalid("of type map to compare against items in resource"));
            }
            let found = list
                .iter()
                .enumerate()
                .any(|(index, value)| self.element(value, wanted, &format!("{path}{index}/")).is_ok());
            if !found {
                return Err(Fault::different(
                    path,
                    format!("existence anchor validation failed at path {path}"),
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &[Value], pattern: &[Value], path: &str) -> Outcome {
        let Some(first) = pattern.first() else {
            return Err(Fault::different(path, "pattern Array empty".to_owned()));
        };
        match first {
            Value::Object(_) => self.each(list.iter().map(|value| (value, first)), path),
            Value::Array(_) => {
                if list.len() < pattern.len() {
                    return Err(Fault::different(
                        "",
                        format!(
                            "validate Array failed, array length mismatch, resource Array len is {} and \
                             pattern Array len is {}",
                            list.len(),
                            pattern.len()
                        ),
                    ));
                }
                self.each(list.iter().zip(pattern), path)
            }
            _ => match list.iter().find(|value| !scalar::matches(value, first)) {
                None => Ok(()),
                Some(_) => Err(Fault::different(
                    path,
                    format!(
                        "resource value '{}' does not match '{}' at path {path}",
                        sprint(&Value::Array(list.to_vec())),
                        sprint(first)
                    ),
                )),
            },
        }
    }

    /// Elements that are skipped do not count, unless all are.
    fn each<'v>(&mut self, pairs: impl Iterator<Item = (&'v Value, &'v Value)>, path: &str) -> Outcome {
        let (mut skipped, mut applied) = (Vec::new(), false);
        for (index, (value, pattern)) in pairs.enumerate() {
            match self.element(value, pattern, &format!("{path}{index}/")) {
                Ok(()) => applied = true,
                Err(fault) if fault.skips() => skipped.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        if applied || skipped.is_empty() { Ok(()) } else { Err(Fault::skipped(path, &skipped)) }
    }
}

fn condition(path: &str, message: &str) -> Fault {
    Fault::new(Kind::Condition, path, format!("conditional anchor mismatch: {message}"))
}

/// Whether a key is evaluated before the others.
fn is_first(key: &str) -> bool {
    matches!(
        Anchor::parse(key),
        Some((Anchor::Condition | Anchor::Existence | Anchor::Equality | Anchor::Negation, _))
    )
}

/// The other keys: those with a global anchor or an anchor below them first, from last to first by name, then the rest
/// by name.
fn in_order(pattern: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut rest: Vec<_> =
        pattern.iter().filter(|(key, _)| !is_first(key)).map(|(key, value)| (key.as_str(), value)).collect();
    rest.sort_by_key(|(key, _)| *key);
    let (mut first, last): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(key, value)| {
        matches!(Anchor::parse(key), Some((Anchor::Global, _))) || has_anchors(value)
    });
    first.reverse();
    first.extend(last);
    first
}

/// Whether a pattern has an anchor anywhere.
fn has_anchors(pattern: &Value) -> bool {
    match pattern {
        Value::Object(map) => map.iter().any(|(key, value)| {
            matches!(Anchor::parse(key), Some((anchor, _)) if anchor != Anchor::AddIfNotPresent)
                || has_anchors(value)
        }),
        Value::Array(values) => values.iter().any(has_anchors),
        _ => false,
    }
}
