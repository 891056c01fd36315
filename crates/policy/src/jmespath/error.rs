//! What can go wrong with an expression: when it is parsed, and when it meets data.

use thiserror::Error;

/// An expression that is not JMESPath.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ParseError {
    /// Where in the expression, in bytes; at most its length.
    pub offset: usize,
    /// What was found and what is accepted there.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }

    /// The line of `expression` that holds the error and, below it, a caret at the place.
    pub fn caret(&self, expression: &str) -> String {
        let mut offset = self.offset.min(expression.len());
        while !expression.is_char_boundary(offset) {
            offset -= 1;
        }
        let start = expression[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = expression[offset..].find('\n').map_or(expression.len(), |length| offset + length);
        let column = expression[start..offset].chars().count();
        format!("{}\n{:column$}^", &expression[start..end], "")
    }
}

/// An evaluation without a result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SearchError {
    /// Kyverno's dialect: an object has no such key. The text is the fork's, which Kyverno compares.
    #[error("Unknown key \"{key}\" in path")]
    NotFound {
        /// The key.
        key: String,
    },
    /// The dialect has no such function.
    #[error("unknown function: {name}")]
    UnknownFunction {
        /// The name called.
        name: String,
    },
    /// A function was called with too few or too many arguments.
    #[error("{function}() accepts {accepted}, found {found}")]
    Arity {
        /// The function.
        function: &'static str,
        /// The number of arguments accepted, in words.
        accepted: String,
        /// The number of arguments found.
        found: usize,
    },
    /// An argument of a type that the function does not accept.
    #[error("argument {position} of {function}() is of type {found}, accepted: {accepted}")]
    ArgumentType {
        /// The function.
        function: &'static str,
        /// Which argument, from 1.
        position: usize,
        /// The type found.
        found: &'static str,
        /// The types accepted.
        accepted: String,
    },
    /// A function has no result for these arguments.
    #[error("JMESPath function '{function}': {reason}")]
    Function {
        /// The function.
        function: &'static str,
        /// Why.
        reason: String,
    },
    /// A slice such as `[::0]`.
    #[error("invalid slice, step cannot be 0")]
    ZeroStep,
    /// `&expression` outside of a function's arguments.
    #[error("an expression reference (&) is not a value")]
    ExpressionReference,
    /// The evaluation was given up because it costs more than [`super::Limits`] allow.
    #[error("evaluation exceeds the limit of {limit} steps")]
    Limit {
        /// The limit.
        limit: u64,
    },
}

impl SearchError {
    /// Whether this is Kyverno's "Unknown key", which some callers treat as null.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}
