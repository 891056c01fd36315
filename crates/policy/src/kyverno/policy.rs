//! A ClusterPolicy or Policy, compiled once and evaluated against any number of objects.
//!
//! ```text
//! Value ─ compile ─► Policy { rules, rules for controllers, rules for CronJobs, unsupported }
//! Input ─ evaluate ─► [RuleResult]            (as Kyverno's `pkg/engine/validation.go` does it)
//! ```
//!
//! Rules that are not about validation, or validate by something else (CEL, manifests, image signatures), are listed as
//! unsupported; they are never counted as passed.

mod background;
mod compile;
mod evaluate;
mod exception;
mod lint;
mod operations;
mod refuse;
mod report;
mod resource;
mod settings;

use super::conditions::Conditions;
use super::matching::{Block, Gvk, NOBODY, UserInfo};
use super::pattern::Pattern;
use super::pod_security::PodSecurity;
use super::quirk::Quirks;
use super::scope::{Entry, Expressions, List};
use super::variables::Document;
use crate::jmespath::Environment;
use serde_json::Value;
use settings::RuleSettings;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

pub use super::lookup::{Lookup, NoLookup};
pub use exception::Exception;
pub use lint::Touched;
pub use report::{RuleInfo, RuleReport, Standard};
pub use settings::{Action, FailurePolicy, Settings};

/// What a rule says about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The object is as it should be.
    Pass,
    /// It is not.
    Fail,
    /// It is not, but that only warns.
    Warn,
    /// The rule cannot be decided.
    Error,
    /// The rule is not about this object after all, or an exception takes it out.
    Skip,
}

impl Status {
    /// The name in reports and test files.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Warn => "warn",
            Status::Error => "error",
            Status::Skip => "skip",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of one rule. A rule that does not match has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleResult {
    /// The policy; of a namespaced one, `namespace/name`.
    pub policy: Arc<str>,
    /// The rule, generated ones by their generated name.
    pub rule: Arc<str>,
    /// What it says.
    pub status: Status,
    /// Kyverno's message.
    pub message: String,
}

/// An object in a request, with all that policies may ask about.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The object; null for deletions.
    pub object: &'a Value,
    /// The object as it was; null if it is new.
    pub old_object: &'a Value,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    /// Group, version and kind; of a subresource, those of the parent. `None`: those of the object.
    pub gvk: Option<&'a Gvk>,
    /// The subresource, or empty.
    pub subresource: &'a str,
    /// The labels of the object's namespace; null if unknown.
    pub namespace_labels: &'a Value,
    /// Who asks.
    pub user: &'a UserInfo,
    /// What else variables may ask of `request`, such as `uid`, `dryRun` or `options`: an object as the API server sends
    /// it, or null. The objects in it are not looked at.
    pub request: &'a Value,
    /// Values given for variables, by names with dots. `request.operation` is [`Input::operation`], whatever stands here.
    pub variables: &'a [(String, Value)],
    /// Exceptions; those for other policies and rules do no harm.
    pub exceptions: &'a [Exception],
    /// Answers for context entries.
    pub lookup: &'a dyn Lookup,
    /// Clock, randomness, names, YAML.
    pub environment: &'a dyn Environment,
}

impl<'a> Input<'a> {
    /// A new object that nobody in particular creates: no labels of its namespace, no values, exceptions or answers.
    pub fn created(object: &'a Value, environment: &'a dyn Environment) -> Self {
        Self {
            object,
            old_object: &Value::Null,
            operation: "CREATE",
            gvk: None,
            subresource: "",
            namespace_labels: &Value::Null,
            user: &NOBODY,
            request: &Value::Null,
            variables: &[],
            exceptions: &[],
            lookup: &NoLookup,
            environment,
        }
    }
}

/// An object with the given variables merged in that are about a part of it, such as
/// `request.object.metadata.labels.a`: Kyverno's command line matches and checks the object so changed. `name` is
/// `object` or `oldObject`.
#[must_use]
pub fn with_variables(object: &Value, name: &str, variables: &[(String, Value)]) -> Value {
    super::scope::inject(object, name, variables)
}

