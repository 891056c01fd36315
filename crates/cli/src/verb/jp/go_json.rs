//! JSON with the spelling of Go's encoder, so that what scripts compare is the same to the letter.

use meshward_policy::go::json::marshal;
use serde_json::Value;

/// On one line.
pub(super) fn compact(value: &Value) -> String {
    marshal(value)
}

/// With two spaces a level.
pub(super) fn indented(value: &Value) -> String {
    let mut text = String::new();
    append(value, 0, &mut text);
    text
}

fn append(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Array(values) if !values.is_empty() => {
            block(('[', ']'), values.iter(), indent, text, |value, indent, text| append(value, indent, text));
        }
        Value::Object(map) if !map.is_empty() => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            block(('{', '}'), members.into_iter(), indent, text, |(key, value), indent, text| {
                text.push_str(&marshal(&Value::from(key.as_str())));
                text.push_str(": ");
                append(value, indent, text);
            });
        }
        scalar => text.push_str(&marshal(scalar)),
    }
}

fn block<T>(
    (open, close): (char, char),
    elements: impl Iterator<Item = T>,
    indent: usize,
    text: &mut String,
    each: impl Fn(T, usize, &mut String),
) {
    text.push(open);
    for (index, element) in elements.enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.extend(std::iter::repeat_n(' ', indent + 2));
        each(element, indent + 2, text);
    }
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
    text.push(close);
}
