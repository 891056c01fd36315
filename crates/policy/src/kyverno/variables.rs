//! Policies are full of `{{ expressions }}` and `$(references)`; what they become decides every verdict, and so does
//! the exact text of the error when they become nothing. This module walks any JSON document as Kyverno's `pkg/engine/
//! variables` does, keys included, and asks a [`Data`] for the values.
//!
//! ```text
//! document ─ references ─► document ─ variables(Data) ─► document   (borrowed where nothing changes)
//! ```
//!
//! Text that a variable brings in is searched for variables again, as Kyverno does it (its issue 11865), but within
//! limits, because an object can bring in text that names itself.

mod reference;
mod scan;
mod traverse;

use crate::go::json;
use crate::jmespath::{ParseError, SearchError};
use serde_json::Value;
use std::borrow::Cow;
use thiserror::Error;

pub use scan::{contains, expressions, expressions_of};

/// How often text brought in by variables is searched for variables again.
const MAX_ROUNDS: usize = 32;
/// The longest text that substitution may build, in bytes.
const MAX_TEXT: usize = 2 * 1024 * 1024;

/// What variables are about: answers to JMESPath expressions.
pub trait Data {
    /// The value of an expression.
    ///
    /// # Errors
    /// [`QueryError`] if it has none.
    fn query(&mut self, expression: &str) -> Result<Value, QueryError>;

    /// `request.operation`; empty if there is none.
    fn operation(&self) -> &str;
}

/// Why an expression has no value. The texts are Kyverno's, but for those of a malformed expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QueryError {
    /// An expression of nothing but spaces.
    #[error("invalid query (nil)")]
    Empty,
    /// The text is not JMESPath.
    #[error("incorrect query {query}: {error}")]
    Parse {
        /// The expression.
        query: String,
        /// Where and why.
        error: ParseError,
    },
    /// The expression fails on this object; most often an unknown key.
    #[error("JMESPath query failed: {0}")]
    Search(#[from] SearchError),
    /// A context entry that the expression names cannot be loaded.
    #[error("{0}")]
    Context(String),
}

impl QueryError {
    /// Whether the only reason is a key that does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Search(error) if error.is_not_found())
    }
}

/// Why a document has no substituted form. The texts are Kyverno's, but for the limits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubstitutionError {
    /// A variable or reference without a value.
    #[error("failed to resolve {expression} at path {path}: {reason}")]
    Unresolved {
        /// The expression, or the reference with its `$()`.
        expression: String,
        /// Where it stands in the document that was to be substituted.
        path: String,
        /// Why.
        reason: String,
    },
    /// A reference to a place that does not exist.
    #[error("got nil resolved variable {reference} at path {path}: <nil>")]
    NilReference {
        /// The reference with its `$()`.
        reference: String,
        /// Where it stands.
        path: String,
    },
    /// A reference to something that is not text.
    #[error("NotResolvedReferenceErr,reference {reference} not resolved at path {path}")]
    ReferenceType {
        /// The reference with its `$()`.
        reference: String,
        /// Where it stands.
        path: String,
    },
    /// A key that is a variable whose value is not text.
    #[error("expected string after substituting variables in key \"{0}\"")]
    Key(String),
    /// Text brought in by variables keeps bringing in variables, or grows without bounds.
    #[error("variables at path {0} bring in too many further variables or too much text")]
    Limit(String),
}

/// A document of a policy, looked at before it is needed: most have no variables, or are one.
#[derive(Debug, Clone)]
pub(super) struct Document {
    written: Value,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Nothing in it is ever replaced.
    Fixed,
    /// It is one variable: the expression between the braces.
    Variable(String),
    /// Anything else.
    Mixed,
}

impl Document {
    /// Looks at it.
    pub(super) fn new(written: Value) -> Self {
        let kind = match &written {
            fixed if !scan::changes(fixed) => Kind::Fixed,
            Value::String(text) => scan::only(text).map_or(Kind::Mixed, Kind::Variable),
            _ => Kind::Mixed,
        };
        Self { written, kind }
    }

