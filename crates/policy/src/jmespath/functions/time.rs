//! Kyverno's functions on time, with Go's layouts and durations.

use super::{Failure, Invocation, Outcome};
use crate::duration::Duration;
use crate::go::time::{Moment, RFC3339};
use crate::jmespath::item::Item;
use std::fmt::Display;

fn moment<'a>(call: &Invocation<'_, 'a>, index: usize) -> Result<Moment, Failure<'a>> {
    parsed(call, RFC3339, call.text(index)?)
}

fn parsed<'a>(call: &Invocation<'_, 'a>, layout: &str, text: &str) -> Result<Moment, Failure<'a>> {
    Moment::parse(layout, text).map_err(|error| call.fail(error))
}

fn duration<'a>(call: &Invocation<'_, 'a>, index: usize) -> Result<Duration, Failure<'a>> {
    Duration::parse(call.text(index)?).map_err(|error| call.fail(error))
}

fn shown<'a>(value: impl Display) -> Outcome<'a> {
    Ok(Item::owned(value.to_string()))
}

fn present<'a>(call: &Invocation<'_, 'a>) -> Result<Moment, Failure<'a>> {
    call.evaluator.context.environment.now().ok_or_else(|| call.fail("there is no clock here"))
}

pub(super) fn since<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let layout = match call.text(0)? {
        "" => RFC3339,
        layout => layout,
    };
    let start = parsed(call, layout, call.text(1)?)?;
    let end = match call.text(2)? {
        "" => present(call)?,
        end => parsed(call, layout, end)?,
    };
    shown(end.since(start))
}

pub(super) fn now<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    shown(present(call)?)
}

pub(super) fn now_utc<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    shown(present(call)?.utc())
}

pub(super) fn to_cron<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let civil = moment(call, 0)?.civil();
    shown(format_args!("{} {} {} {} {}", civil.minute, civil.hour, civil.day, civil.month, civil.weekday))
}

pub(super) fn add<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    shown(moment(call, 0)?.plus(duration(call, 1)?))
}

pub(super) fn parse<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (layout, text) = (call.text(0)?, call.text(1)?);
    if layout.parse::<i64>().is_ok() {
        let seconds = text.parse::<i64>().map_err(|error| call.fail(format_args!("{text:?}: {error}")))?;
        return shown(Moment::from_unix(seconds));
    }
    shown(parsed(call, layout, text)?)
}

pub(super) fn utc<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    shown(moment(call, 0)?.utc())
}

pub(super) fn diff<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let start = moment(call, 0)?;
    shown(moment(call, 1)?.since(start))
}

pub(super) fn before<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::boolean(moment(call, 0)?.is_before(moment(call, 1)?)))
}

pub(super) fn after<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let first = moment(call, 0)?;
    Ok(Item::boolean(moment(call, 1)?.is_before(first)))
}

pub(super) fn between<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (time, start, end) = (moment(call, 0)?, moment(call, 1)?, moment(call, 2)?);
    Ok(Item::boolean(start.is_before(time) && time.is_before(end)))
}

pub(super) fn truncate<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    shown(moment(call, 0)?.truncate(duration(call, 1)?))
}
