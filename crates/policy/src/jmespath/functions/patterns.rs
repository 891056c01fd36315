//! Kyverno's functions on regular expressions and wildcards. The text may be a number, which is printed as Go prints a
//! 32-bit float.

use super::{Failure, Invocation, Outcome};
use crate::go::number::format_float32;
use crate::go::regex::Regex;
use crate::jmespath::ast::Node;
use crate::jmespath::item::Item;
use crate::wildcard;
use std::borrow::Cow;

/// The longest text that a replacement may make, in bytes.
const MAX_TEXT: usize = 16 << 20;

fn text_of<'e, 'a>(call: &Invocation<'e, 'a>, index: usize) -> Result<Cow<'e, str>, Failure<'a>> {
    let item = call.item(index)?;
    match (item.as_str(), item.as_f64()) {
        (Some(text), _) => Ok(Cow::Borrowed(text)),
        (_, Some(number)) => Ok(Cow::Owned(format_float32(number))),
        _ => Err(call.wrong_type(index, "String or Real")),
    }
}

/// Runs `use_regex` with the first argument compiled; a constant is compiled once for all evaluations.
fn with_regex<'a, T>(
    call: &Invocation<'_, 'a>,
    use_regex: impl FnOnce(&Regex) -> Result<T, Failure<'a>>,
) -> Result<T, Failure<'a>> {
    let pattern = call.text(0)?;
    let compile = || Regex::compile(pattern).map_err(|error| error.to_string());
    if matches!(call.call.arguments.first(), Some(Node::Literal(_))) {
        return match call.call.regex.get_or_init(compile) {
            Ok(regex) => use_regex(regex),
            Err(reason) => Err(call.fail(reason)),
        };
    }
    // Compiling costs as much as thousands of steps.
    call.evaluator.charge(1000 + pattern.len() as u64)?;
    use_regex(&compile().map_err(|reason| call.fail(reason))?)
}

pub(super) fn regex_match<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = text_of(call, 1)?;
    call.evaluator.charge_text(text.len())?;
    with_regex(call, |regex| Ok(Item::boolean(regex.is_match(&text))))
}

fn replaced<'a>(call: &Invocation<'_, 'a>, literal: bool) -> Outcome<'a> {
    let (text, replacement) = (text_of(call, 1)?, text_of(call, 2)?);
    call.evaluator.charge_text(text.len())?;
    let limit = MAX_TEXT.min(call.evaluator.text_left());
    let result = with_regex(call, |regex| {
        regex.replace_all(&text, &replacement, literal, limit).map_err(|error| call.fail(error))
    })?;
    call.string(result)
}

pub(super) fn regex_replace_all<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    replaced(call, false)
}

pub(super) fn regex_replace_all_literal<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    replaced(call, true)
}

pub(super) fn pattern_match<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (pattern, text) = (call.text(0)?, text_of(call, 1)?);
    // The search may try every place of the text for every place of the pattern.
    let stars = pattern.bytes().filter(|b| *b == b'*').count();
    call.evaluator.charge_text(text.len().saturating_mul(if stars > 1 { pattern.len() } else { 1 }))?;
    Ok(Item::boolean(wildcard::matches(pattern, &text)))
}
