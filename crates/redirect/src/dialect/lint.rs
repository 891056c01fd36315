//! What is allowed and yet surely not meant: an option that its mesh ignores, or that another one makes idle. A lint
//! never changes rules; it is told to whoever wrote the option.

use std::fmt;

use serde::Serialize;

/// A remark about one option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The option's long name.
    pub option: &'static str,
    /// What happens, and what to do about it.
    pub message: String,
}

impl Lint {
    /// A remark about `option`.
    pub fn new(option: &'static str, message: impl Into<String>) -> Self {
        Self { option, message: message.into() }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.option, self.message)
    }
}
