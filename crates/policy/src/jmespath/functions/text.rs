//! Kyverno's functions on text, with the semantics of Go's `strings`.

use super::{Invocation, Outcome};
use crate::go::text;
use crate::jmespath::item::Item;
use std::cmp::Ordering;

pub(super) fn compare<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::owned(match call.text(0)?.cmp(call.text(1)?) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

pub(super) fn equal_fold<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::boolean(text::equal_fold(call.text(0)?, call.text(1)?)))
}

/// `text` with the first `count` occurrences of `old` replaced; the size of the result is known before it is built.
fn replaced<'a>(call: &Invocation<'_, 'a>, count: usize) -> Outcome<'a> {
    let (text, old, new) = (call.text(0)?, call.text(1)?, call.text(2)?);
    call.evaluator.charge_text(text.len())?;
    let found = text.matches(old).take(count).count();
    call.evaluator.charge_text(found.saturating_mul(new.len()))?;
    Ok(Item::owned(text.replacen(old, new, count)))
}

pub(super) fn replace<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let count = call.number(3)?.trunc();
    replaced(call, if count < 0.0 { usize::MAX } else { count as usize })
}

pub(super) fn replace_all<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    replaced(call, usize::MAX)
}

pub(super) fn to_upper<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    call.string(text::to_upper(call.text(0)?))
}

pub(super) fn to_lower<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    call.string(text::to_lower(call.text(0)?))
}

pub(super) fn trim<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let characters = call.text(1)?;
    call.string(call.text(0)?.trim_matches(|c| characters.contains(c)).to_owned())
}

pub(super) fn trim_prefix<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.string(text.strip_prefix(call.text(1)?).unwrap_or(text).to_owned())
}

pub(super) fn split<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.evaluator.charge_text(text.len())?;
    let parts = text::split(text, call.text(1)?);
    call.evaluator.charge(parts.len() as u64 * 4)?;
    Ok(Item::list(parts.into_iter().map(Item::owned).collect()))
}

pub(super) fn to_boolean<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    match text::to_lower(text).as_str() {
        "true" => Ok(Item::boolean(true)),
        "false" => Ok(Item::boolean(false)),
        _ => {
            Err(call.fail(format_args!("lowercase argument must be 'true' or 'false' (provided: '{text}')")))
        }
    }
}

pub(super) fn truncate<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    // Negative lengths count as zero.
    let length = call.number(1)? as usize;
    call.string(call.text(0)?.chars().take(length).collect())
}
