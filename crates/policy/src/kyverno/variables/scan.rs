//! Finds variables and references in text. The shapes are those of the regular expressions in Kyverno's
//! `pkg/engine/variables/regex/vars.go`; both are simple enough to be matched without one.

use serde_json::Value;

/// A variable found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// The character before it, which belongs to the match; empty at the start of the text.
    pub(super) prefix: String,
    /// The variable with its braces.
    pub(super) text: String,
}

/// A match: where it starts, where the thing itself starts, and where it ends.
#[derive(Debug, Clone, Copy)]
struct Match {
    start: usize,
    thing: usize,
    end: usize,
}

/// The matches of `^thing` and `[^\\]thing` that do not overlap, from left to right.
fn matches<'t>(text: &'t str, length: fn(&str) -> Option<usize>) -> impl Iterator<Item = Match> + 't {
    let mut next = 0;
    std::iter::from_fn(move || {
        let mut start = next;
        while start < text.len() {
            if start == 0
                && let Some(length) = length(text)
            {
                next = length;
                return Some(Match { start: 0, thing: 0, end: length });
            }
            let Some(c) = text[start..].chars().next() else { break };
            let thing = start + c.len_utf8();
            if c != '\\'
                && let Some(length) = length(&text[thing..])
            {
                next = thing + length;
                return Some(Match { start, thing, end: next });
            }
            start = thing;
        }
        next = text.len();
        None
    })
}

/// The variables of a text that are not escaped.
pub(super) fn variables(text: &str) -> impl Iterator<Item = Variable> + '_ {
    matches(text, variable_length).map(|m| Variable {
        prefix: text[m.start..m.thing].to_owned(),
        text: text[m.thing..m.end].to_owned(),
    })
}

/// The references of a text that are not escaped: the match, which may begin with one character more, and the
/// reference itself.
pub(super) fn references(text: &str) -> impl Iterator<Item = (&str, &str)> {
    matches(text, reference_length).map(|m| (&text[m.start..m.end], &text[m.thing..m.end]))
}

/// The length of the variable that the text starts with: two braces, then anything without braces or in one pair of
/// braces, then two braces.
fn variable_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !text.starts_with("{{") {
        return None;
    }
    let mut at = 2;
    loop {
        match bytes.get(at)? {
            b'{' => {
                let inner = bytes[at + 1..].iter().position(|b| matches!(b, b'{' | b'}'))?;
                if bytes[at + 1 + inner] != b'}' {
                    return None;
                }
                at += inner + 2;
            }
            b'}' => return text[at..].starts_with("}}").then_some(at + 2),
            _ => at += 1,
        }
    }
}

/// The length of the reference that the text starts with: `$(`, any character, then up to the last `)` before a space.
pub(super) fn reference_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("$(")?;
    let first = inner.chars().next().filter(|&c| c != '\n')?;
    let rest = &inner[first.len_utf8()..];
    let run = rest.split(' ').next().unwrap_or_default();
    run.rfind(')').map(|last| 2 + first.len_utf8() + last + 1)
}

/// What stands between the braces, and whether it began with `-`.
pub(super) fn inner(variable: &str) -> (String, bool) {
    let inner = variable.replace("{{", "").replace("}}", "");
    match inner.trim().strip_prefix('-') {
        Some(rest) => (rest.trim().to_owned(), true),
        None => (inner.trim().to_owned(), false),
    }
}

/// The expression of a text that is one variable and nothing else. Not `@`, whose meaning depends on the place, and no
/// text with references.
pub(super) fn only(text: &str) -> Option<String> {
    let is_one = variable_length(text) == Some(text.len()) && !text.contains("$(");
    let (expression, _) = is_one.then(|| inner(text))?;
    (expression != "@").then_some(expression)
}

/// Whether a string of this text would be changed by substitution, escapes included.
fn text_changes(text: &str) -> bool {
    text.contains("{{") || text.contains("$(")
}

/// Whether substitution would change anything in the document.
pub(super) fn changes(document: &Value) -> bool {
    match document {
        Value::String(text) => text_changes(text),
        Value::Array(values) => values.iter().any(changes),
        Value::Object(map) => map.iter().any(|(key, value)| text_changes(key) || changes(value)),
        _ => false,
    }
}

/// Whether a text has at least one variable.
pub fn contains(text: &str) -> bool {
    text.contains("{{") && variables(text).next().is_some()
}

/// The expressions of all variables in a document, keys included, as they are written; for checks and to parse them
/// before they are needed.
pub fn expressions(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::String(text) => expressions_of(text, found),
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                expressions_of(key, found);
                expressions(value, found);
            }
        }
        _ => {}
    }
}

/// Those of one text.
pub fn expressions_of(text: &str, found: &mut Vec<String>) {
    if text.contains("{{") {
        found.extend(variables(text).map(|variable| inner(&variable.text).0));
    }
}
