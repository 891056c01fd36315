//! Variables that can have no value: expressions that are none, names that nothing defines, elements outside of a loop,
//! and users where nobody makes a request. Kyverno replaces the variables of each rule by nothing, once, to find them
//! (`hasInvalidVariables` with `enginecontext.MockContext`).

use super::{Modes, Refused, list, present, text};
use crate::jmespath::{Dialect, Expression};
use crate::kyverno::policy::background;
use crate::kyverno::variables::{self, Data, QueryError, SubstitutionError};
use crate::wildcard;
use serde_json::Value;

/// What a rule that validates may not have, whatever its variables would be.
pub(super) fn check(rule: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    // The message of a loop knows the element; Kyverno refuses it there.
    let loops = rule.pointer("/validate/foreach").is_some();
    if modes.faithful || !loops {
        outside(rule, &mut String::new(), path, refused);
    }
    let mut known = Known { background: modes.background && modes.faithful, names: Vec::new() };
    known.define(list(rule, "context"));
    if let Some(validate) = present(rule, "validate") {
        known.loops(validate, !modes.faithful);
    }
    if let Err(error) = variables::substitute(rule, &mut known) {
        let (place, reason) = match error {
            SubstitutionError::Unresolved { path, expression, reason } => {
                (path, format!("{{{{ {expression} }}}}: {reason}"))
            }
            other => (String::new(), other.to_string()),
        };
        refused.add(dotted(path, &place), reason);
    }
}

/// Variables where none may be, and users in the background.
pub(super) fn forbidden(rule: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    for side in ["match", "exclude"] {
        let mut found = Vec::new();
        variables::expressions(rule.get(side).unwrap_or(&Value::Null), &mut found);
        if let Some(expression) = found.first() {
            let reason =
                format!("found {{{{ {expression} }}}}, accepted: no variables; preconditions have them");
            refused.add(format!("{path}.{side}"), reason);
        }
    }
    users(rule, path, modes, refused);
}

/// Variables about who makes a request, where nobody does; those of the policy's annotations count, too.
pub(super) fn users(value: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    if modes.background && background::has_user_variables(value) {
        let reason = "nobody makes a request in the background, accepted: variables about users with spec.background: \
                      false";
        refused.add(path, reason);
    }
}

/// Elements of a loop, where there is none.
fn outside(value: &Value, place: &mut String, path: &str, refused: &mut Refused<'_>) {
    let mut below = |name: &str, value: &Value, refused: &mut Refused<'_>| {
        let length = place.len();
        place.push('/');
        place.push_str(name);
        outside(value, place, path, refused);
        place.truncate(length);
    };
    match value {
        Value::String(text) => {
            if let Some(expression) = element(text).filter(|_| !place.contains("/foreach/")) {
                let reason = format!("{{{{ {expression} }}}} is outside of foreach, accepted: in a loop");
                refused.add(dotted(path, place), reason);
            }
        }
        Value::Array(values) => {
            let all = values.iter().enumerate();
            all.for_each(|(index, value)| below(&index.to_string(), value, refused));
        }
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            below(key, &Value::String(key.clone()), refused);
            below(key, value, refused);
        }),
        _ => {}
    }
}

/// A variable about the element of a loop.
fn element(text: &str) -> Option<String> {
    let mut found = Vec::new();
    variables::expressions_of(text, &mut found);
    found.into_iter().find(|one| one.starts_with("element"))
}

/// A pointer in a rule as a path.
fn dotted(path: &str, pointer: &str) -> String {
    let mut dotted = path.to_owned();
    for part in pointer.split('/').filter(|part| !part.is_empty()) {
        match part.parse::<usize>() {
            Ok(index) => dotted.push_str(&format!("[{index}]")),
            Err(_) => dotted.push_str(&format!(".{part}")),
        }
    }
    dotted
}

/// The variables that have a value in some request.
struct Known {
    background: bool,
    /// Patterns of names that context entries define.
    names: Vec<String>,
}

impl Known {
    fn define(&mut self, entries: &[Value]) {
        for entry in entries {
            let name = text(entry, "name");
            if present(entry, "configMap").is_some() {
                let parts = ["data", "metadata", "data.*", "metadata.*"];
                self.names.extend(parts.iter().map(|part| format!("{name}.{part}")));
            } else {
                self.names.push(format!("{name}*"));
            }
        }
    }

    /// The entries of loops; Kyverno does not know those of loops in loops.
    fn loops(&mut self, validate: &Value, nested: bool) {
        for one in list(validate, "foreach") {
            self.define(list(one, "context"));
            if nested {
                self.loops(one, nested);
            }
        }
    }

    fn has(&self, expression: &str) -> bool {
        let plain = expression.replace('"', "");
        is_reserved(&plain, self.background) || self.names.iter().any(|name| wildcard::matches(name, &plain))
    }
}

/// Whether a name that is always known stands anywhere in an expression, or a call of a function does.
fn is_reserved(expression: &str, background: bool) -> bool {
    let names: &[&str] = if background {
        &["request.", "element", "@", "images", "image."]
    } else {
        &["request", "serviceAccountName", "serviceAccountNamespace", "element", "@", "image"]
    };
    names.iter().any(|name| expression.contains(name)) || has_call(expression)
}

/// A parenthesis between the last letter of a function's name and an argument.
fn has_call(expression: &str) -> bool {
    let bytes = expression.as_bytes();
    bytes.windows(3).any(|three| {
        let is_name = three[0].is_ascii_lowercase() || three[0].is_ascii_digit() || three[0] == b'_';
        is_name && three[1] == b'(' && !matches!(three[2], b'{' | b'}')
    })
}

impl Data for Known {
    fn query(&mut self, expression: &str) -> Result<Value, QueryError> {
        let expression = expression.trim();
        if expression.is_empty() {
            return Err(QueryError::Empty);
        }
        if let Err(error) = Expression::parse(expression, Dialect::Kyverno) {
            return Err(QueryError::Parse { query: expression.to_owned(), error });
        }
        if self.has(expression) {
            return Ok(Value::Null);
        }
        let mode = if self.background {
            " (spec.background is true: nothing about who makes a request)"
        } else {
            ""
        };
        Err(QueryError::Context(format!(
            "nothing defines it, accepted: request, images, element in a loop, functions, entries of context{mode}"
        )))
    }

    fn operation(&self) -> &str {
        ""
    }
}
