//! JMESPath expressions that cannot be read. Kyverno finds out when the rule meets an object, or never.

use meshward_manifest::Object;
use meshward_policy::jmespath::{Dialect, Expression};
use meshward_policy::kyverno::variables;
use serde_json::Value;

use crate::input::Input;
use crate::kyverno::problem::{Problem, Problems};

/// Parts of a rule that this program does not evaluate.
const OTHERS: [&str; 6] = ["mutate", "generate", "verifyImages", "cel", "manifests", "celPreconditions"];

/// Tells every expression of a policy that is not JMESPath, with a caret under the place.
pub(super) fn check(input: &Input, object: &Object<'_>, problems: &mut Problems) {
    let rules = object.value.pointer("/spec/rules").unwrap_or(&Value::Null);
    let mut wrong = Vec::new();
    walk(rules, &mut "/spec/rules".to_owned(), &mut wrong);
    for (pointer, message) in wrong {
        problems.tell(Problem::at(input, &message, object.nearest(&pointer).map(|(place, _)| place)));
    }
}

fn walk(value: &Value, pointer: &mut String, wrong: &mut Vec<(String, String)>) {
    let length = pointer.len();
    match value {
        Value::String(_) => {
            let mut found = Vec::new();
            variables::expressions(value, &mut found);
            let plain = pointer.ends_with("/list") || pointer.ends_with("/jmesPath");
            if let (true, Value::String(text)) = (plain && found.is_empty(), value) {
                found.push(text.trim().to_owned());
            }
            wrong.extend(found.iter().filter_map(|text| Some((pointer.clone(), error(text)?))));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk(item, pointer, wrong);
                pointer.truncate(length);
            }
        }
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !OTHERS.contains(&key.as_str())) {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                walk(value, pointer, wrong);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// What is wrong with an expression; an empty one, and one that variables complete, cannot be judged.
fn error(expression: &str) -> Option<String> {
    let expression = expression.trim();
    if expression.is_empty() || expression.contains("{{") || expression.contains("$(") {
        return None;
    }
    let error = Expression::parse(expression, Dialect::Kyverno).err()?;
    Some(format!("invalid JMESPath: {error}\n{}", error.caret(expression)))
}

#[cfg(test)]
mod tests {
    use super::error;

    #[test]
    fn expressions_that_are_none_get_a_caret() {
        assert_eq!(error("request.object.spec"), None);
        assert_eq!(error("a.{{ b }}"), None);
        let wrong = error("request.object..spec").unwrap_or_default();
        assert!(wrong.ends_with("request.object..spec\n               ^"), "{wrong}");
    }
}