/// A policy that cannot be used, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct PolicyError {
    /// Where, such as `spec.rules[0].validate.deny.conditions.any[0].operator`.
    pub path: String,
    /// What was found and what is accepted.
    pub reason: String,
}

/// A rule that is not evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The rule's name.
    pub rule: String,
    /// What it does that is not supported, such as `mutate` or `validate.cel`.
    pub what: String,
}

/// A compiled policy. It does not change, so that threads can share it.
#[derive(Debug)]
pub struct Policy {
    key: Arc<str>,
    name: String,
    namespace: String,
    scored: bool,
    quirks: Quirks,
    settings: Settings,
    /// Stop after the first rule that is about the object.
    one: bool,
    /// A rule is about who makes a request.
    asks_who: bool,
    rules: Vec<Rule>,
    controllers: Vec<Rule>,
    cron_jobs: Vec<Rule>,
    unsupported: Vec<Unsupported>,
    expressions: Expressions,
}

impl Policy {
    /// Compiles a ClusterPolicy or Policy.
    ///
    /// # Errors
    /// Every [`PolicyError`] found; nothing of such a policy is used.
    pub fn compile(document: &Value) -> Result<Policy, Vec<PolicyError>> {
        compile::policy(document, Quirks::KYVERNO, false)
    }

    /// Compiles one that is only asked about what its match conditions let through, because an API server looks at them
    /// first ([`Settings::match_conditions`]). They are in CEL, which is not evaluated here.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_for_webhook(document: &Value) -> Result<Policy, Vec<PolicyError>> {
        compile::policy(document, Quirks::KYVERNO, true)
    }

    /// Compiles a ClusterPolicy or Policy with only some of Kyverno's quirks, or none.
    ///
    /// # Errors
    /// As [`Policy::compile`].
    pub fn compile_with(document: &Value, quirks: Quirks) -> Result<Policy, Vec<PolicyError>> {
        compile::policy(document, quirks, false)
    }

    /// The quirks that are on.
    pub fn quirks(&self) -> Quirks {
        self.quirks
    }

    /// What is set for the policy as a whole.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The policy's name; with the namespace before it and a slash if it has one.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether failures count in reports; those of a policy annotated `policies.kyverno.io/scored: "false"` are shown
    /// as warnings there.
    pub fn scored(&self) -> bool {
        self.scored
    }

    /// The rules that are not evaluated.
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// The names of all rules that are evaluated, generated ones included.
    pub fn rule_names(&self) -> impl Iterator<Item = &str> {
        self.all_rules().map(|rule| &*rule.name)
    }

    /// The rules that are evaluated, those generated for controllers included.
    fn all_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain(&self.controllers).chain(&self.cron_jobs)
    }

    /// What the rules say about an object; nothing for rules that do not match it.
    pub fn evaluate(&self, input: &Input<'_>) -> Vec<RuleResult> {
        let reports = evaluate::policy(self, input, self.quirks, evaluate::Detail::Verdict);
        reports.into_iter().map(|report| report.result).collect()
    }

    /// The same with all that reports say about it.
    pub fn report(&self, input: &Input<'_>) -> Vec<RuleReport> {
        evaluate::policy(self, input, self.quirks, evaluate::Detail::Report)
    }
}

/// A compiled rule.
#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    /// Its place in the policy, such as `spec.rules[0]`; empty if it is generated.
    path: String,
    matching: Block,
    exclude: Option<Block>,
    context: Vec<Entry>,
    preconditions: Conditions,
    settings: RuleSettings,
    allow_existing: bool,
    message: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Check(Check),
    PodSecurity(PodSecurity),
}

/// What is checked, of a rule or of the elements of a loop.
#[derive(Debug)]
enum Check {
    Pattern(Template),
    AnyPattern(Vec<Template>),
    Deny(Conditions),
    ForEach(Vec<ForEach>),
}

/// A pattern that may have variables and references.
#[derive(Debug)]
enum Template {
    /// It has none.
    Fixed(Pattern),
    /// It is read when their values are known.
    Variable(Document),
}

/// A loop over the elements of a list.
#[derive(Debug)]
struct ForEach {
    list: List,
    element_scope: Option<bool>,
    context: Vec<Entry>,
    preconditions: Conditions,
    check: Check,
}

#[cfg(test)]
mod tests;
