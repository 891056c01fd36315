//! Patterns, `deny` and loops: Kyverno's `pkg/engine/handlers/validation/validate_resource.go`, with its messages.

use super::evaluate::Outcome;
use super::{Check, ForEach, Rule, Status, Template};
use crate::jmespath::Slot;
use crate::kyverno::conditions::{Conditions, join};
use crate::kyverno::pattern::{Mismatch, Pattern};
use crate::kyverno::scope::Scope;
use crate::kyverno::variables::{Data, Document, SubstitutionError, substitute_text};
use serde_json::Value;
use std::ops::Deref;

/// A pattern whose variables have been replaced.
enum Ready<'t> {
    Fixed(&'t Pattern),
    Now(Pattern),
}

impl Deref for Ready<'_> {
    type Target = Pattern;

    fn deref(&self) -> &Pattern {
        match self {
            Ready::Fixed(pattern) => pattern,
            Ready::Now(pattern) => pattern,
        }
    }
}

impl Template {
    pub(super) fn new(pattern: &Value) -> Template {
        let document = Document::new(pattern.clone());
        if document.is_fixed() {
            Template::Fixed(Pattern::new(pattern))
        } else {
            Template::Variable(document)
        }
    }

    fn substituted(&self, scope: &mut Scope<'_>) -> Result<Ready<'_>, SubstitutionError> {
        match self {
            Template::Fixed(pattern) => Ok(Ready::Fixed(pattern)),
            Template::Variable(document) => Ok(Ready::Now(Pattern::new(&*document.substituted(scope)?))),
        }
    }
}

/// Checks an object, or an element of a loop over it.
struct Checker<'r> {
    rule: &'r Rule,
    object: &'r Value,
}

pub(super) fn rule<'e>(rule: &'e Rule, check: &'e Check, object: &Value, scope: &mut Scope<'e>) -> Outcome {
    Checker { rule, object }.check(check, None, 0, scope)
}

