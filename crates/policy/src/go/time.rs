//! Go's `time.Time`, as far as policies see it: parsed by a layout, printed as RFC 3339, added to, compared. Pure
//! calendar arithmetic; the present moment comes from outside.

mod layout;
mod parts;

use crate::duration::Duration;
use std::fmt;
use thiserror::Error;

/// The layout of RFC 3339 in Go's notation.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

const DAY: i64 = 86_400;
/// Seconds from 1 January of year 1 to 1970, both 00:00 UTC; Go rounds times from there.
const YEAR_ONE: i64 = 719_162 * DAY;

/// A text that a layout does not fit. The words are Go's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    /// A part of the text is not what the layout has there.
    #[error("parsing time {value:?} as {layout:?}: cannot parse {found:?} as {expected:?}")]
    Part {
        /// The text.
        value: String,
        /// The layout.
        layout: String,
        /// What is left of the text.
        found: String,
        /// The part of the layout.
        expected: String,
    },
    /// The parts fit but are no time.
    #[error("parsing time {value:?}: {reason}")]
    Value {
        /// The text.
        value: String,
        /// Why.
        reason: String,
    },
}

/// A moment with the offset from UTC in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// Nanoseconds of the second, below 10^9.
    pub nanoseconds: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

/// Day and time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is before 1.
    pub year: i64,
    /// The month from 1.
    pub month: u32,
    /// The day of the month from 1.
    pub day: u32,
    /// Days since Sunday.
    pub weekday: u32,
    /// The hour.
    pub hour: u32,
    /// The minute.
    pub minute: u32,
    /// The second.
    pub second: u32,
}

impl Moment {
    /// Reads a time in a layout of Go's notation, such as [`RFC3339`]. A zone's abbreviation that is not `UTC` counts as
    /// an unknown offset of zero, as in Go where it is not the local zone's.
    ///
    /// # Errors
    /// [`TimeError`] if the text does not fit.
    pub fn parse(layout: &str, value: &str) -> Result<Self, TimeError> {
        layout::parse(layout, value)
    }

    /// So many seconds after 1970, in UTC.
    pub const fn from_unix(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0, offset: 0 }
    }

    /// The same moment in UTC.
    pub const fn utc(self) -> Self {
        Self { offset: 0, ..self }
    }

    /// The moment `duration` later.
    pub fn plus(self, duration: Duration) -> Self {
        self.at(self.since_epoch() + i128::from(duration.nanoseconds()))
    }

    /// The time from `earlier` to this, at most what a duration holds.
    pub fn since(self, earlier: Self) -> Duration {
        let difference = self.since_epoch() - earlier.since_epoch();
        let nanoseconds = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Duration::from_nanoseconds(nanoseconds as i64)
    }

    /// This moment rounded down to a multiple of `duration` since the year 1; unchanged for spans that are not positive.
    pub fn truncate(self, duration: Duration) -> Self {
        let step = i128::from(duration.nanoseconds());
        if step <= 0 {
            return self;
        }
        let since_year_one = self.since_epoch() + i128::from(YEAR_ONE) * 1_000_000_000;
        self.at(self.since_epoch() - since_year_one.rem_euclid(step))
    }

    /// Whether this is before `other`, wherever they are shown.
    pub fn is_before(self, other: Self) -> bool {
        self.since_epoch() < other.since_epoch()
    }

    /// Day and time of day where the moment is shown.
    pub fn civil(self) -> Civil {
        let local = self.seconds.saturating_add(i64::from(self.offset));
        let (days, second) = (local.div_euclid(DAY), local.rem_euclid(DAY) as u32);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            weekday: (days + 4).rem_euclid(7) as u32,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }

    fn since_epoch(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    fn at(self, nanoseconds: i128) -> Self {
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        Self {
            seconds: seconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64,
            nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32,
            offset: self.offset,
        }
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 without fractions of a second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        let sign = if c.year < 0 { "-" } else { "" };
        write!(f, "{sign}{:04}-{:02}-{:02}", c.year.unsigned_abs(), c.month, c.day)?;
        write!(f, "T{:02}:{:02}:{:02}", c.hour, c.minute, c.second)?;
        let minutes = self.offset / 60;
        if self.offset == 0 {
            return f.write_str("Z");
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

/// Days since 1970 of a date in the Gregorian calendar, continued backwards (H. Hinnant's algorithm: years start in
/// March, so that leap days come last).
fn days_of(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date so many days after 1970.
fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: u32, year: i64) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests;
