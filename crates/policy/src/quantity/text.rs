//! The written form of quantities, both ways.

use super::{Format, Quantity, QuantityError, scaled};
use std::fmt;

/// Digits that an `i128` holds whatever they are.
const DIGITS: usize = 37;
/// The finest scale of a parsed quantity: a billionth.
const NANO: i32 = 9;
/// Digits that apimachinery's fast path, an `i64`, holds.
const FAST_DIGITS: i32 = 18;
const LARGEST_BINARY: i128 = i64::MAX as i128;

/// A quantity's text, taken apart.
struct Parts<'t> {
    negative: bool,
    whole: &'t str,
    fraction: &'t str,
    suffix: &'t str,
}

impl<'t> Parts<'t> {
    fn split(text: &'t str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            None => return Err(QuantityError::Form),
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
        };
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, mut suffix) = rest.split_at(digits(rest));
        let mut fraction = "";
        if let Some(tail) = suffix.strip_prefix('.') {
            (fraction, suffix) = tail.split_at(digits(tail));
        }
        let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
        let exponent = suffix[letters..].strip_prefix(['-', '+']).unwrap_or(&suffix[letters..]);
        if digits(exponent) != exponent.len() {
            return Err(QuantityError::Form);
        }
        Ok(Self { negative, whole: whole.trim_start_matches('0'), fraction, suffix })
    }

    /// Whether there is any digit; `0` as whole part has been cut by then.
    fn is_number(&self, text: &str) -> bool {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        unsigned.starts_with(|c: char| c.is_ascii_digit()) || !self.fraction.is_empty()
    }

    /// Digits as apimachinery counts them: a missing whole part counts as one.
    fn length(&self) -> i32 {
        let digits = self.whole.len().max(1) + self.fraction.len();
        i32::try_from(digits).unwrap_or(i32::MAX)
    }
}

/// Base, exponent and format that a suffix stands for.
fn interpret(suffix: &str) -> Option<(u8, i32, Format)> {
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(i) = DECIMAL.iter().position(|s| *s == suffix) {
        return Some((10, (i as i32 - 3) * 3, Format::DecimalSi));
    }
    if let Some(i) = BINARY.iter().position(|s| *s == suffix) {
        return Some((2, (i as i32 + 1) * 10, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let parsed: i64 = exponent.parse().ok()?;
    // Beyond a hundred million digits nothing can be told apart; apimachinery lets the number wrap around.
    Some((10, parsed.clamp(-100_000_000, 100_000_000) as i32, Format::DecimalExponent))
}

/// Reads the digits, keeping the first 37; gives the number and how many digits were dropped.
fn read_digits(digits: impl Iterator<Item = u8> + Clone) -> (i128, i32) {
    let significant = digits.skip_while(|&b| b == b'0');
    let kept = significant.clone().take(DIGITS);
    let mut value = kept.fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    let dropped = significant.clone().skip(DIGITS).count();
    if significant.skip(DIGITS).any(|digit| digit != b'0') {
        value += 1;
    }
    (value, i32::try_from(dropped).unwrap_or(i32::MAX / 4))
}

pub(super) fn parse(text: &str) -> Result<Quantity, QuantityError> {
    let parts = Parts::split(text)?;
    let (base, exponent, format) = interpret(parts.suffix).ok_or(QuantityError::Suffix)?;
    let (value, dropped) = read_digits(parts.whole.bytes().chain(parts.fraction.bytes()));
    let fraction = i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX / 4);
    let mut amount = Quantity { unscaled: value, scale: fraction - dropped, format };
    let fast = if base == 2 {
        amount.unscaled = value.checked_mul(1i128 << exponent).unwrap_or(i128::MAX);
        let precision = 15 - parts.length() - (exponent as f32 * 3.0 / 10.0) as i32 - 1;
        parts.fraction.is_empty() && precision >= 0
    } else {
        amount.scale = amount.scale.saturating_sub(exponent);
        parts.length() <= FAST_DIGITS && amount.scale <= NANO
    };
    if !(fast && i64::try_from(amount.unscaled).is_ok()) {
        // A mere suffix is zero; only apimachinery's slow path asks for digits.
        if !parts.is_number(text) {
            return Err(QuantityError::Number);
        }
        amount = bounded(amount);
    }
    if parts.negative {
        amount.unscaled = -amount.unscaled;
    }
    Ok(amount)
}

/// Rounds up to billionths and applies the limits of binary quantities.
fn bounded(mut amount: Quantity) -> Quantity {
    if amount.unscaled != 0 {
        if amount.scale > NANO {
            let divisor = 10i128.checked_pow((amount.scale - NANO).unsigned_abs());
            amount.unscaled = divisor.map_or(1, |divisor| {
                let remainder = i128::from(amount.unscaled % divisor != 0);
                amount.unscaled / divisor + remainder
            });
            amount.scale = NANO;
        } else if let Some(unscaled) = scaled(amount.unscaled, NANO - amount.scale) {
            amount.unscaled = unscaled;
            amount.scale = NANO;
        }
    }
    if amount.format == Format::BinarySi {
        let largest = Quantity { unscaled: LARGEST_BINARY, scale: 0, format: Format::BinarySi };
        if amount > largest {
            return largest;
        }
        if amount < Quantity::from_integer(1, Format::DecimalSi) && !amount.is_zero() {
            amount.format = Format::DecimalSi;
        }
    }
    amount
}

pub(super) fn print(quantity: &Quantity, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if quantity.is_zero() {
        return f.write_str("0");
    }
    if quantity.format == Format::BinarySi
        && let Some(whole) = whole_number(quantity)
        && !(-1023..=1023).contains(&whole)
    {
        return print_binary(whole, f);
    }
    let (mut number, mut exponent) = (quantity.unscaled, -quantity.scale);
    while number % 10 == 0 {
        number /= 10;
        exponent += 1;
    }
    // The exponent must be a multiple of three; what that adds are at most two zeros.
    let zeros = exponent.rem_euclid(3);
    exponent -= zeros;
    write!(f, "{number}{:0<1$}", "", zeros as usize)?;
    match quantity.format {
        Format::DecimalExponent if exponent == 0 => Ok(()),
        Format::DecimalExponent => write!(f, "e{exponent}"),
        _ => f.write_str(decimal_suffix(exponent)),
    }
}

/// The value, if it is a whole number of at most 38 digits.
fn whole_number(quantity: &Quantity) -> Option<i128> {
    if quantity.scale <= 0 {
        return scaled(quantity.unscaled, -quantity.scale);
    }
    let divisor = 10i128.checked_pow(quantity.scale.unsigned_abs())?;
    (quantity.unscaled % divisor == 0).then(|| quantity.unscaled / divisor)
}

fn print_binary(mut number: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut power = 0;
    while number % 1024 == 0 {
        number /= 1024;
        power += 1;
    }
    let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).unwrap_or(&"");
    write!(f, "{number}{suffix}")
}

/// The suffix of 10^`exponent`; none where there is none, as apimachinery has it.
fn decimal_suffix(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}
