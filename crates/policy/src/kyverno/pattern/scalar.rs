//! One value against one scalar of a pattern.

use super::operator::{Operator, range};
use crate::duration::Duration;
use crate::go::number::parse_float;
use crate::go::print::exponent;
use crate::quantity::Quantity;
use crate::wildcard;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// Whether a value matches a pattern that is no list; an object only asks for an object.
///
/// ```
/// use meshward_policy::kyverno::pattern::matches;
/// use serde_json::json;
///
/// assert!(matches(&json!("1536Mi"), &json!("<= 2Gi & >1Gi")));
/// assert!(matches(&json!(8080), &json!("1-1023 | 8*")));
/// ```
pub fn matches(value: &Value, pattern: &Value) -> bool {
    match pattern {
        Value::Bool(_) => value == pattern,
        Value::Number(number) => equals_number(value, number),
        Value::Null => is_zero(value),
        Value::String(pattern) => matches_text(value, pattern),
        Value::Object(_) => value.is_object(),
        Value::Array(_) => false,
    }
}

/// Equality with a number of a pattern; text is read as a number of the pattern's type.
fn equals_number(value: &Value, pattern: &Number) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == pattern.as_f64(),
        Value::String(text) if pattern.is_f64() => parse_float(text) == pattern.as_f64(),
        Value::String(text) => text.parse::<i64>().ok().is_some_and(|value| Some(value) == pattern.as_i64()),
        _ => false,
    }
}

/// Whether a value is what Go takes for nothing.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// `|` separates alternatives, `&` what must hold together in one.
fn matches_text(value: &Value, pattern: &str) -> bool {
    if value.as_str() == Some(pattern) {
        return true;
    }
    let all = |alternative: &str| {
        alternative.trim_matches(' ').split('&').all(|condition| holds(value, condition.trim_matches(' ')))
    };
    pattern.split('|').any(all)
}

/// One condition: an operator and what to compare with, or a range.
fn holds(value: &Value, condition: &str) -> bool {
    let operator = Operator::of(condition);
    let ends = |separator| range(condition, separator);
    match operator {
        Operator::InRange => ends("-").is_some_and(|(left, right)| {
            compare(value, left, Operator::MoreEqual) && compare(value, right, Operator::LessEqual)
        }),
        Operator::NotInRange => ends("!-").is_some_and(|(left, right)| {
            compare(value, left, Operator::Less) || compare(value, right, Operator::More)
        }),
        _ => compare(value, condition[operator.as_str().len()..].trim(), operator),
    }
}

/// As durations if both are, else as quantities if both are, else as text.
fn compare(value: &Value, pattern: &str, operator: Operator) -> bool {
    if let Some(text) = as_quantity_text(value) {
        if let (Ok(pattern), Ok(value)) = (Duration::parse(pattern), Duration::parse(&text)) {
            return decides(value.cmp(&pattern), operator);
        }
        if let (Ok(pattern), Ok(value)) = (Quantity::parse(pattern), Quantity::parse(&text)) {
            return decides(value.cmp(&pattern), operator);
        }
    }
    let Some(text) = as_text(value) else { return false };
    match operator {
        Operator::Equal => wildcard::matches(pattern, &text),
        Operator::NotEqual => !wildcard::matches(pattern, &text),
        _ => false,
    }
}

fn decides(order: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::More => order.is_gt(),
        Operator::MoreEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::InRange | Operator::NotInRange => false,
    }
}

/// The value as a number's text; what is missing counts as 0.
fn as_quantity_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some(Cow::Borrowed("0")),
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_f64() => {
            Some(Cow::Owned(format!("{:.6}", number.as_f64().unwrap_or_default())))
        }
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// The value as text to compare with wildcards; a float has an exponent there.
fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Number(number) if number.is_f64() => {
            Some(Cow::Owned(exponent(number.as_f64().unwrap_or_default(), 'E')))
        }
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
