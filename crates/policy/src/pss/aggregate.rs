//! The sentences about all checks of a pod together, as upstream's `AggregateCheckResults` joins them.

use std::fmt::Write as _;

use super::{CheckResult, LevelVersion};

/// The forbidding checks' reasons and details, in the order of the results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    violations: Vec<(&'static str, String)>,
}

impl Aggregate {
    /// Joins the results of one evaluation, after exemptions if any.
    #[must_use]
    pub fn new(results: &[CheckResult<'_>]) -> Aggregate {
        Aggregate { violations: results.iter().filter_map(CheckResult::text).collect() }
    }

    /// Whether no check forbids the pod.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.violations.is_empty()
    }

    /// Reason and detail of each forbidding check.
    #[must_use]
    pub fn violations(&self) -> &[(&'static str, String)] {
        &self.violations
    }

    /// The reasons, joined by commas.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut text = String::new();
        for (reason, _) in &self.violations {
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(reason);
        }
        text
    }

    /// The reasons, each with its detail in parentheses, joined by commas.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut text = String::new();
        for (reason, detail) in &self.violations {
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(reason);
            if !detail.is_empty() {
                // Writing to a String cannot fail.
                let _ = write!(text, " ({detail})");
            }
        }
        text
    }

    /// `violates PodSecurity "restricted:latest": …`: the sentence of a denial.
    #[must_use]
    pub fn violates(&self, policy: LevelVersion) -> String {
        format!("violates PodSecurity \"{policy}\": {}", self.detail())
    }
}
