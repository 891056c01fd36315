//! What is wrong with a policy, an exception or an exemption.

use meshward_policy::exemption::Exemption;
use meshward_policy::jmespath::Environment;
use meshward_policy::kyverno::policy::{Exception, Policy, PolicyError};
use meshward_policy::lint::{Given, Severity, lint};
use meshward_policy::nearest::nearest;
use meshward_policy::wildcard;
use serde_json::Value;

use super::text;
use crate::admission::judge::Stop;
use crate::hooks::{CONDITIONS_FIELD, Fault};
use crate::live::{Granting, Snapshot};
use crate::lookup::{AskError, Asker};
use crate::review::Cause;

/// What came of looking at an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// It can be used; with what its author should know.
    Usable(Vec<String>),
    /// It cannot.
    Invalid(Vec<Cause>),
    /// It could, but not where it is.
    Forbidden(String),
}

/// Fields of policies that Kyverno deprecates, with what takes their place.
const DEPRECATED: [(&str, &str); 5] = [
    ("validationFailureAction", "spec.rules[*].validate.failureAction"),
    ("validationFailureActionOverrides", "spec.rules[*].validate.failureActionOverrides"),
    ("failurePolicy", "spec.webhookConfiguration.failurePolicy"),
    ("webhookTimeoutSeconds", "spec.webhookConfiguration.timeoutSeconds"),
    ("schemaValidation", "nothing: it has no effect"),
];
/// Operators of conditions that Kyverno deprecates.
const OPERATORS: [(&str, &str); 6] = [
    ("In", "AnyIn or AllIn"),
    ("NotIn", "AnyNotIn or AllNotIn"),
    ("DurationGreaterThan", "GreaterThan"),
    ("DurationGreaterThanOrEquals", "GreaterThanOrEquals"),
    ("DurationLessThan", "LessThan"),
    ("DurationLessThanOrEquals", "LessThanOrEquals"),
];

/// An Exemption, ClusterExemption or MeshPreset.
pub(super) fn exemption(object: &Value, environment: &dyn Environment) -> Checked {
    let Err(errors) = Exemption::parse(object) else { return Checked::Usable(linted(object, environment)) };
    let cause = |error: &meshward_policy::exemption::ExemptionError| {
        let whole = error.to_string();
        let rest = whole.strip_prefix(&error.path).and_then(|rest| rest.strip_prefix(": "));
        let message = rest.unwrap_or(&whole).to_owned();
        Cause { reason: "FieldValueInvalid", message, field: error.path.clone() }
    };
    Checked::Invalid(errors.iter().map(cause).collect())
}

/// A ClusterPolicy or Policy. Its match conditions are the API server's to read; when that cannot be asked, its status will
/// tell.
pub(super) fn policy(
    object: &Value,
    asker: &Asker<'_>,
    environment: &dyn Environment,
) -> Result<Checked, Stop> {
    let policy = match Policy::compile_for_webhook(object) {
        Ok(policy) => policy,
        Err(errors) => return Ok(Checked::Invalid(errors.into_iter().map(of_policy).collect())),
    };
    let conditions = &policy.settings().match_conditions;
    let asked = if conditions.is_empty() { Ok(Vec::new()) } else { asker.match_conditions(conditions) };
    let unasked = match asked {
        Ok(faults) if !faults.is_empty() => {
            return Ok(Checked::Invalid(faults.into_iter().map(of_condition).collect()));
        }
        Err(AskError::Waits) => return Err(Stop::Waits),
        Err(error) => {
            Some(format!("{CONDITIONS_FIELD} not checked: {error}; the status of the policy will tell"))
        }
        Ok(_) => None,
    };
    let unsupported = policy.unsupported().iter();
    let mut warnings: Vec<String> = unsupported
        .map(|rule| format!("rule {:?} is unsupported: {} is not enforced here", rule.rule, rule.what))
        .collect();
    if !policy.settings().match_conditions.is_empty() && policy.settings().background {
        warnings.push(format!(
            "{CONDITIONS_FIELD}: only requests are judged; what is there already is not scanned"
        ));
    }
    warnings.extend(unasked);
    warnings.extend(deprecated(object));
    warnings.extend(linted(object, environment));
    Ok(Checked::Usable(warnings))
}

