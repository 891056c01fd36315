//! Assertion trees: what has to hold of a value, as a value of the same shape. Keys may be expressions, `~` means each
//! element, `->` names what was found.

use anyhow::{Result, bail};
use serde_json::Value;

use super::expression::{Bindings, evaluate, expression};

/// What does not hold, each with its path; nothing when all of it does.
///
/// # Errors
/// An expression cannot be evaluated.
pub(super) fn differences(expected: &Value, actual: &Value, bindings: &Bindings) -> Result<Vec<String>> {
    let mut found = Vec::new();
    compare("", expected, actual, bindings, &mut found)?;
    Ok(found)
}

fn compare(
    path: &str,
    expected: &Value,
    actual: &Value,
    bindings: &Bindings,
    found: &mut Vec<String>,
) -> Result<()> {
    match expected {
        Value::Object(fields) => {
            let mut bindings = bindings.clone();
            for (key, value) in fields {
                field(path, &Key::parse(key)?, value, actual, &mut bindings, found)?;
            }
        }
        Value::Array(items) => {
            let Some(values) = actual.as_array().filter(|values| values.len() == items.len()) else {
                found.push(format!("{path}: found {}, expected a list of {}", short(actual), items.len()));
                return Ok(());
            };
            for (index, (item, value)) in items.iter().zip(values).enumerate() {
                compare(&format!("{path}[{index}]"), item, value, bindings, found)?;
            }
        }
        Value::String(text) if expression(text).is_some() => {
            let inner = expression(text).unwrap_or_default();
            equal(path, &evaluate(inner, actual, bindings)?, actual, found);
        }
        _ => equal(path, expected, actual, found),
    }
    Ok(())
}

fn field(
    path: &str,
    key: &Key<'_>,
    expected: &Value,
    actual: &Value,
    bindings: &mut Bindings,
    found: &mut Vec<String>,
) -> Result<()> {
    let path = format!("{path}.{}", key.text);
    let projected = match key.expression {
        Some(inner) => evaluate(inner, actual, bindings)?,
        None => match actual.get(key.text) {
            Some(value) => value.clone(),
            None => {
                found.push(format!("{path}: not there"));
                return Ok(());
            }
        },
    };
    if let Some(name) = key.binds {
        bindings.insert(name.to_owned(), projected.clone());
    }
    let Some(each) = key.each else { return compare(&path, expected, &projected, bindings, found) };
    let elements: Vec<(Value, &Value)> = match &projected {
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.into(), item)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone().into(), value)).collect(),
        _ => bail!("{path}: ~ needs a list or an object, found {}", short(&projected)),
    };
    for (index, element) in elements {
        let mut inner = bindings.clone();
        if !each.is_empty() {
            inner.insert(each.to_owned(), index.clone());
        }
        compare(&format!("{path}[{index}]"), expected, element, &inner, found)?;
    }
    Ok(())
}

fn equal(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    let same = match (expected.as_f64(), actual.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => expected == actual,
    };
    if !same {
        found.push(format!("{path}: found {}, expected {}", short(actual), short(expected)));
    }
}

/// `~index.(expression)->name`, each part but the middle optional.
struct Key<'k> {
    /// The middle, without the backslashes that keep it from being an expression.
    text: &'k str,
    expression: Option<&'k str>,
    /// The name of the index, which may be empty.
    each: Option<&'k str>,
    binds: Option<&'k str>,
}

impl<'k> Key<'k> {
    fn parse(key: &'k str) -> Result<Self> {
        let mut text = key.trim();
        let mut each = None;
        if let Some(rest) = text.strip_prefix('~') {
            let Some((name, rest)) = rest.split_once('.') else { bail!("{key:?}: ~ is followed by a dot") };
            (each, text) = (Some(name), rest);
        }
        let mut binds = None;
        if let Some((before, name)) = text.rsplit_once("->")
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            (text, binds) = (before, Some(name));
        }
        if let Some(literal) = text.strip_prefix('\\').and_then(|text| text.strip_suffix('\\')) {
            return Ok(Self { text: literal, expression: None, each, binds });
        }
        Ok(Self { text, expression: expression(text), each, binds })
    }
}

/// Enough of a value to recognise it.
fn short(value: &Value) -> String {
    const LONGEST: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expected: Value) -> bool {
        let actual = json!({
            "kind": "Pod",
            "spec": {"replicas": 4, "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "x:2"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
            "(odd)": 1,
        });
        differences(&expected, &actual, &Bindings::from([("min".into(), json!(3))])).unwrap().is_empty()
    }

    #[test]
    fn what_is_said_has_to_hold_and_what_is_not_said_may_be_anything() {
        assert!(holds(json!({"kind": "Pod", "spec": {"replicas": 4.0}})));
        assert!(!holds(json!({"kind": "Job"})));
        assert!(!holds(json!({"metadata": {}})), "a missing field is not an empty one");
        assert!(holds(json!({"(metadata == null)": true})));
        assert!(holds(json!({"(spec.replicas > $min && spec.replicas < `6`)": true})));
        assert!(!holds(json!({"(spec.replicas > $min)": false})));
        assert!(holds(json!({"\\(odd)\\": 1})));
    }

    #[test]
    fn lists_are_as_long_as_said_and_tilde_is_each_element() {
        assert!(holds(json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}})));
        assert!(!holds(json!({"spec": {"containers": [{"name": "a"}]}})));
        assert!(holds(json!({"status": {"(conditions[?type == 'Ready'])": [{"status": "True"}]}})));
        assert!(holds(json!({"spec": {"~.containers": {"(starts_with(image, 'x:'))": true}}})));
        assert!(!holds(json!({"spec": {"~.containers": {"image": "x:1"}}})));
        assert!(holds(json!({"spec": {"~i.containers": {"($i < `2`)": true}}})));
        assert!(!holds(json!({"spec": {"~i.containers": {"($i < `1`)": true}}})));
        assert!(holds(json!({"spec": {"(length(containers))->n": {"($n == `2`)": true}}})));
    }

    #[test]
    fn expected_texts_may_be_expressions() {
        assert!(holds(json!({"kind": "(join('', ['Po', 'd']))"})));
        assert!(!holds(json!({"kind": "(join('', ['Jo', 'b']))"})));
    }
}
