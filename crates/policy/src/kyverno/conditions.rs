//! Conditions of preconditions and of `deny`: a key, an operator, a value. Which types are compared how is Go's typing
//! as Kyverno's `pkg/engine/variables/operator` uses it; a wrong guess turns a denial into a pass.

mod equality;
mod membership;
mod numeric;

use super::variables::{Data, Document, SubstitutionError};
use serde_json::Value;
use thiserror::Error;

/// An operator of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Kyverno's own")]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    AnyIn,
    AllIn,
    AnyNotIn,
    AllNotIn,
    GreaterThan,
    GreaterThanOrEquals,
    LessThan,
    LessThanOrEquals,
    DurationGreaterThan,
    DurationGreaterThanOrEquals,
    DurationLessThan,
    DurationLessThanOrEquals,
    /// A numeric operator not written exactly as Kyverno writes it: it is recognised there, but never holds.
    Never,
}

/// The operators by name; `Equal` and `NotEqual` are the same as with an `s`.
const OPERATORS: [(&str, Operator); 18] = [
    ("Equal", Operator::Equals),
    ("Equals", Operator::Equals),
    ("NotEqual", Operator::NotEquals),
    ("NotEquals", Operator::NotEquals),
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("AnyIn", Operator::AnyIn),
    ("AllIn", Operator::AllIn),
    ("AnyNotIn", Operator::AnyNotIn),
    ("AllNotIn", Operator::AllNotIn),
    ("GreaterThan", Operator::GreaterThan),
    ("GreaterThanOrEquals", Operator::GreaterThanOrEquals),
    ("LessThan", Operator::LessThan),
    ("LessThanOrEquals", Operator::LessThanOrEquals),
    ("DurationGreaterThan", Operator::DurationGreaterThan),
    ("DurationGreaterThanOrEquals", Operator::DurationGreaterThanOrEquals),
    ("DurationLessThan", Operator::DurationLessThan),
    ("DurationLessThanOrEquals", Operator::DurationLessThanOrEquals),
];

impl Operator {
    /// The names as Kyverno's admission accepts them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        OPERATORS.iter().map(|(name, _)| *name)
    }

    /// The operator with a name, in any letter case.
    pub fn parse(name: &str) -> Option<Operator> {
        let (exact, operator) = OPERATORS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        let sensitive = exact.contains("Than");
        Some(if sensitive && *exact != name { Operator::Never } else { *operator })
    }
}

/// One condition, as it is written.
#[derive(Debug, Clone)]
pub struct Condition {
    key: Document,
    operator: Operator,
    value: Document,
    message: String,
}

/// Conditions of which at least one and conditions of which all must hold.
#[derive(Debug, Clone, Default)]
pub struct AnyAll {
    any: Option<Vec<Condition>>,
    all: Vec<Condition>,
}

/// The conditions of a rule.
#[derive(Debug, Clone)]
pub enum Conditions {
    /// `any` and `all`.
    AnyAll(AnyAll),
    /// The old form: a list that must hold as a whole.
    List(Vec<Condition>),
}

impl Default for Conditions {
    /// No conditions; they hold.
    fn default() -> Self {
        Self::AnyAll(AnyAll::default())
    }
}

/// Conditions that cannot be read. The path is relative to the conditions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct ConditionsError {
    /// Where, such as `any[0].operator`.
    pub path: String,
    /// What was found and what is accepted.
    pub reason: String,
}

/// A condition that cannot be decided. The texts are Kyverno's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConditionError {
    /// The key has a variable without a value.
    #[error("failed to substitute variables in condition key: {0}")]
    Key(#[source] SubstitutionError),
    /// The value has a variable without a value.
    #[error("failed to substitute variables in condition value: {0}")]
    Value(#[source] SubstitutionError),
    /// `In` and `NotIn` only accept lists of text; Kyverno panics.
    #[error("operators In and NotIn accept a list of strings as key, found an element of another type")]
    ListOfStrings,
}

/// Whether conditions hold, and the messages of those that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether they hold.
    pub holds: bool,
    /// The messages of the conditions that hold, or of those that do not.
    pub message: String,
}

