//! Which of Kyverno's quirks a policy depends on: as it is written, and for one object.

use super::evaluate::{self, Detail};
use super::{Body, Exception, Input, Policy, RuleResult};
use crate::kyverno::pod_security;
use crate::kyverno::quirk::{Quirk, Quirks};

/// A quirk that matters to a policy or an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The quirk.
    pub quirk: Quirk,
    /// The rule; empty for an exception.
    pub rule: String,
    /// What in the document makes it matter, such as `spec.rules[0].validate.podSecurity.exclude[1].images[0]`.
    pub path: String,
}

impl Policy {
    /// The quirks that the policy depends on as it is written: for some object, Kyverno's verdict or message may be
    /// another than the one that is meant.
    pub fn quirks_touched(&self) -> Vec<Touched> {
        let mut all = Vec::new();
        for rule in &self.rules {
            let Body::PodSecurity(standard) = &rule.body else { continue };
            all.extend(pod_security::touched(standard).into_iter().map(|(quirk, path)| Touched {
                quirk,
                rule: rule.name.to_string(),
                path: format!("{}.validate.podSecurity.{path}", rule.path),
            }));
        }
        all
    }

    /// The quirks that decide about one object: a quirk that is on and without which a result would be another, or one
    /// that is off and with which it would be.
    pub fn quirks_decisive(&self, input: &Input<'_>) -> Vec<Quirk> {
        let with = |quirks: Quirks| -> Vec<RuleResult> {
            let reports = evaluate::policy(self, input, quirks, Detail::Verdict);
            reports.into_iter().map(|report| report.result).collect()
        };
        let now = with(self.quirks);
        let other = |quirk: Quirk| match self.quirks.on(quirk) {
            true => self.quirks.without(quirk),
            false => self.quirks.with(quirk),
        };
        Quirk::all().filter(|quirk| with(other(*quirk)) != now).collect()
    }

    /// The results as they would be with other quirks.
    pub fn evaluate_with(&self, input: &Input<'_>, quirks: Quirks) -> Vec<RuleResult> {
        let reports = evaluate::policy(self, input, quirks, Detail::Verdict);
        reports.into_iter().map(|report| report.result).collect()
    }
}

impl Exception {
    /// The quirks that the exception's `podSecurity` depends on.
    pub fn quirks_touched(&self) -> Vec<Touched> {
        let places = pod_security::exclusions_touched(self.exclusions(), true).into_iter();
        places
            .map(|(quirk, path)| Touched {
                quirk,
                rule: String::new(),
                path: format!("spec.podSecurity{path}"),
            })
            .collect()
    }
}
