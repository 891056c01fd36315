//! The parts of Go's layouts: which of their characters stand for something.

/// A part of a layout that stands for a part of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    LongYear,
    Month { long: bool },
    NumericMonth { fixed: bool },
    Weekday { long: bool },
    Day { fixed: bool, padded: bool },
    YearDay { fixed: bool },
    Hour,
    Hour12 { fixed: bool },
    Minute { fixed: bool },
    Second { fixed: bool },
    Noon { upper: bool },
    Abbreviation,
    Zone(Zone),
    Fraction { digits: usize },
    OptionalFraction,
}

/// The form of a numeric offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) z_for_utc: bool,
    pub(super) colons: bool,
    /// Groups of two digits: hours, minutes, seconds.
    pub(super) groups: usize,
}

/// The part at the start of `layout` with its length.
fn part_at(layout: &[u8]) -> Option<(Part, usize)> {
    let starts = |text: &str| layout.starts_with(text.as_bytes());
    // "Jan" and "Mon" are no parts where a longer word begins.
    let word_ends = || !layout.get(3).is_some_and(u8::is_ascii_lowercase);
    Some(match layout.first()? {
        b'J' if starts("January") => (Part::Month { long: true }, 7),
        b'J' if starts("Jan") && word_ends() => (Part::Month { long: false }, 3),
        b'M' if starts("Monday") => (Part::Weekday { long: true }, 6),
        b'M' if starts("Mon") && word_ends() => (Part::Weekday { long: false }, 3),
        b'M' if starts("MST") => (Part::Abbreviation, 3),
        b'0' => match layout.get(1)? {
            b'1' => (Part::NumericMonth { fixed: true }, 2),
            b'2' => (Part::Day { fixed: true, padded: false }, 2),
            b'3' => (Part::Hour12 { fixed: true }, 2),
            b'4' => (Part::Minute { fixed: true }, 2),
            b'5' => (Part::Second { fixed: true }, 2),
            b'6' => (Part::Year, 2),
            b'0' if layout.get(2) == Some(&b'2') => (Part::YearDay { fixed: true }, 3),
            _ => return None,
        },
        b'1' if starts("15") => (Part::Hour, 2),
        b'1' => (Part::NumericMonth { fixed: false }, 1),
        b'2' if starts("2006") => (Part::LongYear, 4),
        b'2' => (Part::Day { fixed: false, padded: false }, 1),
        b'_' if starts("_2") && !starts("_2006") => (Part::Day { fixed: false, padded: true }, 2),
        b'_' if starts("__2") => (Part::YearDay { fixed: false }, 3),
        b'3' => (Part::Hour12 { fixed: false }, 1),
        b'4' => (Part::Minute { fixed: false }, 1),
        b'5' => (Part::Second { fixed: false }, 1),
        b'P' if starts("PM") => (Part::Noon { upper: true }, 2),
        b'p' if starts("pm") => (Part::Noon { upper: false }, 2),
        b'-' | b'Z' => return zone_at(layout),
        b'.' | b',' => return fraction_at(layout),
        _ => return None,
    })
}

fn zone_at(layout: &[u8]) -> Option<(Part, usize)> {
    let z_for_utc = layout[0] == b'Z';
    [("070000", false, 3), ("07:00:00", true, 3), ("0700", false, 2), ("07:00", true, 2), ("07", false, 1)]
        .into_iter()
        .find(|(form, ..)| layout[1..].starts_with(form.as_bytes()))
        .map(|(form, colons, groups)| (Part::Zone(Zone { z_for_utc, colons, groups }), form.len() + 1))
}

fn fraction_at(layout: &[u8]) -> Option<(Part, usize)> {
    let digit = *layout.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
    let digits = layout[1..].iter().take_while(|&&b| b == digit).count();
    if layout.get(digits + 1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let part = if digit == b'0' { Part::Fraction { digits } } else { Part::OptionalFraction };
    Some((part, digits + 1))
}

/// The next part of a layout in its surroundings.
pub(super) struct Next<'l> {
    /// The literal text before it.
    pub(super) literal: &'l [u8],
    /// The part with its text; none at the end.
    pub(super) part: Option<(Part, &'l [u8])>,
    /// What follows.
    pub(super) rest: &'l [u8],
}

pub(super) fn next_part(layout: &[u8]) -> Next<'_> {
    for start in 0..layout.len() {
        if let Some((part, length)) = part_at(&layout[start..]) {
            let (text, rest) = layout[start..].split_at(length);
            return Next { literal: &layout[..start], part: Some((part, text)), rest };
        }
    }
    Next { literal: layout, part: None, rest: &[] }
}
