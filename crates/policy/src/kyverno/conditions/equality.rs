//! `Equals`: the type of the key says how to compare.

use super::numeric::durations;
use crate::go::number::parse_float;
use crate::quantity::Quantity;
use crate::wildcard;
use serde_json::{Number, Value};

/// Whether key and value are equal; a missing key equals nothing. `NotEquals` is the opposite, except for a missing
/// key.
pub(super) fn equals(key: &Value, value: &Value) -> bool {
    match key {
        Value::Null => false,
        Value::Bool(_) => key == value,
        Value::Number(number) => number_equals(number, value),
        Value::String(text) => text_equals(text, key, value),
        // Go compares the types of numbers in there as well.
        Value::Array(_) | Value::Object(_) => key == value,
    }
}

fn number_equals(key: &Number, value: &Value) -> bool {
    match value {
        Value::Number(value) => key.as_f64() == value.as_f64(),
        Value::String(text) if key.is_f64() => parse_float(text) == key.as_f64(),
        Value::String(text) => text.parse::<i64>().is_ok_and(|value| Some(value) == key.as_i64()),
        _ => false,
    }
}

/// As durations, else as quantities, else the value is a wildcard pattern for the key.
fn text_equals(text: &str, key: &Value, value: &Value) -> bool {
    if let Some((key, value)) = durations(key, value) {
        return key.seconds() == value.seconds();
    }
    let Value::String(value) = value else { return false };
    match Quantity::parse(text) {
        Ok(key) => Quantity::parse(value).is_ok_and(|value| key == value),
        Err(_) => wildcard::matches(value, text),
    }
}
