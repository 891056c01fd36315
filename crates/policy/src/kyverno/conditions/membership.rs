//! The list operators. Wildcards work in both directions: a `*` in the object matches everything that a policy lists.

use super::{ConditionError, Operator};
use crate::go::print::sprint;
use crate::kyverno::pattern::{Operator as Prefix, matches};
use crate::wildcard;
use serde_json::Value;

/// What the value of a condition offers to look in.
enum Offer {
    /// Texts.
    Texts(Vec<String>),
    /// A range `a-b`.
    Range(String),
    /// A type that the operators do not accept: none of them holds.
    Unsupported,
}

/// `AnyIn`, `AllIn`, `AnyNotIn`, `AllNotIn`.
pub(super) fn holds(operator: Operator, key: &Value, value: &Value) -> bool {
    let negative = matches!(operator, Operator::AnyNotIn | Operator::AllNotIn);
    match key {
        Value::Null | Value::Object(_) => false,
        Value::Array(keys) => {
            let keys: Vec<String> = keys.iter().map(sprint).collect();
            many(operator, &keys, value)
        }
        scalar => one(&sprint(scalar), value).is_some_and(|found| found != negative),
    }
}

/// Whether a value has a key; `None` if it is of a type that is not accepted.
fn one(key: &str, value: &Value) -> Option<bool> {
    match value {
        Value::Array(values) => Some(values.iter().any(|value| alike(key, &sprint(value)))),
        Value::String(text) if wildcard::matches(text, key) => Some(true),
        Value::String(text) => match offer_of_text(text) {
            Offer::Texts(texts) => Some(texts.iter().any(|text| text == key)),
            Offer::Range(range) => Some(in_range(key, &range)),
            Offer::Unsupported => None,
        },
        _ => None,
    }
}

fn many(operator: Operator, keys: &[String], value: &Value) -> bool {
    let any = matches!(operator, Operator::AnyIn | Operator::AnyNotIn);
    let negative = matches!(operator, Operator::AnyNotIn | Operator::AllNotIn);
    if let (Value::String(text), [key]) = (value, keys)
        && text == key
    {
        return !negative;
    }
    let offer = match value {
        Value::Array(values) => Offer::Texts(values.iter().map(sprint).collect()),
        Value::Number(_) | Value::Bool(_) if any => Offer::Texts(vec![sprint(value)]),
        Value::String(text) => offer_of_text(text),
        _ => Offer::Unsupported,
    };
    let decide = |found: &dyn Fn(&String) -> bool| match operator {
        Operator::AnyIn => keys.iter().any(found),
        Operator::AllIn => keys.iter().all(found),
        Operator::AnyNotIn => keys.iter().any(|key| !found(key)),
        _ => !keys.iter().any(found),
    };
    match offer {
        Offer::Texts(texts) => decide(&|key| texts.iter().any(|text| alike(key, text))),
        // Outside of a range is a range of its own there: what is no number is in neither.
        Offer::Range(range) if operator == Operator::AnyNotIn => {
            let outside = range.replacen('-', "!-", 1);
            keys.iter().any(|key| in_range(key, &outside))
        }
        Offer::Range(range) => decide(&|key| in_range(key, &range)),
        Offer::Unsupported => false,
    }
}

/// A text is a range, a list of texts in JSON, or itself. Other JSON, a number for instance, is not accepted.
fn offer_of_text(text: &str) -> Offer {
    if Prefix::of(text) == Prefix::InRange {
        return Offer::Range(text.to_owned());
    }
    match serde_json::from_str::<Value>(text) {
        Err(_) => Offer::Texts(vec![text.to_owned()]),
        Ok(value) => texts_of_json(value).map_or(Offer::Unsupported, Offer::Texts),
    }
}

/// The texts of a JSON list; null stands for the empty text in it, and for no list at its place.
fn texts_of_json(value: Value) -> Option<Vec<String>> {
    let text = |value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text),
        _ => None,
    };
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(values) => values.into_iter().map(text).collect(),
        _ => None,
    }
}

fn in_range(key: &str, range: &str) -> bool {
    matches(&Value::String(key.to_owned()), &Value::String(range.to_owned()))
}

fn alike(a: &str, b: &str) -> bool {
    wildcard::matches(a, b) || wildcard::matches(b, a)
}

/// `In` and `NotIn`, which know neither ranges nor single texts, and no wildcards between lists.
pub(super) fn old(operator: Operator, key: &Value, value: &Value) -> Result<bool, ConditionError> {
    let negative = operator == Operator::NotIn;
    let json = |text: &str| serde_json::from_str(text).ok().and_then(texts_of_json);
    match key {
        Value::Null | Value::Object(_) => Ok(false),
        Value::Array(keys) => {
            let keys: Option<Vec<&str>> = keys.iter().map(Value::as_str).collect();
            let keys = keys.ok_or(ConditionError::ListOfStrings)?;
            let offered: Option<Vec<String>> = match value {
                Value::Array(values) => {
                    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
                }
                // This holds for both operators, as in Kyverno.
                Value::String(text) if keys == [text.as_str()] => return Ok(true),
                Value::String(text) => json(text),
                _ => None,
            };
            let all = |offered: Vec<String>| {
                keys.iter().all(|key| offered.iter().any(|text| text == key)) != negative
            };
            Ok(offered.is_some_and(all))
        }
        scalar => {
            let key = sprint(scalar);
            let found = match value {
                Value::Array(values) => Some(values.iter().any(|value| alike(&key, &sprint(value)))),
                Value::String(text) if wildcard::matches(text, &key) => Some(true),
                Value::String(text) => json(text).map(|texts| texts.contains(&key)),
                _ => None,
            };
            Ok(found.is_some_and(|found| found != negative))
        }
    }
}
