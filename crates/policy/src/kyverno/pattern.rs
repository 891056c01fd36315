//! Overlay patterns: the shape that `validate.pattern` draws of an object, with anchors in its keys and operators in
//! its strings. The order in which keys are looked at, what counts as skipped and the paths in messages are those of
//! Kyverno's `pkg/engine/{validate,pattern,anchor,operator}`, because all of them show in verdicts.
//!
//! ```text
//! Value ─ compile ─► Pattern ─ walk(object) ─► anchors, keys, lists ─ scalar ─► durations, quantities, wildcards
//! ```

mod compile;
mod metadata;
mod operator;
mod path;
mod scalar;
mod walk;

use serde_json::Value;
use thiserror::Error;

pub use operator::Operator;
pub use scalar::matches;

/// What a pattern's key in parentheses means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// `(key)`: if the value does not match, the pattern is not about this object or list element.
    Condition,
    /// `<(key)`: if the value is there and does not match, the whole rule is not about this object.
    Global,
    /// `X(key)`: the key must not be there.
    Negation,
    /// `+(key)`: for mutation only; here the key is taken literally.
    AddIfNotPresent,
    /// `=(key)`: if the key is there, it must match.
    Equality,
    /// `^(key)`: if the list is there, each element of the pattern must match one of its elements.
    Existence,
}

impl Anchor {
    /// The anchor of a key and the key inside of it; `None` for a plain key.
    pub fn parse(key: &str) -> Option<(Anchor, &str)> {
        let key = key.trim();
        let (anchor, rest) = match key.as_bytes().first()? {
            b'(' => (Anchor::Condition, key),
            b'<' => (Anchor::Global, &key[1..]),
            b'X' => (Anchor::Negation, &key[1..]),
            b'+' => (Anchor::AddIfNotPresent, &key[1..]),
            b'=' => (Anchor::Equality, &key[1..]),
            b'^' => (Anchor::Existence, &key[1..]),
            _ => return None,
        };
        let inner = rest.strip_prefix('(')?.strip_suffix(')')?;
        (!inner.is_empty() && !inner.contains('\n')).then_some((anchor, inner))
    }

    /// What stands before the parenthesis.
    pub fn modifier(self) -> &'static str {
        match self {
            Anchor::Condition => "",
            Anchor::Global => "<",
            Anchor::Negation => "X",
            Anchor::AddIfNotPresent => "+",
            Anchor::Equality => "=",
            Anchor::Existence => "^",
        }
    }
}

/// Why an object does not match a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Mismatch {
    /// Kyverno's sentence.
    pub message: String,
    /// Where, such as `/spec/containers/0/image/`. Empty if the pattern does not apply or cannot be evaluated.
    pub path: String,
    /// Whether a condition of the pattern does not hold, so that the pattern says nothing about the object.
    pub skip: bool,
}

/// A pattern, read once to be compared with any number of objects.
#[derive(Debug)]
pub struct Pattern(compile::Node);

impl Pattern {
    /// Reads a pattern; whatever is JSON is one.
    pub fn new(pattern: &Value) -> Pattern {
        Pattern(compile::Node::new(pattern))
    }

    /// Compares an object with it.
    ///
    /// # Errors
    /// [`Mismatch`] for the first difference; with `skip` if the pattern is not about the object.
    pub fn check(&self, object: &Value) -> Result<(), Mismatch> {
        walk::check(object, &self.0)
    }
}

#[cfg(test)]
mod tests;