    /// Whether nothing in it is ever replaced.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.kind, Kind::Fixed)
    }

    /// The document as [`substitute`] makes it.
    ///
    /// # Errors
    /// As [`substitute`].
    pub(super) fn substituted(&self, data: &mut dyn Data) -> Result<Cow<'_, Value>, SubstitutionError> {
        match &self.kind {
            Kind::Fixed => return Ok(Cow::Borrowed(&self.written)),
            // Where there is a value without variables of its own, the long way finds the same.
            Kind::Variable(expression) if data.operation() != "DELETE" => {
                if let Ok(value) = data.query(expression)
                    && (value.is_string() || !scan::changes(&value))
                {
                    return Ok(Cow::Owned(value));
                }
            }
            Kind::Variable(_) | Kind::Mixed => {}
        }
        replaced(&self.written, data)
    }
}

/// The document with all its references and variables replaced. It is borrowed if it has none.
///
/// # Errors
/// [`SubstitutionError`] for the first of them without a value.
pub fn substitute<'a>(document: &'a Value, data: &mut dyn Data) -> Result<Cow<'a, Value>, SubstitutionError> {
    if scan::changes(document) { replaced(document, data) } else { Ok(Cow::Borrowed(document)) }
}

/// [`substitute`] for a document that has something to replace.
fn replaced<'a>(document: &'a Value, data: &mut dyn Data) -> Result<Cow<'a, Value>, SubstitutionError> {
    let document = match reference::substitute(document)? {
        Some(document) => Cow::Owned(document),
        None => Cow::Borrowed(document),
    };
    let substituted = traverse::map(&document, &mut |text, path| variables(text, path, data))?;
    Ok(substituted.map_or(document, Cow::Owned))
}

/// The text with its variables replaced; a value of any type if the text is one variable.
///
/// # Errors
/// [`SubstitutionError`], as [`substitute`].
pub fn substitute_text(text: &str, data: &mut dyn Data) -> Result<Value, SubstitutionError> {
    let document = Value::String(text.to_owned());
    substitute(&document, data).map(Cow::into_owned)
}

/// One string of a document; `None` if nothing in it changes.
fn variables(text: &str, path: &str, data: &mut dyn Data) -> Result<Option<Value>, SubstitutionError> {
    if !text.contains("{{") {
        return Ok(None);
    }
    let mut value = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let found: Vec<_> = scan::variables(&value).map(|v| v.to_owned()).collect();
        if found.is_empty() {
            return Ok(Some(Value::String(value.replace("\\{{", "{{"))));
        }
        let original = value.clone();
        let mut shallow = false;
        for variable in found {
            let (expression, is_shallow) = expression(&variable.text, path, data);
            shallow = is_shallow;
            let result = data.query(&expression).map_err(|error| SubstitutionError::Unresolved {
                expression: expression.clone(),
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
            if original == variable.text {
                return Ok(Some(result));
            }
            let mut replacement = match result {
                Value::String(text) => text,
                other => json::marshal(&other),
            };
            if shallow {
                replacement = replacement.replace("{{", "\\{{");
            }
            let sought = format!("{}{}", variable.prefix, variable.text);
            value = value.replacen(&sought, &format!("{}{replacement}", variable.prefix), 1);
            if value.len() > MAX_TEXT {
                return Err(SubstitutionError::Limit(path.to_owned()));
            }
        }
        if shallow {
            return Ok(Some(Value::String(value.replace("\\{{", "{{"))));
        }
    }
    Err(SubstitutionError::Limit(path.to_owned()))
}

/// What stands between the braces, with `@` and, for deletions, `request.object` replaced; and whether the value is
/// not to be searched for variables (`{{- x }}`).
fn expression(variable: &str, path: &str, data: &mut dyn Data) -> (String, bool) {
    let (inner, shallow) = scan::inner(variable);
    let mut expression = inner;
    if expression == "@" {
        let prefix = if data.query("target").is_ok() { "target" } else { "request.object" };
        expression = traverse::current(path, prefix);
    }
    if data.operation() == "DELETE" {
        expression = expression.replace("request.object", "request.oldObject");
    }
    (expression, shallow)
}

#[cfg(test)]
mod tests;
