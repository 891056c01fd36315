//! The status of Kyverno's policies, as Kyverno writes it and `kubectl get cpol` shows it. Pure.

use jiff::Timestamp;
use meshward_kit::events::bounded;
use meshward_policy::kyverno::autogen;
use serde_json::{Value, json};

use super::spec::Condition;
use crate::hooks::Fault;

/// Together with what is said about it, this is shorter than what a condition may say.
const LONGEST: usize = 8 << 10;

/// What is known of a policy.
#[derive(Debug, Clone, Default, Hash)]
pub struct Verdict {
    /// What is wrong with its present version.
    pub errors: Vec<String>,
    /// What is wrong with its match conditions, as the API server sees it.
    pub refused: Vec<Fault>,
    /// Rules that are not evaluated, each with what it does.
    pub unsupported: Vec<String>,
    /// An earlier version stays in force.
    pub earlier: bool,
}

/// The status of a policy as the API server has it.
pub fn policy(object: &Value, verdict: &Verdict, at: Timestamp) -> Value {
    let ready = verdict.errors.is_empty() && verdict.refused.is_empty();
    let reason = if ready { "Succeeded" } else { "Failed" };
    let message = message(verdict);
    let rules = object.pointer("/spec/rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let has =
        |name: &str| rules.iter().filter(|rule| rule.get(name).is_some_and(|one| !one.is_null())).count();
    let annotation =
        object.pointer("/metadata/annotations").and_then(|all| all.get(autogen::ANNOTATION)?.as_str());
    let generated = autogen::generate(rules, annotation);
    let generated: Vec<Value> = generated.controllers.into_iter().chain(generated.cron_jobs).collect();
    let rules = if generated.is_empty() { Value::Null } else { Value::Array(generated) };
    json!({
        "ready": ready,
        "conditions": [Condition::new("Ready", ready, reason, message, object, at)],
        "autogen": {"rules": rules},
        "rulecount": {
            "validate": has("validate"), "generate": has("generate"),
            "mutate": has("mutate"), "verifyimages": has("verifyImages"),
        },
        "validatingadmissionpolicy": {"generated": false, "message": ""},
    })
}

fn message(verdict: &Verdict) -> String {
    let Verdict { errors, refused, unsupported, earlier } = verdict;
    if !errors.is_empty() {
        let earlier = if *earlier { "; an earlier version stays in force" } else { "" };
        return format!("{}{earlier}", errors.join("; "));
    }
    if !refused.is_empty() {
        let faults: Vec<String> =
            refused.iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
        let faults = bounded(&faults.join("; "), LONGEST);
        return format!("no request is judged, the API server refuses the match conditions: {faults}");
    }
    if !unsupported.is_empty() {
        return format!("Ready, but these rules are not evaluated: {}", unsupported.join(", "));
    }
    "Ready".to_owned()
}
