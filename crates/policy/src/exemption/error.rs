//! Why an exemption is refused.

use crate::nearest::nearest;
use std::fmt;

/// One thing that is wrong with an exemption: an exemption with a slip in it would silently exempt nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptionError {
    /// Where, such as `spec.entries[0].allow[1].values[0]`.
    pub path: String,
    /// What was found, as it is written.
    pub found: String,
    /// What is wrong with it, if that is not plain from what is accepted.
    pub problem: &'static str,
    /// What is accepted.
    pub accepted: Vec<String>,
    /// The accepted one that is most likely meant.
    pub nearest: Option<String>,
}

impl ExemptionError {
    pub(super) fn new(path: impl Into<String>, found: &str, problem: &'static str) -> ExemptionError {
        let path = path.into();
        ExemptionError { path, found: found.to_owned(), problem, accepted: Vec::new(), nearest: None }
    }

    /// With what is accepted instead.
    pub(super) fn accepting<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> ExemptionError {
        self.accepted = names.into_iter().map(str::to_owned).collect();
        self.nearest = nearest(&self.found, self.accepted.iter().map(String::as_str)).map(str::to_owned);
        self
    }
}

impl fmt::Display for ExemptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match self.found.as_str() {
            "" => write!(f, "{}", self.problem)?,
            found => write!(f, "{found:?}: {}", self.problem)?,
        }
        if !self.accepted.is_empty() {
            write!(f, ", accepted: {}", self.accepted.join(", "))?;
        }
        match &self.nearest {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExemptionError {}