impl Checker<'_> {
    fn check<'e>(
        &self,
        check: &'e Check,
        element: Option<&Value>,
        nesting: usize,
        scope: &mut Scope<'e>,
    ) -> Outcome {
        let failed = |error| Some((Status::Error, format!("variable substitution failed: {error}")));
        match check {
            Check::Deny(conditions) => Some(self.deny(conditions, scope)),
            Check::ForEach(loops) => self.loops(loops, element, nesting, scope),
            Check::Pattern(pattern) => match pattern.substituted(scope) {
                Err(error) => failed(error),
                Ok(pattern) => {
                    self.patterns(element, scope, |object, scope| self.pattern(object, &pattern, scope))
                }
            },
            Check::AnyPattern(patterns) => {
                let all: Result<Vec<_>, _> =
                    patterns.iter().map(|pattern| pattern.substituted(scope)).collect();
                match all {
                    Err(error) => failed(error),
                    Ok(patterns) => {
                        self.patterns(element, scope, |object, _| self.any_pattern(object, &patterns))
                    }
                }
            }
        }
    }

    /// Patterns are about the element, or else about the object, unless it is deleted.
    fn patterns<'e>(
        &self,
        element: Option<&Value>,
        scope: &mut Scope<'e>,
        check: impl FnOnce(&Value, &mut Scope<'e>) -> (Status, String),
    ) -> Outcome {
        match element {
            Some(element) => Some(check(element, scope)),
            None if scope.operation() == "DELETE" => None,
            None => Some(check(self.object, scope)),
        }
    }

    fn pattern(&self, object: &Value, pattern: &Pattern, scope: &mut Scope<'_>) -> (Status, String) {
        match pattern.check(object) {
            Ok(()) => (Status::Pass, passed(&self.rule.name)),
            Err(mismatch) if mismatch.skip => (Status::Skip, mismatch.message),
            Err(mismatch) => {
                let status = if mismatch.path.is_empty() { Status::Error } else { Status::Fail };
                (status, self.pattern_message(&mismatch, scope))
            }
        }
    }

    fn pattern_message(&self, mismatch: &Mismatch, scope: &mut Scope<'_>) -> String {
        let name = &self.rule.name;
        let place = match mismatch.path.as_str() {
            "" => format!("rule {name} execution error: {mismatch}"),
            path => format!("rule {name} failed at path {path}"),
        };
        if self.rule.message.is_empty() {
            return format!("validation error: {place}");
        }
        match substitute_text(&self.rule.message, scope) {
            Err(_) => format!(
                "validation error: variables substitution error in rule {name} execution error: {mismatch}"
            ),
            Ok(message) => {
                let message = match message {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                let dot = if message.ends_with('.') { "" } else { "." };
                format!("validation error: {message}{dot} {place}")
            }
        }
    }

    fn any_pattern(&self, object: &Value, patterns: &[Ready<'_>]) -> (Status, String) {
        let name = &self.rule.name;
        let (mut skipped, mut failed) = (Vec::new(), Vec::new());
        for (index, pattern) in patterns.iter().enumerate() {
            match pattern.check(object) {
                Ok(()) => {
                    return (Status::Pass, format!("validation rule '{name}' anyPattern[{index}] passed."));
                }
                Err(m) if m.skip => skipped.push(format!("rule {name}[{index}] skipped: {m}")),
                Err(m) if m.path.is_empty() => failed.push(format!("rule {name}[{index}] failed: {m}")),
                Err(m) => failed.push(format!("rule {name}[{index}] failed at path {}", m.path)),
            }
        }
        if !failed.is_empty() {
            let message = match self.rule.message.as_str() {
                "" => String::new(),
                message if message.ends_with('.') => format!("{message} "),
                message => format!("{message}. "),
            };
            return (Status::Fail, format!("validation error: {message}{}", failed.join(" ")));
        }
        match skipped.is_empty() {
            true => (Status::Pass, self.rule.message.clone()),
            false => (Status::Skip, skipped.join(" ")),
        }
    }

    fn deny(&self, conditions: &Conditions, scope: &mut Scope<'_>) -> (Status, String) {
        let name = &self.rule.name;
        match conditions.evaluate(scope) {
            Err(error) => (Status::Error, format!("failed to check deny conditions: {error}")),
            Ok(verdict) if !verdict.holds => (Status::Pass, passed(name)),
            Ok(verdict) => {
                let message = join(&[&self.rule.message, &verdict.message], "; ");
                if message.is_empty() {
                    return (Status::Fail, format!("validation error: rule {name} failed"));
                }
                let message = match substitute_text(&message, scope) {
                    Err(_) => verdict.message,
                    Ok(Value::String(text)) => text,
                    Ok(_) => "the produced message didn't resolve to a string, check your policy definition."
                        .to_owned(),
                };
                (Status::Fail, message)
            }
        }
    }

    fn loops<'e>(
        &self,
        loops: &'e [ForEach],
        element: Option<&Value>,
        nesting: usize,
        scope: &mut Scope<'e>,
    ) -> Outcome {
        let (mut applied, mut failure) = (0, None);
        for each in loops {
            match scope.elements(&each.list) {
                Err(error) if error.to_string().contains("Unknown key") => {}
                Err(error) => failure = Some(error),
                Ok(list) => {
                    let mark = scope.mark();
                    let outcome = self.elements(each, &list, element, nesting, scope);
                    scope.reset(mark);
                    match outcome {
                        Ok(count) => applied += count,
                        Err(outcome) => return Some(outcome),
                    }
                }
            }
        }
        match (applied, failure) {
            (0, Some(error)) => Some((Status::Error, format!("failed to evaluate list: {error}"))),
            (0, None) => None,
            _ => Some((Status::Pass, "rule passed".to_owned())),
        }
    }

    /// How many elements were checked, or the first that does not pass.
    fn elements<'e>(
        &self,
        each: &'e ForEach,
        list: &[Slot<'e>],
        outer: Option<&Value>,
        nesting: usize,
        scope: &mut Scope<'e>,
    ) -> Result<usize, (Status, String)> {
        let mut applied = 0;
        let mark = scope.mark();
        for (index, slot) in list.iter().enumerate() {
            let Some(element) = slot.value().filter(|element| !element.is_null()) else { continue };
            scope.reset(mark);
            scope.set_element(slot, index, nesting);
            if each.element_scope == Some(true) && !element.is_object() {
                let message = format!(
                    "failed to process foreach: cannot use elementScope=true foreach rules for elements that \
                     are not maps, expected type=map got type={}",
                    crate::go::print::type_name(element)
                );
                return Err((Status::Error, message));
            }
            let scoped = each.element_scope.unwrap_or(element.is_object());
            let about = if scoped { Some(element) } else { outer };
            scope.add_entries(&each.context);
            match each.preconditions.evaluate(scope) {
                // As in Kyverno, an element whose preconditions cannot be decided is left out.
                Err(_) => continue,
                Ok(verdict) if !verdict.holds => continue,
                Ok(_) => {}
            }
            match self.check(&each.check, about, nesting + 1, scope) {
                None | Some((Status::Skip, _)) => {}
                Some((Status::Pass, _)) => applied += 1,
                Some((Status::Error, message)) if message.contains("failed to evaluate preconditions") => {}
                Some((status, message)) => return Err((status, format!("validation failure: {message}"))),
            }
        }
        Ok(applied)
    }
}

fn passed(rule: &str) -> String {
    ["validation rule '", rule, "' passed."].concat()
}