/// A PolicyException.
pub(super) fn exception(
    object: &Value,
    granting: &Granting,
    snapshot: &Snapshot,
    environment: &dyn Environment,
) -> Checked {
    if let Some(why) = granting.refuses(text(object, "/metadata/namespace")) {
        return Checked::Forbidden(format!("{why} (--exception-namespaces)"));
    }
    let exception = match Exception::parse(object) {
        Ok(exception) => exception,
        Err(error) => return Checked::Invalid(vec![of_policy(error)]),
    };
    let mut warnings = unknown(&exception, snapshot);
    warnings.extend(linted(object, environment));
    Checked::Usable(warnings)
}

fn of_policy(error: PolicyError) -> Cause {
    Cause { reason: "FieldValueInvalid", message: error.reason, field: error.path }
}

fn of_condition(Fault { field, message }: Fault) -> Cause {
    Cause { reason: "FieldValueInvalid", message, field }
}

/// What lint finds in the object alone. That a rule is unsupported is told in other words.
fn linted(object: &Value, environment: &dyn Environment) -> Vec<String> {
    let documents = std::slice::from_ref(object);
    let findings = lint(&Given { documents, resources: &[], environment });
    let told = findings.into_iter().filter(|finding| {
        finding.lint.severity >= Severity::Warning && finding.lint.id != "unsupported-rule"
    });
    told.map(|finding| {
        let place = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        format!("{place}{} ({}); instead: {}", finding.message, finding.lint.id, finding.instead)
    })
    .collect()
}

/// Policies and rules that an exception names and that are not there. They may come later, so it is only told.
fn unknown(exception: &Exception, snapshot: &Snapshot) -> Vec<String> {
    let keys: Vec<&str> = snapshot.policies.iter().map(|loaded| loaded.policy.key()).collect();
    let meant = |found: &str, names: &mut dyn Iterator<Item = &str>| {
        nearest(found, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
    };
    let mut warnings = Vec::new();
    for (index, (name, patterns)) in exception.rules().iter().enumerate() {
        let place = format!("spec.exceptions[{index}]");
        let Some(loaded) = snapshot.policies.iter().find(|loaded| loaded.policy.key() == *name) else {
            let hint = meant(name, &mut keys.iter().copied());
            warnings.push(format!("{place}.policyName: there is no policy {name:?}{hint}"));
            continue;
        };
        let rules = || {
            let unsupported = loaded.policy.unsupported().iter().map(|rule| rule.rule.as_str());
            loaded.policy.rule_names().chain(unsupported)
        };
        for (number, pattern) in patterns.iter().enumerate() {
            if !rules().any(|rule| wildcard::matches(pattern, rule)) {
                let hint = meant(pattern, &mut rules());
                warnings.push(format!("{place}.ruleNames[{number}]: {name} has no rule {pattern:?}{hint}"));
            }
        }
    }
    warnings
}

fn deprecated(object: &Value) -> Vec<String> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let mut warnings = Vec::new();
    for (field, instead) in DEPRECATED {
        if spec.get(field).is_some_and(|value| !value.is_null()) {
            warnings.push(format!("spec.{field} is deprecated by Kyverno, instead: {instead}"));
        }
    }
    operators(spec, "spec", &mut warnings);
    warnings
}

fn operators(value: &Value, path: &str, warnings: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let operator = map.get("operator").and_then(Value::as_str).unwrap_or_default();
            // Label selectors have operators of the same names; only conditions have keys with values beside them.
            if map.contains_key("value")
                && let Some((name, instead)) = OPERATORS.iter().find(|(name, _)| *name == operator)
            {
                warnings
                    .push(format!("{path}.operator: {name} is deprecated by Kyverno, instead: {instead}"));
            }
            map.iter().for_each(|(key, value)| operators(value, &format!("{path}.{key}"), warnings));
        }
        Value::Array(list) => {
            let each = list.iter().enumerate();
            each.for_each(|(index, value)| operators(value, &format!("{path}[{index}]"), warnings));
        }
        _ => {}
    }
}
