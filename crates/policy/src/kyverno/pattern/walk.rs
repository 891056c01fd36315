//! The walk over pattern and object.

use super::compile::{Member, Node, Object};
use super::path::Path;
use super::{Anchor, Mismatch, metadata};
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
    fn new(kind: Kind, path: &Path<'_>, message: String) -> Fault {
        Fault { kind, path: path.to_string(), message }
    }

    fn different(path: &Path<'_>, message: String) -> Fault {
        Fault::new(Kind::Difference, path, message)
    }

    /// A condition does not hold, because of another difference.
    fn condition(self) -> Fault {
        let message = format!("conditional anchor mismatch: {}", self.message);
        Fault { kind: Kind::Condition, message, ..self }
    }

    fn skips(&self) -> bool {
        matches!(self.kind, Kind::Condition | Kind::Global | Kind::Skipped)
    }

    /// Several skipped parts as one.
    fn skipped(path: &Path<'_>, parts: &[Fault]) -> Fault {
        let messages: Vec<&str> = parts.iter().map(|part| part.message.as_str()).collect();
        Fault::new(Kind::Skipped, path, messages.join("; "))
    }
}

type Outcome = Result<(), Fault>;

/// Conditions and existence anchors of the pattern seen so far, and whether the object has their keys.
type Seen = BTreeMap<String, bool>;

struct Walk {
    seen: Seen,
}

pub(super) fn check(object: &Value, pattern: &Node) -> Result<(), Mismatch> {
    let mut walk = Walk { seen: Seen::new() };
    walk.element(object, pattern, &Path::ROOT).map_err(|fault| {
        let skip = fault.skips();
        let unclear = fault.kind != Kind::Negation && walk.misses_anchors();
        let path = if skip || unclear { String::new() } else { fault.path };
        Mismatch { message: fault.message, path, skip }
    })
}

impl Walk {
    /// Whether the object lacks a key that a condition or an existence anchor names.
    fn misses_anchors(&self) -> bool {
        self.seen.values().any(|found| !found)
    }

    fn element(&mut self, value: &Value, pattern: &Node, path: &Path<'_>) -> Outcome {
        match (pattern, value) {
            (Node::Object(pattern), Value::Object(object)) => {
                self.note_anchors(pattern, object);
                self.object(object, pattern, path)
            }
            (Node::Object(_), _) => Err(Fault::different(
                path,
                format!(
                    "pattern and resource have different structures. Path: {path}. Expected {}, found {}",
                    type_of(pattern),
                    type_name(value)
                ),
            )),
            (Node::List(pattern), Value::Array(list)) => self.list(list, pattern, path),
            (Node::List(_), _) => Err(Fault::different(
                path,
                format!(
                    "validation rule failed at path {path}, resource does not satisfy the expected overlay \
                     pattern"
                ),
            )),
            (Node::Scalar(pattern), Value::Array(list))
                if list.iter().all(|value| pattern.matches(value)) =>
            {
                Ok(())
            }
            (Node::Scalar(pattern), value) if !value.is_array() && pattern.matches(value) => Ok(()),
            (Node::Scalar(pattern), value) => Err(Fault::different(
                path,
                format!(
                    "resource value '{}' does not match '{}' at path {path}",
                    sprint(value),
                    sprint(pattern.written())
                ),
            )),
        }
    }

    fn note_anchors(&mut self, pattern: &Object, object: &Map<String, Value>) {
        for member in &pattern.first {
            if !matches!(member.anchor, Some(Anchor::Condition | Anchor::Existence)) {
                continue;
            }
            let found = object.contains_key(member.name());
            match self.seen.get_mut(&*member.key) {
                Some(seen) => *seen |= found,
                None => drop(self.seen.insert(member.key.to_string(), found)),
            }
        }
    }

    /// Anchors first, then the other keys.
    fn object(&mut self, object: &Map<String, Value>, pattern: &Object, path: &Path<'_>) -> Outcome {
        let expanded = pattern.wild.as_deref().and_then(|written| metadata::expand(written, object));
        let expanded = expanded.map(|expanded| Object::new(&expanded));
        let pattern = expanded.as_ref().unwrap_or(pattern);
        self.anchors(object, pattern, path)?;
        pattern.rest.iter().try_for_each(|member| self.member(object, member, path))
    }

