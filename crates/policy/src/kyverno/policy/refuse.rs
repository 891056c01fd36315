//! What Kyverno's admission refuses although it can be read. Its command line counts such a policy as an error and
//! evaluates nothing of it, so doing anything else with it would not be faithful. The conditions are those of
//! `pkg/validation/policy/validate.go`, `pkg/policy/validate` and of `Validate` in `api/kyverno/v1`, for everything that is
//! about rules which validate.
//!
//! ```text
//! a policy with all quirks ─► settings, match and exclude, context, checks, exclusions, variables ─► errors
//! any other policy         ─► variables: an expression that is none can be decided in no mode
//! ```

mod check;
mod context;
mod exclusion;
mod matching;
mod setting;
mod variable;

use super::settings::present;
use super::{Body, Policy, PolicyError};
use crate::kyverno::quirk::Quirks;
use serde_json::Value;

/// A policy as it is written.
pub(super) struct Written<'v> {
    pub(super) document: &'v Value,
    /// `spec`, with the types that Kyverno reads.
    pub(super) spec: &'v Value,
    /// `spec.rules`
    pub(super) rules: &'v [Value],
}

/// Everything that is refused of a policy with all of Kyverno's quirks; of one that is read in another way, variables
/// that can have no value.
pub(super) fn refusals(policy: &Policy, written: &Written<'_>, errors: &mut Vec<PolicyError>) {
    // Of a rule that cannot be read, the reason is enough.
    let unread = |path: &str| errors.iter().any(|error| error.path.starts_with(path));
    let each = written.rules.iter().enumerate().map(|(index, rule)| (format!("spec.rules[{index}]"), rule));
    let rules: Vec<_> = each.filter(|(path, _)| !unread(path)).collect();
    let (mut refused, modes) = (Refused(errors), Modes::of(policy));
    for (path, rule) in rules.iter().filter(|(_, rule)| present(rule, "validate").is_some()) {
        variable::check(rule, path, &modes, &mut refused);
    }
    if !modes.faithful {
        return;
    }
    setting::check(written, &modes, &mut refused);
    for (path, rule) in &rules {
        matching::check(rule, path, &modes, &mut refused);
        variable::forbidden(rule, path, &modes, &mut refused);
        if let Some(validate) = present(rule, "validate") {
            context::check(rule, path, &modes, &mut refused);
            check::check(rule, validate, path, &mut refused);
        }
    }
    for rule in &policy.rules {
        if let Body::PodSecurity(standard) = &rule.body {
            let path = format!("{}.validate.podSecurity.exclude", rule.path);
            for (name, reason) in exclusion::exclusions(standard) {
                refused.add(format!("{path}{name}"), reason);
            }
        }
    }
}

/// What decides how strict the conditions on a rule are.
struct Modes {
    /// Objects that are there already are judged too, when nobody makes a request.
    background: bool,
    /// The policy is bound to a namespace.
    namespaced: bool,
    /// With all of Kyverno's quirks.
    faithful: bool,
}

impl Modes {
    fn of(policy: &Policy) -> Self {
        Self {
            background: policy.settings.background,
            namespaced: !policy.namespace.is_empty(),
            faithful: policy.quirks == Quirks::KYVERNO,
        }
    }
}

/// Where what is refused goes.
struct Refused<'e>(&'e mut Vec<PolicyError>);

impl Refused<'_> {
    fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.0.push(PolicyError { path: path.into(), reason: reason.into() });
    }
}

/// The elements of a list; none where it is missing.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
fn texts<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    list(value, name).iter().filter_map(Value::as_str).collect()
}

/// A text; empty where it is missing.
fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
