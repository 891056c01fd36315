//! Go's `time.Duration`: policies write spans of time as Go does, and Kyverno's operators and functions read and print
//! them with Go's library, to the digit. Nothing here knows a clock.

use std::fmt;
use thiserror::Error;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// The largest absolute value: one more than `i64::MAX`, for the most negative duration.
const LIMIT: u64 = 1 << 63;

/// A span of time in nanoseconds, about ±292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(i64);

/// Why a text is not a duration. The texts are those of Go's `time.ParseDuration`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Not of the form `[-+]<number><unit>…`, or larger than 292 years.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit other than ns, us, µs, ms, s, m, h.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit found.
        unit: String,
        /// The whole text.
        text: String,
    },
}

impl Duration {
    /// A span of so many nanoseconds.
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// The span `seconds` long, cut to whole nanoseconds and to the largest span there is.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * SECOND as f64) as i64)
    }

    /// Nanoseconds.
    pub const fn nanoseconds(self) -> i64 {
        self.0
    }

    /// Seconds with a fraction, rounded as Go's `Duration.Seconds` does.
    pub fn seconds(self) -> f64 {
        let second = SECOND as i64;
        (self.0 / second) as f64 + (self.0 % second) as f64 / 1e9
    }

    /// Reads a duration as Go's `time.ParseDuration` does: `1h30m`, `-1.5s`, `300ms`, `0`.
    ///
    /// # Errors
    /// [`DurationError`] if the text is not one.
    pub fn parse(text: &str) -> Result<Self, DurationError> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total = 0u64;
        while !rest.is_empty() {
            let (part, tail) = parse_part(text, rest)?;
            total = total.checked_add(part).filter(|&t| t <= LIMIT).ok_or_else(invalid)?;
            rest = tail;
        }
        match (negative, total) {
            (true, total) => Ok(Self(0i64.wrapping_sub_unsigned(total))),
            (false, LIMIT) => Err(invalid()),
            (false, total) => Ok(Self(total as i64)),
        }
    }
}

/// Reads one number with its unit from the front of `rest`; gives nanoseconds and what follows.
fn parse_part<'t>(text: &str, rest: &'t str) -> Result<(u64, &'t str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole_length = digits(rest);
    let (whole, mut rest) = rest.split_at(whole_length);
    let mut fraction = "";
    if let Some(tail) = rest.strip_prefix('.') {
        (fraction, rest) = tail.split_at(digits(tail));
    }
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let unit_length = rest.bytes().take_while(|b| *b != b'.' && !b.is_ascii_digit()).count();
    if unit_length == 0 {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let (unit_name, rest) = rest.split_at(unit_length);
    let unit = match unit_name {
        "ns" => 1,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => {
            return Err(DurationError::UnknownUnit { unit: unit_name.to_owned(), text: text.to_owned() });
        }
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    if whole > LIMIT / unit {
        return Err(invalid());
    }
    let nanoseconds = whole * unit + fraction_of(fraction, unit);
    if nanoseconds > LIMIT { Err(invalid()) } else { Ok((nanoseconds, rest)) }
}

/// `0.<digits>` of `unit`, with the rounding of Go: digits that no longer fit are dropped.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0u64, 1f64);
    for digit in digits.bytes() {
        let digit = u64::from(digit - b'0');
        match value.checked_mul(10).and_then(|v| v.checked_add(digit)).filter(|&v| v <= LIMIT) {
            Some(next) if value <= (LIMIT - 1) / 10 => value = next,
            _ => break,
        }
        scale *= 10.0;
    }
    if value == 0 { 0 } else { (value as f64 * (unit as f64 / scale)) as u64 }
}

impl fmt::Display for Duration {
    /// As Go prints it: `1h30m0s`, `1.5s`, `300ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        let (unit, name) = match nanoseconds {
            0 => return f.write_str("0s"),
            n if n < MICROSECOND => return write!(f, "{sign}{n}ns"),
            n if n < MILLISECOND => (MICROSECOND, "µs"),
            n if n < SECOND => (MILLISECOND, "ms"),
            _ => (SECOND, "s"),
        };
        f.write_str(sign)?;
        let mut whole = nanoseconds / unit;
        if nanoseconds >= HOUR {
            write!(f, "{}h", nanoseconds / HOUR)?;
        }
        if nanoseconds >= MINUTE {
            write!(f, "{}m", nanoseconds % HOUR / MINUTE)?;
            whole %= 60;
        }
        write!(f, "{whole}")?;
        let fraction = nanoseconds % unit;
        if fraction > 0 {
            let width = unit.ilog10() as usize;
            write!(f, ".{}", format!("{fraction:0width$}").trim_end_matches('0'))?;
        }
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_as_go() {
        let cases = [
            ("0", "0s"),
            ("0s", "0s"),
            ("-0", "0s"),
            ("5s", "5s"),
            ("1478s", "24m38s"),
            ("-5s", "-5s"),
            ("+5s", "5s"),
            ("5.0s", "5s"),
            ("5.6s", "5.6s"),
            (".5s", "500ms"),
            ("1.s", "1s"),
            ("1.0040s", "1.004s"),
            ("100.00100s", "1m40.001s"),
            ("10ns", "10ns"),
            ("11us", "11µs"),
            ("12µs", "12µs"),
            ("12μs10ns", "12.01µs"),
            ("3h30m", "3h30m0s"),
            ("10.5s4m", "4m10.5s"),
            ("-2m3.4s", "-2m3.4s"),
            ("1h2m3s4ms5us6ns", "1h2m3.004005006s"),
            ("39h9m14.425s", "39h9m14.425s"),
            ("52763797000ns", "52.763797s"),
            ("0.3333333333333333333h", "20m0s"),
            ("9223372036854775807ns", "2562047h47m16.854775807s"),
            ("-9223372036854775808ns", "-2562047h47m16.854775808s"),
            ("0.100000000000000000000h", "6m0s"),
        ];
        for (text, expected) in cases {
            assert_eq!(Duration::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in ["", "-", "s", ".", "-.", ".s", "+.s", "9223372036854775808ns", "3000000h", "1e3s"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
        assert_eq!(Duration::parse("3").unwrap_err().to_string(), "time: missing unit in duration \"3\"");
        assert_eq!(
            Duration::parse("1d").unwrap_err().to_string(),
            "time: unknown unit \"d\" in duration \"1d\""
        );
    }

    proptest! {
        #[test]
        fn what_it_prints_it_reads(nanoseconds: i64) {
            let duration = Duration(nanoseconds);
            prop_assert_eq!(Duration::parse(&duration.to_string()).unwrap(), duration);
        }

        #[test]
        fn never_panics(text in "[-+0-9.nuµmsh ]{0,24}|\\PC{0,24}") {
            let _ = Duration::parse(&text);
        }
    }
}
