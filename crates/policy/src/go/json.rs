//! JSON text as Go's `encoding/json` writes it: sorted keys, `<`, `>` and `&` escaped, all numbers as floats. It shows
//! in messages and in everything that a policy compares after `to_string`.

use serde_json::Value;
use std::fmt::Write;

/// The text of a value.
pub fn marshal(value: &Value) -> String {
    let mut text = String::new();
    append(value, &mut text);
    text
}

fn append(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&float(number.as_f64().unwrap_or_default())),
        Value::String(string) => append_string(string, text),
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                append(value, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (index, (key, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                append_string(key, text);
                text.push(':');
                append(value, text);
            }
            text.push('}');
        }
    }
}

fn append_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// A float in the shortest form, with an exponent below 1e-6 and from 1e21.
pub fn float(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size >= 1e21 { text.replace('e', "e+") } else { text };
    }
    if value == 0.0 && value.is_sign_negative() {
        return "-0".to_owned();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_as_go() {
        let value = json!({"b": "<&>\u{1}\u{2028}é\n", "a": [1.0, 1.5, 1e21, 1e-7, 123456789012345678u64, -0.0, null]});
        let expected = "{\"a\":[1,1.5,1e+21,1e-7,123456789012345680,-0,null],\
            \"b\":\"\\u003c\\u0026\\u003e\\u0001\\u2028é\\n\"}";
        assert_eq!(marshal(&value), expected);
    }
}
