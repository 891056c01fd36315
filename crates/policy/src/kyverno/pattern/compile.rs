//! A pattern is written once and compared with every object: its anchors, the order of its keys and what its texts mean
//! are found out when it is read, not when a request waits.
//!
//! ```text
//! Value ─ Node::new ─► Object { first, rest } │ List │ Scalar { alternatives, each with its operands parsed }
//! ```

use super::scalar::Scalar;
use super::{Anchor, metadata};
use serde_json::{Map, Value};
use std::ops::Range;

/// A part of a pattern.
#[derive(Debug)]
pub(super) enum Node {
    Object(Object),
    List(Box<[Node]>),
    Scalar(Box<Scalar>),
}

/// An object of a pattern.
#[derive(Debug)]
pub(super) struct Object {
    /// What is looked at first, by name: conditions, negations, and what applies if it is there.
    pub(super) first: Box<[Member]>,
    /// The others: those with a global anchor or an anchor below them, from last to first by name, then the rest by name.
    pub(super) rest: Box<[Member]>,
    /// The object as it is written, if names of labels or annotations in it stand for others.
    pub(super) wild: Option<Box<Map<String, Value>>>,
}

/// A key of a pattern with what it asks for.
#[derive(Debug)]
pub(super) struct Member {
    /// As it is written.
    pub(super) key: Box<str>,
    /// `None` also for the anchor of mutations, which is taken literally.
    pub(super) anchor: Option<Anchor>,
    /// Where in `key` the name of the object's key is.
    name: Range<usize>,
    pub(super) value: Node,
    /// Whether anything but null will do: the text `*` at a key without an anchor.
    pub(super) anything: bool,
}

impl Node {
    pub(super) fn new(pattern: &Value) -> Node {
        match pattern {
            Value::Object(map) => Node::Object(Object::new(map)),
            Value::Array(values) => Node::List(values.iter().map(Node::new).collect()),
            scalar => Node::Scalar(Box::new(Scalar::new(scalar))),
        }
    }

    /// Whether there is an anchor anywhere in it.
    fn has_anchors(&self) -> bool {
        match self {
            Node::Object(object) => {
                !object.first.is_empty()
                    || object.rest.iter().any(|member| member.anchor.is_some() || member.value.has_anchors())
            }
            Node::List(nodes) => nodes.iter().any(Node::has_anchors),
            Node::Scalar(_) => false,
        }
    }
}

impl Object {
    pub(super) fn new(map: &Map<String, Value>) -> Object {
        let wild = metadata::is_wild(map).then(|| Box::new(map.clone()));
        let mut members: Vec<Member> = map.iter().map(|(key, value)| Member::new(key, value)).collect();
        members.sort_by(|a, b| a.key.cmp(&b.key));
        let (first, rest): (Vec<_>, Vec<_>) = members.into_iter().partition(Member::is_first);
        let goes_ahead = |member: &Member| member.anchor.is_some() || member.value.has_anchors();
        let (mut ahead, last): (Vec<_>, Vec<_>) = rest.into_iter().partition(goes_ahead);
        ahead.reverse();
        ahead.extend(last);
        Object { first: first.into(), rest: ahead.into(), wild }
    }
}

impl Member {
    fn new(key: &str, value: &Value) -> Member {
        let (anchor, name) = match Anchor::parse(key) {
            None | Some((Anchor::AddIfNotPresent, _)) => (None, 0..key.len()),
            Some((anchor, inner)) => {
                // It stands between the parentheses, and ends before the last one.
                let start = key.find('(').map_or(0, |at| at + 1);
                (Some(anchor), start..start + inner.len())
            }
        };
        let anything = anchor.is_none() && value.as_str() == Some("*");
        Member { key: key.into(), anchor, name, value: Node::new(value), anything }
    }

    /// The object's key that it is about.
    pub(super) fn name(&self) -> &str {
        &self.key[self.name.clone()]
    }

    fn is_first(&self) -> bool {
        matches!(
            self.anchor,
            Some(Anchor::Condition | Anchor::Existence | Anchor::Equality | Anchor::Negation)
        )
    }
}
