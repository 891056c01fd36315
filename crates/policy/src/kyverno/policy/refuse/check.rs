//! What a rule checks: operators and values of conditions, anchors of patterns, labels that are no text.

use super::{Refused, list, present, text};
use crate::kyverno::conditions::Operator;
use crate::kyverno::matching::Operations;
use crate::kyverno::pattern::Anchor;
use serde_json::{Map, Value};

pub(super) fn check(rule: &Value, validate: &Value, path: &str, refused: &mut Refused<'_>) {
    if let Some(conditions) = present(rule, "preconditions") {
        each(conditions, &format!("{path}.preconditions"), &mut |one, path| whole(one, path, refused));
    }
    if present(rule, "imageExtractors").is_some() {
        refused.add(format!("{path}.imageExtractors"), "nothing reads it here, accepted: with verifyImages");
    }
    let path = format!("{path}.validate");
    if validate.get("anyPattern").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        refused.add(format!("{path}.anyPattern"), "empty, accepted: at least one pattern");
    }
    if let Some(conditions) = validate.pointer("/deny/conditions") {
        each(conditions, &format!("{path}.deny.conditions"), &mut |one, path| whole(one, path, refused));
    }
    loops(validate, &path, refused);
    for (pattern, path) in patterns(validate, &path) {
        anchors(pattern, &path, refused);
        labels(pattern, &path, refused);
    }
    // Of several loops, only the pattern of the first that has one is looked at.
    let in_loop = |(index, one)| Some((present(one, "pattern")?, format!("{path}.foreach[{index}].pattern")));
    if let Some((pattern, path)) = list(validate, "foreach").iter().enumerate().find_map(in_loop) {
        labels(pattern, &path, refused);
    }
}

fn patterns<'v>(validate: &'v Value, path: &str) -> Vec<(&'v Value, String)> {
    let one = present(validate, "pattern").map(|pattern| (pattern, format!("{path}.pattern")));
    let any = list(validate, "anyPattern").iter().enumerate();
    one.into_iter().chain(any.map(|(index, one)| (one, format!("{path}.anyPattern[{index}]")))).collect()
}

/// Conditions in either form, each with its path.
fn each<'v>(conditions: &'v Value, path: &str, look: &mut dyn FnMut(&'v Value, &str)) {
    if let Some(old) = conditions.as_array() {
        old.iter().enumerate().for_each(|(index, one)| look(one, &format!("{path}[{index}]")));
    }
    for name in ["any", "all"] {
        let all = list(conditions, name).iter().enumerate();
        all.for_each(|(index, one)| look(one, &format!("{path}.{name}[{index}]")));
    }
}

/// Loops: what their conditions compare is not looked at, only how.
fn loops(validate: &Value, path: &str, refused: &mut Refused<'_>) {
    for (index, one) in list(validate, "foreach").iter().enumerate() {
        let path = format!("{path}.foreach[{index}]");
        if text(one, "list").is_empty() {
            refused.add(format!("{path}.list"), "empty, accepted: an expression");
        }
        if one.get("foreach").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            refused.add(format!("{path}.foreach"), "empty, accepted: at least one loop");
        }
        let places = [("/preconditions", "preconditions"), ("/deny/conditions", "deny.conditions")];
        for (pointer, name) in places {
            let Some(conditions) = one.pointer(pointer) else { continue };
            each(conditions, &format!("{path}.{name}"), &mut |one, path| operator(one, path, refused));
        }
        loops(one, &path, refused);
    }
}

fn whole(condition: &Value, path: &str, refused: &mut Refused<'_>) {
    for name in ["key", "value"].into_iter().filter(|name| present(condition, name).is_none()) {
        refused.add(format!("{path}.{name}"), "missing");
    }
    operator(condition, path, refused);
    if text(condition, "key").replace(' ', "") == "{{request.operation}}"
        && let Some(value) = present(condition, "value")
    {
        operations(value, &format!("{path}.value"), refused);
    }
}

fn operator(condition: &Value, path: &str, refused: &mut Refused<'_>) {
    let operator = text(condition, "operator");
    if !Operator::names().any(|name| name == operator) {
        let accepted = Operator::names().collect::<Vec<_>>().join(", ");
        let reason = format!("found {operator:?}, accepted: {accepted}");
        refused.add(format!("{path}.operator"), reason);
    }
}

/// What `request.operation` is compared with.
fn operations(value: &Value, path: &str, refused: &mut Refused<'_>) {
    let accepted = || format!("accepted: {}", Operations::ALL.names().collect::<Vec<_>>().join(", "));
    let is_operation = |text: &str| Operations::ALL.names().any(|name| name == text);
    match value {
        Value::String(text) if text.len() >= 4 && text.starts_with("{{") && text.ends_with("}}") => {}
        Value::String(text) if is_operation(text) => {}
        Value::Array(values) => {
            let is_known = |value: &Value| value.as_str().is_some_and(is_operation);
            if let Some(index) = values.iter().position(|value| !is_known(value)) {
                refused.add(format!("{path}[{index}]"), format!("found {}, {}", values[index], accepted()));
            }
        }
        other => refused.add(path, format!("found {other}, {}", accepted())),
    }
}

/// Anchors that only changes have, and existence anchors that could never be asked for.
fn anchors(pattern: &Value, path: &str, refused: &mut Refused<'_>) {
    match pattern {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                match Anchor::parse(key) {
                    Some((Anchor::AddIfNotPresent, _)) => {
                        let accepted = "accepted in a check: (), =(), X(), <(), ^()";
                        refused.add(&path, format!("the anchor +() adds what is not there, {accepted}"));
                    }
                    Some((Anchor::Existence, _)) if value.as_array().is_none_or(Vec::is_empty) => {
                        refused.add(&path, "the anchor ^() is about lists, accepted: a list with an element");
                    }
                    _ => {}
                }
                anchors(value, &path, refused);
            }
        }
        Value::Array(values) => {
            let all = values.iter().enumerate();
            all.for_each(|(index, value)| anchors(value, &format!("{path}[{index}]"), refused));
        }
        _ => {}
    }
}

/// Labels and annotations are texts. Those of the object are looked at, or those of its template where `spec` comes
/// before `metadata`; as Kyverno meets them in any order, both are looked at here.
fn labels(pattern: &Value, path: &str, refused: &mut Refused<'_>) {
    for (pointer, place) in [("/metadata", "metadata"), ("/spec/template/metadata", "spec.template.metadata")]
    {
        for name in ["labels", "annotations"] {
            let Some(all) = pattern.pointer(pointer).and_then(|metadata| metadata.get(name)?.as_object())
            else {
                continue;
            };
            for (key, found) in not_text(all) {
                let reason = format!("found {found}, accepted: text, in quotes");
                refused.add(format!("{path}.{place}.{name}.{key}"), reason);
            }
        }
    }
}

fn not_text(all: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    all.iter().filter(|(_, value)| !value.is_string())
}
