//! Values as Go's `fmt` prints them with `%v`: Kyverno compares such texts in its list operators and shows them in
//! messages. A JSON integer is taken for Go's `int64`, a JSON float for `float64`.

use serde_json::{Number, Value};
use std::fmt::Write;

/// The text that `fmt.Sprint` makes of a value.
pub fn sprint(value: &Value) -> String {
    let mut text = String::new();
    append(value, &mut text);
    text
}

fn append(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("<nil>"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => text.push_str(value),
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                append(value, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            text.push_str("map[");
            for (index, (key, value)) in members.into_iter().enumerate() {
                // Writing to a String cannot fail.
                let _ = write!(text, "{}{key}:", if index > 0 { " " } else { "" });
                append(value, text);
            }
            text.push(']');
        }
    }
}

/// A number as `%v` prints it: a float from 1e21 digits on is not special, from 1e6 on it has an exponent.
fn number(number: &Number) -> String {
    if !number.is_f64() {
        return number.to_string();
    }
    let value = number.as_f64().unwrap_or_default();
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e6).contains(&size) {
        // The test is on the decimal exponent, which rounding to the shortest digits does not change.
        return exponent(value, 'e');
    }
    value.to_string()
}

/// A float with an exponent of at least two digits and the fewest digits that tell it from others, as
/// `strconv.FormatFloat(x, 'e' or 'E', -1, 64)` prints it.
pub fn exponent(value: f64, letter: char) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}{letter}{sign}{digits:0>2}")
}

/// The type that `%T` prints for a value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The value as `encoding/json` decodes it into `interface{}`: every number is a float. Whatever is written in a
/// policy is of this form, while objects keep their integers.
#[must_use]
pub fn untyped(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(number.as_f64().and_then(Number::from_f64).unwrap_or(number)),
        Value::Array(values) => Value::Array(values.into_iter().map(untyped).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, untyped(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn prints_as_go() {
        let cases = [
            (json!(null), "<nil>"),
            (json!(true), "true"),
            (json!(8080), "8080"),
            (json!(1_000_000), "1000000"),
            (json!(1_000_000.0), "1e+06"),
            (json!(1_000_660_000.0), "1.00066e+09"),
            (json!(999_999.0), "999999"),
            (json!(0.5), "0.5"),
            (json!(0.00001), "1e-05"),
            (json!(-1e100), "-1e+100"),
            (json!(["a", 1, null]), "[a 1 <nil>]"),
            (json!({"b": [1], "a": {"c": "d"}}), "map[a:map[c:d] b:[1]]"),
        ];
        for (value, expected) in cases {
            assert_eq!(sprint(&value), expected, "{value}");
        }
        assert_eq!(exponent(5.0, 'E'), "5E+00");
        assert_eq!(sprint(&untyped(json!([5_000_000]))), "[5e+06]");
        assert_eq!(type_name(&json!({})), "map[string]interface {}");
    }
}
