//! Operators of order: durations, quantities, numbers, versions, in this order.

use super::Operator;
use crate::duration::Duration;
use crate::go::number::parse_float;
use crate::quantity::Quantity;
use semver::Version;
use serde_json::Value;
use std::cmp::Ordering;

/// Whether an operator of order holds.
pub(super) fn holds(operator: Operator, key: &Value, value: &Value) -> bool {
    let order = match operator {
        Operator::GreaterThan
        | Operator::GreaterThanOrEquals
        | Operator::LessThan
        | Operator::LessThanOrEquals => order(key, value),
        Operator::Never => None,
        _ => duration_order(key, value),
    };
    let Some(order) = order else { return false };
    match operator {
        Operator::GreaterThan | Operator::DurationGreaterThan => order.is_gt(),
        Operator::GreaterThanOrEquals | Operator::DurationGreaterThanOrEquals => order.is_ge(),
        Operator::LessThan | Operator::DurationLessThan => order.is_lt(),
        Operator::LessThanOrEquals | Operator::DurationLessThanOrEquals => order.is_le(),
        _ => false,
    }
}

/// The order of key and value; `None` if they cannot be compared.
fn order(key: &Value, value: &Value) -> Option<Ordering> {
    if !matches!(key, Value::Number(_) | Value::String(_)) {
        return None;
    }
    if let Some((key, value)) = durations(key, value) {
        return key.seconds().partial_cmp(&value.seconds());
    }
    let Value::String(text) = key else { return number_order(key.as_f64()?, value) };
    if let Value::String(value) = value
        && let (Ok(key), Ok(value)) = (Quantity::parse(text), Quantity::parse(value))
    {
        return Some(key.cmp(&value));
    }
    if let Some(key) = parse_float(text) {
        return number_order(key, value);
    }
    let (key, value) = (Version::parse(text).ok()?, Version::parse(value.as_str()?).ok()?);
    Some(key.cmp_precedence(&value))
}

fn number_order(key: f64, value: &Value) -> Option<Ordering> {
    match value {
        Value::Number(number) => key.partial_cmp(&number.as_f64()?),
        Value::String(text) => match durations(&Value::from(key), value) {
            Some((key, value)) => key.seconds().partial_cmp(&value.seconds()),
            None => key.partial_cmp(&parse_float(text)?),
        },
        _ => None,
    }
}

/// Both as durations if at least one is written as one; the other may be a number of seconds. The text `0` counts as
/// a number.
pub(super) fn durations(key: &Value, value: &Value) -> Option<(Duration, Duration)> {
    let written = |value: &Value| match value {
        Value::String(text) if text != "0" => Duration::parse(text).ok(),
        _ => None,
    };
    match (written(key), written(value)) {
        (None, None) => None,
        (Some(key), Some(value)) => Some((key, value)),
        (Some(key), None) => Some((key, seconds(value)?)),
        (None, Some(value)) => Some((seconds(key)?, value)),
    }
}

/// A number as whole seconds, cut and wrapping as in Go.
fn seconds(value: &Value) -> Option<Duration> {
    let number = value.as_number()?;
    let whole = number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))?;
    Some(Duration::from_nanoseconds(whole.wrapping_mul(1_000_000_000)))
}

/// The order of the deprecated duration operators: text must be a duration, numbers are seconds.
fn duration_order(key: &Value, value: &Value) -> Option<Ordering> {
    let read = |value: &Value| match value {
        Value::String(text) => Duration::parse(text).ok(),
        other => seconds(other),
    };
    Some(read(key)?.cmp(&read(value)?))
}
