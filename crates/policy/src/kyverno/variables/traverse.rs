//! The walk over a document: Kyverno's `pkg/engine/jsonutils`, with the path that its messages show.

use super::SubstitutionError;
use serde_json::{Map, Value};

/// How deep a document may be, counted with what variables bring in.
const MAX_DEPTH: usize = 200;

/// Replaces a string at a path; `None` leaves it.
pub(super) type Action<'f> = dyn FnMut(&str, &str) -> Result<Option<Value>, SubstitutionError> + 'f;

/// The document with every string and key replaced; `None` if none was. A list or object that takes the place of a
/// string is walked as well.
pub(super) fn map(document: &Value, action: &mut Action<'_>) -> Result<Option<Value>, SubstitutionError> {
    element(document, &mut String::new(), 0, action)
}

fn element(
    value: &Value,
    path: &mut String,
    depth: usize,
    action: &mut Action<'_>,
) -> Result<Option<Value>, SubstitutionError> {
    if depth > MAX_DEPTH {
        return Err(SubstitutionError::Limit(path.clone()));
    }
    match value {
        Value::String(text) => match action(text, path)? {
            Some(brought @ (Value::Array(_) | Value::Object(_))) => {
                // What was brought in may name the variable that brought it: every such step costs as much depth as a
                // text may cost rounds.
                let walked = element(&brought, path, depth + MAX_DEPTH / 32, action)?;
                Ok(Some(walked.unwrap_or(brought)))
            }
            other => Ok(other),
        },
        Value::Array(values) => list(values, path, depth, action),
        Value::Object(members) => object(members, path, depth, action),
        _ => Ok(None),
    }
}

fn list(
    values: &[Value],
    path: &mut String,
    depth: usize,
    action: &mut Action<'_>,
) -> Result<Option<Value>, SubstitutionError> {
    let mut changed: Option<Vec<Value>> = None;
    for (index, value) in values.iter().enumerate() {
        let length = path.len();
        path.push('/');
        path.push_str(&index.to_string());
        let replaced = element(value, path, depth + 1, action)?;
        path.truncate(length);
        match (&mut changed, replaced) {
            (Some(all), replaced) => all.push(replaced.unwrap_or_else(|| value.clone())),
            (None, Some(replaced)) => {
                let mut all = Vec::with_capacity(values.len());
                all.extend_from_slice(&values[..index]);
                all.push(replaced);
                changed = Some(all);
            }
            (None, None) => {}
        }
    }
    Ok(changed.map(Value::Array))
}

fn object(
    members: &Map<String, Value>,
    path: &mut String,
    depth: usize,
    action: &mut Action<'_>,
) -> Result<Option<Value>, SubstitutionError> {
    let mut changed: Option<Map<String, Value>> = None;
    for (key, value) in members {
        let new_key = match action(key, path)? {
            None | Some(Value::Null) => None,
            Some(Value::String(new)) => Some(new),
            Some(_) => return Err(SubstitutionError::Key(key.clone())),
        };
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('/', "\\/"));
        let replaced = element(value, path, depth + 1, action)?;
        path.truncate(length);
        if new_key.is_none() && replaced.is_none() {
            continue;
        }
        let all = changed.get_or_insert_with(|| members.clone());
        let replaced = replaced.unwrap_or_else(|| value.clone());
        if let Some(new) = new_key.filter(|new| new != key) {
            all.remove(key);
            all.insert(new, replaced);
        } else {
            all.insert(key.clone(), replaced);
        }
    }
    Ok(changed.map(Value::Object))
}

/// The JMESPath of the place that a path in a rule is about, below `prefix`: what `{{ @ }}` stands for. As in Kyverno,
/// everything up to `foreach` and two steps more are left out.
pub(super) fn current(path: &str, prefix: &str) -> String {
    let steps = steps(path);
    let after = steps.iter().position(|step| step == "foreach").map_or(0, |at| at + 1);
    let rest = steps[after..].get(2..).unwrap_or_default();
    let mut expression = prefix.to_owned();
    for step in rest {
        if step.bytes().all(|b| b.is_ascii_digit()) {
            expression.push_str(&format!("[{step}]"));
        } else if plain(step) {
            expression.push_str(&format!(".{step}"));
        } else {
            expression.push_str(&format!(".{}", Value::String(step.clone())));
        }
    }
    expression
}

/// The steps of a path in which `\/` is a slash that does not separate.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut step, mut escaped) = (Vec::new(), String::new(), false);
    for c in path.chars() {
        match c {
            _ if escaped => {
                step.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '/' => steps.push(std::mem::take(&mut step)),
            _ => step.push(c),
        }
    }
    steps.push(step);
    steps.retain(|step| !step.is_empty());
    steps
}

/// Whether a step is an identifier without quotes; anchors count, as in Kyverno.
fn plain(step: &str) -> bool {
    let mut chars = step.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '(')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ')')
}
