//! Go's layouts: the reference time `Mon Jan 2 15:04:05 MST 2006` written as the text is.

use super::parts::{Next, Part, Zone, next_part};
use super::{DAY, Moment, TimeError, days_in, days_of, is_leap};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Why a part was not read.
enum Fault {
    Form,
    Range(&'static str),
}

#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanoseconds: u32,
    afternoon: Option<bool>,
    /// Whether the text says `Z` or `UTC`, which outweighs any other offset.
    utc: bool,
    /// Seconds east of UTC that the text says.
    offset: Option<i32>,
    /// The offset of an abbreviation, which shows but does not shift.
    shown_offset: Option<i32>,
}

pub(super) fn parse(layout: &str, value: &str) -> Result<Moment, TimeError> {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mismatch = |found: &[u8], expected: &[u8]| TimeError::Part {
        value: value.to_owned(),
        layout: layout.to_owned(),
        found: lossy(found),
        expected: lossy(expected),
    };
    let invalid = |reason: String| TimeError::Value { value: value.to_owned(), reason };
    let (mut rest, mut text) = (layout.as_bytes(), value.as_bytes());
    let mut fields = Fields::default();
    loop {
        let Next { literal, part, rest: after } = next_part(rest);
        text = skip(text, literal).map_err(|found| mismatch(found, literal))?;
        let Some((part, part_text)) = part else {
            if text.is_empty() {
                return fields.moment().map_err(|reason| invalid(reason.to_owned()));
            }
            return Err(invalid(format!("extra text: {:?}", lossy(text))));
        };
        rest = after;
        let held = text;
        match fields.read(part, &mut text, rest) {
            Ok(()) => {}
            Err(Fault::Form) => return Err(mismatch(held, part_text)),
            Err(Fault::Range(what)) => return Err(invalid(format!("{what} out of range"))),
        }
    }
}

/// Reads the literal text of a layout; a space stands for any number of them.
fn skip<'t>(mut text: &'t [u8], mut literal: &[u8]) -> Result<&'t [u8], &'t [u8]> {
    let trim = |bytes: &[u8]| bytes.iter().take_while(|b| **b == b' ').count();
    while let Some(&expected) = literal.first() {
        if expected == b' ' {
            if text.first().is_some_and(|b| *b != b' ') {
                return Err(text);
            }
            literal = &literal[trim(literal)..];
            text = &text[trim(text)..];
        } else if text.first() == Some(&expected) {
            (literal, text) = (&literal[1..], &text[1..]);
        } else {
            return Err(text);
        }
    }
    Ok(text)
}

/// Takes a number of at most `most` digits, exactly so many if `fixed`.
fn number(text: &mut &[u8], most: usize, fixed: bool) -> Result<u32, Fault> {
    let digits = text.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || (fixed && digits != most) {
        return Err(Fault::Form);
    }
    let value = text[..digits].iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    *text = &text[digits..];
    Ok(value)
}

fn below(value: u32, limit: u32, what: &'static str) -> Result<u32, Fault> {
    if value < limit { Ok(value) } else { Err(Fault::Range(what)) }
}

fn name(text: &mut &[u8], names: &[&str], long: bool) -> Result<u32, Fault> {
    for (index, name) in names.iter().enumerate() {
        let name = if long { name } else { &name[..3] };
        if text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())) {
            *text = &text[name.len()..];
            return Ok(index as u32);
        }
    }
    Err(Fault::Form)
}

/// Takes `.` or `,` and `digits` digits as nanoseconds; digits beyond the ninth are dropped.
fn nanoseconds(text: &mut &[u8], digits: usize) -> Result<u32, Fault> {
    let fraction = text.get(..digits + 1).ok_or(Fault::Form)?;
    if !matches!(fraction[0], b'.' | b',') || !fraction[1..].iter().all(u8::is_ascii_digit) {
        return Err(Fault::Form);
    }
    let value = (1..10).fold(0, |value, i| value * 10 + fraction.get(i).map_or(0, |d| u32::from(d - b'0')));
    *text = &text[digits + 1..];
    Ok(value)
}

/// The number of digits after a `.` or `,` at the start.
fn fraction_digits(text: &[u8]) -> usize {
    match text.first() {
        Some(b'.' | b',') => text[1..].iter().take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    }
}

