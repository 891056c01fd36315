//! Kyverno's rules about an object: which were about it, and what they said.

use std::path::PathBuf;

use meshward_policy::kyverno::policy::{Input, Policy, PolicyError, Status};
use serde_json::{Value, json};

use crate::load::{self, Part, Told};
use crate::results::Problem;
use meshward_kit::machine::Machine;

/// Compiled policies.
pub(super) struct Policies {
    list: Vec<Policy>,
}

/// What one rule says.
pub(super) struct RuleAccount {
    pub(super) policy: String,
    pub(super) rule: String,
    /// `None` for a rule that is not about the object, or is not evaluated.
    pub(super) status: Option<Status>,
    pub(super) message: String,
}

impl RuleAccount {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self.status, Some(Status::Fail | Status::Error))
    }

    pub(super) fn word(&self) -> &'static str {
        self.status.map_or("no match", Status::as_str)
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { policy, rule, message, .. } = self;
        json!({ "policy": policy, "rule": rule, "status": self.word(), "message": message })
    }
}

impl Policies {
    /// Reads policies; what cannot be compiled is told.
    pub(super) fn read(files: &[PathBuf], problems: &mut Vec<Problem>) -> Self {
        if files.is_empty() {
            return Self { list: Vec::new() };
        }
        let loaded = load::each_document(files, compile);
        problems.extend(loaded.told.problems);
        Self { list: loaded.values.into_iter().flatten().collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What every rule says about a new object, asked by nobody in particular.
    pub(super) fn rules(&self, object: &Value) -> Vec<RuleAccount> {
        self.list.iter().flat_map(|policy| rules(policy, object)).collect()
    }
}

fn rules(policy: &Policy, object: &Value) -> Vec<RuleAccount> {
    let input = Input::created(object, &Machine);
    let results = policy.evaluate(&input);
    let account = |rule: &str, status, message: String| RuleAccount {
        policy: policy.key(),
        rule: rule.to_owned(),
        status,
        message,
    };
    // Of generated rules only those that speak are told: nobody wrote the others.
    let silent = policy
        .rule_names()
        .filter(|name| !name.starts_with("autogen-") && !results.iter().any(|result| result.rule == *name));
    let silent: Vec<RuleAccount> =
        silent.map(|name| account(name, None, "the rule is not about this object".into())).collect();
    let unsupported = policy.unsupported().iter();
    let unsupported = unsupported
        .map(|rule| account(&rule.rule, None, format!("not evaluated: {} is not supported", rule.what)));
    let said =
        results.iter().map(|result| account(&result.rule, Some(result.status), result.message.clone()));
    said.chain(silent).chain(unsupported).collect()
}

fn compile(part: &Part<'_>, told: &mut Told) -> Vec<Policy> {
    let mut policies = Vec::new();
    for object in part.document.objects() {
        let kind = object.value.get("kind").and_then(Value::as_str).unwrap_or_default();
        let span = object.place().map(|place| place.value);
        if !matches!(kind, "ClusterPolicy" | "Policy") {
            let message = format!("no policy: found kind {kind:?}, accepted: ClusterPolicy, Policy");
            told.problems.push(part.problem(&message, span));
            continue;
        }
        match Policy::compile(&object.value) {
            Ok(policy) => policies.push(policy),
            Err(errors) => {
                let problem = |error: &PolicyError| part.problem(&error.to_string(), span);
                told.problems.extend(errors.iter().map(problem));
            }
        }
    }
    policies
}