    fn anchors(&mut self, object: &Map<String, Value>, pattern: &Object, path: &Path<'_>) -> Outcome {
        let mut skipped: Vec<Fault> = Vec::new();
        let mut applied = false;
        // Skipped by an anchor of this object itself, not by something further down.
        let own = |skipped: &[Fault]| skipped.iter().any(|fault| fault.kind != Kind::Skipped);
        for member in &pattern.first {
            match self.member(object, member, path) {
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
    fn member(&mut self, object: &Map<String, Value>, member: &Member, path: &Path<'_>) -> Outcome {
        let name = member.name();
        let (below, found) = (path.key(name), object.get(name));
        let Some(anchor) = member.anchor else {
            return self.plain(found.unwrap_or(&NULL), member, path, &below);
        };
        let Some(value) = found else {
            return match anchor {
                Anchor::Condition => {
                    let message = "conditional anchor key doesn't exist in the resource".to_owned();
                    Err(Fault::different(&below, message).condition())
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
            Anchor::Existence => self.existence(value, &member.value, &below),
            Anchor::Condition => self.element(value, &member.value, &below).map_err(Fault::condition),
            Anchor::Global => self.element(value, &member.value, &below).map_err(|fault| {
                let message = format!("global anchor mismatch: {}", fault.message);
                Fault { kind: Kind::Global, message, ..fault }
            }),
            Anchor::Equality | Anchor::AddIfNotPresent => self.element(value, &member.value, &below),
        }
    }

    fn plain(&mut self, value: &Value, member: &Member, path: &Path<'_>, below: &Path<'_>) -> Outcome {
        match (member.anything, value) {
            (true, Value::Null) => Err(Fault::different(path, format!("{path}/{} not found", member.key))),
            (true, _) => Ok(()),
            (false, value) => self.element(value, &member.value, below),
        }
    }

    /// Each object of the pattern's list must match one element.
    fn existence(&mut self, value: &Value, pattern: &Node, path: &Path<'_>) -> Outcome {
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
                format!("invalid pattern type {}: Pattern has to be {must}", type_of(pattern)),
            )
        };
        let Node::List(patterns) = pattern else {
            return Err(invalid("of list to compare against resource"));
        };
        for wanted in patterns {
            if !matches!(wanted, Node::Object(_)) {
                return Err(invalid("of type map to compare against items in resource"));
            }
            let found = list
                .iter()
                .enumerate()
                .any(|(index, value)| self.element(value, wanted, &path.index(index)).is_ok());
            if !found {
                return Err(Fault::different(
                    path,
                    format!("existence anchor validation failed at path {path}"),
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &[Value], pattern: &[Node], path: &Path<'_>) -> Outcome {
        let Some(first) = pattern.first() else {
            return Err(Fault::different(path, "pattern Array empty".to_owned()));
        };
        match first {
            Node::Object(_) => self.each(list.iter().map(|value| (value, first)), path),
            Node::List(_) => {
                if list.len() < pattern.len() {
                    let message = format!(
                        "validate Array failed, array length mismatch, resource Array len is {} and pattern \
                         Array len is {}",
                        list.len(),
                        pattern.len()
                    );
                    return Err(Fault { kind: Kind::Difference, path: String::new(), message });
                }
                self.each(list.iter().zip(pattern), path)
            }
            Node::Scalar(first) if list.iter().all(|value| first.matches(value)) => Ok(()),
            Node::Scalar(first) => Err(Fault::different(
                path,
                format!(
                    "resource value '{}' does not match '{}' at path {path}",
                    sprint(&Value::Array(list.to_vec())),
                    sprint(first.written())
                ),
            )),
        }
    }

    /// Elements that are skipped do not count, unless all are.
    fn each<'v>(&mut self, pairs: impl Iterator<Item = (&'v Value, &'v Node)>, path: &Path<'_>) -> Outcome {
        let (mut skipped, mut applied) = (Vec::new(), false);
        for (index, (value, pattern)) in pairs.enumerate() {
            match self.element(value, pattern, &path.index(index)) {
                Ok(()) => applied = true,
                Err(fault) if fault.skips() => skipped.push(fault),
                Err(fault) => return Err(fault),
            }
        }
        if applied || skipped.is_empty() { Ok(()) } else { Err(Fault::skipped(path, &skipped)) }
    }
}

/// Go's name for what a pattern is.
fn type_of(pattern: &Node) -> &'static str {
    match pattern {
        Node::Object(_) => type_name(&Value::Object(Map::new())),
        Node::List(_) => type_name(&Value::Array(Vec::new())),
        Node::Scalar(scalar) => type_name(scalar.written()),
    }
}