impl Fields {
    fn read(&mut self, part: Part, text: &mut &[u8], layout: &[u8]) -> Result<(), Fault> {
        match part {
            Part::Year => {
                let year = i64::from(number(text, 2, true)?);
                self.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Part::LongYear => self.year = i64::from(number(text, 4, true)?),
            Part::Month { long } => self.month = Some(name(text, &MONTHS, long)? + 1),
            Part::NumericMonth { fixed } => {
                let month = number(text, 2, fixed)?;
                self.month =
                    Some(if month == 0 { Err(Fault::Range("month")) } else { below(month, 13, "month") }?);
            }
            Part::Weekday { long } => {
                name(text, &DAYS, long)?;
            }
            Part::Day { fixed, padded } => {
                *text = text.strip_prefix(b" ").filter(|_| padded).unwrap_or(text);
                self.day = Some(number(text, 2, fixed)?);
            }
            Part::YearDay { fixed } => {
                for _ in 0..2 {
                    *text = text.strip_prefix(b" ").filter(|_| !fixed).unwrap_or(text);
                }
                self.year_day = Some(number(text, 3, fixed)?);
            }
            Part::Abbreviation => self.read_abbreviation(text)?,
            Part::Zone(zone) if zone.z_for_utc && text.starts_with(b"Z") => {
                self.utc = true;
                *text = &text[1..];
            }
            Part::Zone(zone) => self.offset = Some(read_zone(zone, text)?),
            _ => self.read_time(part, text, layout)?,
        }
        Ok(())
    }

    fn read_time(&mut self, part: Part, text: &mut &[u8], layout: &[u8]) -> Result<(), Fault> {
        match part {
            Part::Hour => self.hour = below(number(text, 2, false)?, 24, "hour")?,
            Part::Hour12 { fixed } => self.hour = below(number(text, 2, fixed)?, 13, "hour")?,
            Part::Minute { fixed } => self.minute = below(number(text, 2, fixed)?, 60, "minute")?,
            Part::Second { fixed } => {
                self.second = below(number(text, 2, fixed)?, 60, "second")?;
                // A fraction in the text needs none in the layout.
                let digits = fraction_digits(text);
                let next = next_part(layout).part.map(|(part, _)| part);
                if digits > 0 && !matches!(next, Some(Part::Fraction { .. } | Part::OptionalFraction)) {
                    self.nanoseconds = nanoseconds(text, digits)?;
                }
            }
            Part::Fraction { digits } => self.nanoseconds = nanoseconds(text, digits)?,
            Part::OptionalFraction => match fraction_digits(text) {
                0 => {}
                digits => self.nanoseconds = nanoseconds(text, digits)?,
            },
            Part::Noon { upper } => {
                let afternoon = match (text.get(..2), upper) {
                    (Some(b"PM"), true) | (Some(b"pm"), false) => true,
                    (Some(b"AM"), true) | (Some(b"am"), false) => false,
                    _ => return Err(Fault::Form),
                };
                self.afternoon = Some(afternoon || self.afternoon == Some(true));
                *text = &text[2..];
            }
            _ => {}
        }
        Ok(())
    }

    fn read_abbreviation(&mut self, text: &mut &[u8]) -> Result<(), Fault> {
        if text.starts_with(b"UTC") {
            self.utc = true;
            *text = &text[3..];
            return Ok(());
        }
        let length = abbreviation(text).ok_or(Fault::Form)?;
        let (name, rest) = text.split_at(length);
        let hours =
            name.strip_prefix(b"GMT").and_then(|hours| std::str::from_utf8(hours).ok()?.parse::<i32>().ok());
        self.shown_offset = Some(hours.unwrap_or(0) * 3600);
        *text = rest;
        Ok(())
    }

    fn moment(&self) -> Result<Moment, &'static str> {
        let hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let (month, day) = match self.year_day {
            Some(year_day) => self.date_of_year(year_day)?,
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        if day < 1 || day > days_in(month, self.year) {
            return Err("day out of range");
        }
        let time_of_day = i64::from(hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let local = days_of(self.year, month, day) * DAY + time_of_day;
        let offset = if self.utc { 0 } else { self.offset.unwrap_or(0) };
        let shown = if self.utc { None } else { self.offset.or(self.shown_offset) };
        Ok(Moment {
            seconds: local - i64::from(offset),
            nanoseconds: self.nanoseconds,
            offset: shown.unwrap_or(0),
        })
    }

    fn date_of_year(&self, year_day: u32) -> Result<(u32, u32), &'static str> {
        if year_day < 1 || year_day > 365 + u32::from(is_leap(self.year)) {
            return Err("day-of-year out of range");
        }
        let (mut month, mut day) = (1, year_day);
        while day > days_in(month, self.year) {
            day -= days_in(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|seen| seen != month) {
            return Err("day-of-year does not match month");
        }
        if self.day.is_some_and(|seen| seen != day) {
            return Err("day-of-year does not match day");
        }
        Ok((month, day))
    }
}

fn read_zone(zone: Zone, text: &mut &[u8]) -> Result<i32, Fault> {
    let negative = match text.first() {
        Some(b'+') => false,
        Some(b'-') => true,
        _ => return Err(Fault::Form),
    };
    *text = &text[1..];
    let mut offset = 0;
    let groups = [
        ("time zone offset hour", 24, 3600),
        ("time zone offset minute", 60, 60),
        ("time zone offset second", 60, 1),
    ];
    for (index, (what, largest, unit)) in groups.into_iter().take(zone.groups).enumerate() {
        if zone.colons && index > 0 {
            *text = text.strip_prefix(b":").ok_or(Fault::Form)?;
        }
        offset += below(number(text, 2, true)?, largest + 1, what)? as i32 * unit;
    }
    Ok(if negative { -offset } else { offset })
}

/// The length of a zone's abbreviation at the start: three to five capitals, `GMT+3`, `+03`.
fn abbreviation(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours(rest));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_hours(text)).filter(|length| *length > 0);
    }
    match text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count() {
        3 => Some(3),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        5 if text[4] == b'T' => Some(5),
        _ => None,
    }
}

/// The length of `+3` or `-11` at the start, zero if there is none or it is above 23.
fn signed_hours(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let digits = text[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let hours = std::str::from_utf8(&text[1..=digits]).ok().and_then(|digits| digits.parse::<u32>().ok());
    if hours.is_some_and(|hours| hours <= 23) { digits + 1 } else { 0 }
}
