//! Whether a scalar is a timestamp to go-yaml v2. Timestamps stay text in JSON, so the only use is to refuse a value under
//! an explicit `!!timestamp` that is none.

/// `2006-1-2`, `2006-1-2 15:4:5[.9]` or `2006-1-2T15:4:5[.9]` with `Z` or an offset (`resolve.go`,
/// `allowedTimestampFormats`).
pub(crate) fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at] != b' ', &text[at + 1..]))),
        None => (text, None),
    };
    is_date(date) && time.is_none_or(|(zoned, time)| is_time(time, zoned))
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Some(year_number), Some(month), Some(day)) = (digits(year, 4), digits(month, 2), digits(day, 2))
    else {
        return false;
    };
    year.len() == 4 && day >= 1 && day <= days_in(year_number, month)
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

fn is_time(text: &str, zoned: bool) -> bool {
    let clock = if zoned {
        match text.strip_suffix('Z') {
            Some(clock) => clock,
            None => {
                let Some(at) = text.find(['+', '-']) else { return false };
                if !is_offset(&text[at + 1..]) {
                    return false;
                }
                &text[..at]
            }
        }
    } else {
        text
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let (Some(hour), Some(minute), Some(second), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let below = |text: &str, bound| digits(text, 2).is_some_and(|number| number < bound);
    hour.len() == 2
        && below(hour, 24)
        && below(minute, 60)
        && below(second, 60)
        && digits(fraction, 40).is_some()
}

fn is_offset(text: &str) -> bool {
    let Some((hours, minutes)) = text.split_once(':') else { return false };
    let pair = |text: &str, most| text.len() == 2 && digits(text, 2).is_some_and(|number| number <= most);
    pair(hours, 24) && pair(minutes, 60)
}

/// The number of at most `most` digits and at least one; long fractions wrap, only their digits matter.
fn digits(text: &str, most: usize) -> Option<u32> {
    if text.is_empty() || text.len() > most {
        return None;
    }
    text.bytes().try_fold(0u32, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
    })
}