impl Conditions {
    /// Reads `preconditions` or `deny.conditions`: an object with `any` and `all`, or the old list. Null is none.
    ///
    /// # Errors
    /// [`ConditionsError`] for an unknown operator or another shape.
    pub fn parse(value: &Value) -> Result<Conditions, ConditionsError> {
        match value {
            Value::Null => Ok(Conditions::default()),
            Value::Array(list) => parse_list(list, "").map(Conditions::List),
            Value::Object(map) => {
                if let Some(key) = map.keys().find(|key| !matches!(key.as_str(), "any" | "all")) {
                    let reason = "unknown field, accepted: any, all".to_owned();
                    return Err(ConditionsError { path: key.clone(), reason });
                }
                let block = |name: &str| match map.get(name) {
                    None | Some(Value::Null) => Ok(None),
                    Some(Value::Array(list)) => parse_list(list, name).map(Some),
                    Some(_) => Err(wrong(name, "a list of conditions")),
                };
                Ok(Conditions::AnyAll(AnyAll { any: block("any")?, all: block("all")?.unwrap_or_default() }))
            }
            _ => Err(wrong("", "an object with any and all, or a list of conditions")),
        }
    }

    /// Decides the conditions.
    ///
    /// # Errors
    /// [`ConditionError`] for the first one that cannot be decided.
    pub fn evaluate(&self, data: &mut dyn Data) -> Result<Verdict, ConditionError> {
        match self {
            Conditions::AnyAll(block) => block.evaluate(data),
            Conditions::List(list) => {
                let mut messages = Vec::new();
                for condition in list {
                    if !condition.holds(data)? {
                        return Ok(Verdict { holds: false, message: condition.message.clone() });
                    }
                    messages.push(condition.message.as_str());
                }
                Ok(Verdict { holds: true, message: join(&messages, ";") })
            }
        }
    }
}

fn wrong(path: &str, accepted: &str) -> ConditionsError {
    ConditionsError { path: path.to_owned(), reason: format!("wrong type, accepted: {accepted}") }
}

fn parse_list(list: &[Value], name: &str) -> Result<Vec<Condition>, ConditionsError> {
    list.iter().enumerate().map(|(index, value)| parse_one(value, &format!("{name}[{index}]"))).collect()
}

fn parse_one(value: &Value, path: &str) -> Result<Condition, ConditionsError> {
    let Some(map) = value.as_object() else {
        return Err(wrong(path, "an object with key, operator, value and message"));
    };
    let name = map.get("operator").and_then(Value::as_str).unwrap_or_default();
    let Some(operator) = Operator::parse(name) else {
        let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
        return Err(ConditionsError {
            path: format!("{path}.operator"),
            reason: format!("unknown operator {name:?}, accepted: {}", names.join(", ")),
        });
    };
    let member = |name: &str| Document::new(map.get(name).cloned().unwrap_or_default());
    let message = map.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Condition { key: member("key"), operator, value: member("value"), message })
}

impl AnyAll {
    fn evaluate(&self, data: &mut dyn Data) -> Result<Verdict, ConditionError> {
        let (mut held, mut failed) = (Vec::new(), Vec::new());
        let mut any = self.any.is_none();
        for condition in self.any.iter().flatten() {
            any = condition.holds(data)?;
            let messages = if any { &mut held } else { &mut failed };
            messages.push(condition.message.as_str());
            if any {
                break;
            }
        }
        let mut all = true;
        for condition in &self.all {
            all = condition.holds(data)?;
            let messages = if all { &mut held } else { &mut failed };
            messages.push(condition.message.as_str());
            if !all {
                break;
            }
        }
        let holds = any && all;
        Ok(Verdict { holds, message: join(if holds { &held } else { &failed }, "; ") })
    }
}

impl Condition {
    fn holds(&self, data: &mut dyn Data) -> Result<bool, ConditionError> {
        let key = self.key.substituted(data).map_err(ConditionError::Key)?;
        let value = self.value.substituted(data).map_err(ConditionError::Value)?;
        compare(self.operator, &key, &value)
    }
}

/// Whether an operator holds between a key and a value without variables.
///
/// # Errors
/// [`ConditionError::ListOfStrings`].
pub fn compare(operator: Operator, key: &Value, value: &Value) -> Result<bool, ConditionError> {
    Ok(match operator {
        Operator::Equals => equality::equals(key, value),
        Operator::NotEquals => !key.is_null() && !equality::equals(key, value),
        Operator::In | Operator::NotIn => return membership::old(operator, key, value),
        Operator::AnyIn | Operator::AllIn | Operator::AnyNotIn | Operator::AllNotIn => {
            membership::holds(operator, key, value)
        }
        _ => numeric::holds(operator, key, value),
    })
}

/// The texts that are not empty, joined.
pub(super) fn join(texts: &[&str], separator: &str) -> String {
    let texts: Vec<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
    texts.join(separator)
}

#[cfg(test)]
mod tests;
