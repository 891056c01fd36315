//! Kyverno's arithmetic: numbers, quantities and durations, where only operands that make sense together are taken.

use super::{Failure, Invocation, Outcome};
use crate::duration::Duration;
use crate::jmespath::item::Item;
use crate::quantity::{Quantity, QuantityError};
use std::fmt::Display;

#[derive(Clone, Copy)]
enum Operand {
    Number(f64),
    Quantity(Quantity),
    Duration(Duration),
}

const MISMATCH: &str = "Types mismatch";
const ZERO: &str = "Zero divisor passed";
const NOT_WHOLE: &str = "Non-integer argument(s) passed for modulo";

fn operand<'a>(call: &Invocation<'_, 'a>, item: &Item<'a>) -> Result<Operand, Failure<'a>> {
    if let Some(number) = item.as_f64() {
        return Ok(Operand::Number(number));
    }
    let text = item.as_str().ok_or_else(|| call.fail("invalid operand"))?;
    // What is both, as "1m", is a quantity.
    if let Ok(quantity) = Quantity::parse(text) {
        return Ok(Operand::Quantity(quantity));
    }
    Duration::parse(text).map(Operand::Duration).map_err(|_| call.fail("invalid operand"))
}

fn operands<'a>(call: &Invocation<'_, 'a>) -> Result<(Operand, Operand), Failure<'a>> {
    Ok((operand(call, call.item(0)?)?, operand(call, call.item(1)?)?))
}

fn printed<'a>(call: &Invocation<'_, 'a>, value: Result<impl Display, QuantityError>) -> Outcome<'a> {
    match value {
        Ok(value) => Ok(Item::owned(value.to_string())),
        Err(QuantityError::ZeroDivisor) => Err(call.fail(ZERO)),
        Err(error) => Err(call.fail(error)),
    }
}

fn duration<'a>(nanoseconds: i64) -> Item<'a> {
    Item::owned(Duration::from_nanoseconds(nanoseconds).to_string())
}

fn sum_of<'a>(call: &Invocation<'_, 'a>, a: Operand, b: Operand) -> Outcome<'a> {
    match (a, b) {
        (Operand::Number(a), Operand::Number(b)) => Ok(Item::number(a + b)),
        (Operand::Quantity(a), Operand::Quantity(b)) => printed(call, a.checked_add(b)),
        (Operand::Duration(a), Operand::Duration(b)) => {
            Ok(duration(a.nanoseconds().wrapping_add(b.nanoseconds())))
        }
        _ => Err(call.fail(MISMATCH)),
    }
}

pub(super) fn add<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (a, b) = operands(call)?;
    sum_of(call, a, b)
}

pub(super) fn sum<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut items = call.list(0)?.into_iter();
    let Some(mut total) = items.next() else {
        return Err(call.fail("at least one element in the array is required"));
    };
    for item in items {
        total = sum_of(call, operand(call, &total)?, operand(call, &item)?)?;
    }
    Ok(total)
}

pub(super) fn subtract<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    match operands(call)? {
        (Operand::Number(a), Operand::Number(b)) => Ok(Item::number(a - b)),
        (Operand::Quantity(a), Operand::Quantity(b)) => printed(call, a.checked_subtract(b)),
        (Operand::Duration(a), Operand::Duration(b)) => {
            Ok(duration(a.nanoseconds().wrapping_sub(b.nanoseconds())))
        }
        _ => Err(call.fail(MISMATCH)),
    }
}

/// A number as the quantity that its decimal notation stands for.
fn as_quantity(number: f64) -> Result<Quantity, QuantityError> {
    Quantity::parse(&number.to_string())
}

pub(super) fn multiply<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    match operands(call)? {
        (Operand::Number(a), Operand::Number(b)) => Ok(Item::number(a * b)),
        (Operand::Quantity(q), Operand::Number(n)) | (Operand::Number(n), Operand::Quantity(q)) => {
            printed(call, as_quantity(n).and_then(|n| q.checked_multiply(n)))
        }
        (Operand::Duration(d), Operand::Number(n)) | (Operand::Number(n), Operand::Duration(d)) => {
            Ok(Item::owned(Duration::from_seconds(d.seconds() * n).to_string()))
        }
        _ => Err(call.fail(MISMATCH)),
    }
}

pub(super) fn divide<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let quotient = |a: f64, b: f64| if b == 0.0 { Err(call.fail(ZERO)) } else { Ok(a / b) };
    match operands(call)? {
        (Operand::Number(a), Operand::Number(b)) => Ok(Item::number(quotient(a, b)?)),
        (Operand::Quantity(a), Operand::Quantity(b)) => {
            Ok(Item::number(quotient(a.approximate(), b.approximate())?))
        }
        (Operand::Duration(a), Operand::Duration(b)) => Ok(Item::number(quotient(a.seconds(), b.seconds())?)),
        (Operand::Quantity(q), Operand::Number(n)) => {
            printed(call, as_quantity(n).and_then(|n| q.checked_divide(n)))
        }
        (Operand::Duration(d), Operand::Number(n)) => {
            Ok(Item::owned(Duration::from_seconds(quotient(d.seconds(), n)?).to_string()))
        }
        _ => Err(call.fail(MISMATCH)),
    }
}

/// The remainder of two whole numbers, with the sign of the first.
fn remainder<'a>(call: &Invocation<'_, 'a>, a: f64, b: f64) -> Result<i64, Failure<'a>> {
    let whole = |number: f64| {
        let cut = number as i64;
        if cut as f64 == number && cut != i64::MAX { Ok(cut) } else { Err(call.fail(NOT_WHOLE)) }
    };
    let (a, b) = (whole(a)?, whole(b)?);
    if b == 0 { Err(call.fail(ZERO)) } else { Ok(a.wrapping_rem(b)) }
}

pub(super) fn modulo<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    match operands(call)? {
        (Operand::Number(a), Operand::Number(b)) => Ok(Item::number(remainder(call, a, b)? as f64)),
        (Operand::Quantity(a), Operand::Quantity(b)) => {
            let left = remainder(call, a.approximate(), b.approximate())?;
            Ok(Item::owned(Quantity::from_integer(left, a.format()).to_string()))
        }
        (Operand::Duration(_), Operand::Duration(b)) if b.nanoseconds() == 0 => Err(call.fail(ZERO)),
        (Operand::Duration(a), Operand::Duration(b)) => {
            Ok(duration(a.nanoseconds().wrapping_rem(b.nanoseconds())))
        }
        _ => Err(call.fail(MISMATCH)),
    }
}

pub(super) fn round<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (number, places) = (call.number(0)?, call.integer(1)?);
    if places < 0 {
        return Err(call.fail("argument #2 is out of bounds: it must not be negative"));
    }
    let shift = 10f64.powf(places as f64);
    Ok(Item::number((number * shift).round() / shift))
}
