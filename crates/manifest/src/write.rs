//! YAML as kubectl prints it, for manifests that go back to people or to kubectl: block style, lists not indented, keys
//! in their order. A text that any reader might take for something else (`yes`, `0644`, `1:30`) is quoted, which no
//! YAML 1.2 library does.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value};

use crate::scalar::Scalar;

/// Longer keys need `? ` in front; YAML allows simple ones up to 1024 characters, go-yaml writes them up to this.
const LONGEST_SIMPLE_KEY: usize = 128;

/// One document, without `---`, ending in a line break. Reading it gives `value` again, except for floats without a
/// fraction, which YAML takes for integers.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(map, 0, &mut out),
        Value::Array(list) if !list.is_empty() => array(list, 0, &mut out),
        scalar => {
            inline(scalar, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

fn object(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        begin(index, indent, out);
        if key.chars().count() > LONGEST_SIMPLE_KEY || key.contains('\n') {
            out.push_str("? ");
            out.push_str(&double_quoted(key));
            out.push('\n');
            pad(indent, out);
        } else {
            out.push_str(&flow_text(key));
        }
        out.push(':');
        below(value, indent, out);
    }
}

fn array(list: &[Value], indent: usize, out: &mut String) {
    for (index, value) in list.iter().enumerate() {
        begin(index, indent, out);
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => object(map, indent + 2, out),
            Value::Array(list) if !list.is_empty() => array(list, indent + 2, out),
            scalar => {
                inline(scalar, indent, out);
                out.push('\n');
            }
        }
    }
}

fn begin(index: usize, indent: usize, out: &mut String) {
    // The first line of an element begins behind its dash.
    if index > 0 || !out.ends_with("- ") {
        pad(indent, out);
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// The value of a key at `indent`.
fn below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            object(map, indent + 2, out);
        }
        Value::Array(list) if !list.is_empty() => {
            out.push('\n');
            array(list, indent, out);
        }
        scalar => {
            out.push(' ');
            inline(scalar, indent, out);
            out.push('\n');
        }
    }
}

/// A value that begins on the line it belongs to: a scalar, or a collection without elements.
fn inline(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) if is_block(text) => block(text, indent + 2, out),
        Value::String(text) => out.push_str(&flow_text(text)),
        other => {
            // A Value always serialises, and so does a String.
            let _ = write!(out, "{other}");
        }
    }
}

/// Whether a text reads best line by line.
fn is_block(text: &str) -> bool {
    let lines = text.trim_end_matches('\n');
    lines.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && lines.chars().all(|one| one == '\n' || one == '\t' || is_printable(one))
        && lines.split('\n').all(|line| !line.ends_with([' ', '\t']))
}

fn block(text: &str, indent: usize, out: &mut String) {
    let lines = text.trim_end_matches('\n');
    out.push('|');
    match text.len() - lines.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
    // The line break behind the last line is the caller's.
    out.extend(std::iter::repeat_n('\n', (text.len() - lines.len()).saturating_sub(1)));
}

/// A text on one line: plain, in single quotes, or in double quotes.
fn flow_text(text: &str) -> Cow<'_, str> {
    if !text.chars().all(is_printable) || is_something_else(text) {
        return double_quoted(text).into();
    }
    if is_plain(text) { text.into() } else { format!("'{}'", text.replace('\'', "''")).into() }
}

/// Whether a reader would not take the plain text for a text.
fn is_something_else(text: &str) -> bool {
    !matches!(Scalar::plain(text.into()), Scalar::Text(_)) || matches!(text, "<<" | "=") || is_dated(text)
}

/// Dates and numbers to base 60, which YAML 1.1 has and kubectl ignores.
fn is_dated(text: &str) -> bool {
    let bytes = text.as_bytes();
    let date = bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    let number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'_' | b'+' | b'-');
    date || (text.contains(':') && bytes.iter().all(number))
}

fn is_plain(text: &str) -> bool {
    const INDICATORS: &[char] = &[
        '!', '&', '*', '[', ']', '{', '}', ',', '#', '|', '>', '@', '`', '"', '\'', '%', ' ', '-', '?', ':',
    ];
    // These three only mean something in front of a space.
    let harmless = text.strip_prefix(['-', '?', ':']).is_some_and(|rest| rest.starts_with(|one| one != ' '));
    (harmless || !text.starts_with(INDICATORS))
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
}

/// Characters that mean themselves wherever they stand. YAML 1.1 takes some of the others for line breaks.
fn is_printable(one: char) -> bool {
    matches!(one, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for one in text.chars() {
        match one {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if is_printable(one) => quoted.push(one),
            // All of them are in the basic plane.
            _ => quoted.push_str(&format!("\\u{:04x}", u32::from(one))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_looks_like_kubectl() {
        let value = json!({
            "kind": "Pod",
            "metadata": {"name": "web", "labels": {}, "annotations": {"a/b": "true"}},
            "spec": {"containers": [{"name": "web", "args": ["-p", "15001", "*", "a: b"], "command": [], "ports": [{"containerPort": 80}]}]},
            "matrix": [[1, [2]], []],
            "none": null,
            "script": "set -e\n\n  run\n",
            "kept": "a\nb\n\n",
            "cut": "a\nb",
        });
        let text = "\
kind: Pod
metadata:
  name: web
  labels: {}
  annotations:
    a/b: \"true\"
spec:
  containers:
  - name: web
    args:
    - -p
    - \"15001\"
    - '*'
    - 'a: b'
    command: []
    ports:
    - containerPort: 80
matrix:
- - 1
  - - 2
- []
none: null
script: |
  set -e

    run
kept: |+
  a
  b

cut: |-
  a
  b
";
        assert_eq!(to_yaml(&value), text);
    }

    #[test]
    fn what_readers_disagree_about_is_quoted() {
        for text in
            ["yes", "NO", "on", "y", "~", "null", "", "0644", "1e3", "1_000", ".inf", "0x1f", "<<", "="]
        {
            assert!(flow_text(text).starts_with('"'), "{text}");
        }
        for text in ["2026-11-21", "12:30:45", "1:30", "a\u{85}b", "a\u{feff}", "\u{7f}"] {
            assert!(flow_text(text).starts_with('"'), "{text}");
        }
        for text in ["- a", "-", "?", "a:", "a #b", " a", "a ", "@a", "%a", "--- a", "'a"] {
            assert!(flow_text(text).starts_with('\''), "{text}");
        }
        for text in ["a", "-p", "--flag=x", "a:b", "10.0.0.0/8", "1.2.3", "10m", "ü", "?a", "a'b", "/bin/sh"]
        {
            assert_eq!(flow_text(text), text);
        }
    }
}
