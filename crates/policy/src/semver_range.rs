//! Ranges of semantic versions as blang/semver v4 reads them, which Kyverno's `semver_compare` calls: comparisons
//! separated by spaces must all hold, `||` separates alternatives, `1.2.x` stands for a range.

use semver::Version;
use std::cmp::Ordering;
use thiserror::Error;

/// Why a text is no range. The words follow blang/semver.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RangeError {
    /// An alternative without comparisons at the start.
    #[error("First element in range is '||'")]
    EmptyFirst,
    /// An alternative without comparisons at the end, or nothing at all.
    #[error("Last element in range is '||'")]
    EmptyLast,
    /// A comparison without a version.
    #[error("Could not get version from string: {0:?}")]
    NoVersion(String),
    /// An operator other than = == != ! < <= > >=.
    #[error("Could not parse Range {0:?}: unknown comparator, accepted: = == != ! < <= > >=")]
    Comparator(String),
    /// Not `major.minor.patch[-pre][+build]`.
    #[error("Could not parse Range {part:?}: could not parse version: {reason}")]
    Version {
        /// The comparison.
        part: String,
        /// Why.
        reason: String,
    },
}

/// A comparison: the orders that satisfy it, and the version to compare with.
#[derive(Debug, Clone)]
struct Comparison {
    accepts: &'static [Ordering],
    version: Version,
}

/// A range: alternatives of comparisons that must all hold.
#[derive(Debug, Clone)]
pub struct Range(Vec<Vec<Comparison>>);

impl Range {
    /// Reads a range such as `>=1.2.0 <2.0.0 || 3.x`.
    ///
    /// # Errors
    /// [`RangeError`] if it is none.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let parts = split(text);
        if parts.first().is_some_and(|part| part == "||") {
            return Err(RangeError::EmptyFirst);
        }
        if parts.last().is_none_or(|part| part == "||") {
            return Err(RangeError::EmptyLast);
        }
        let alternatives = parts.split(|part| part == "||");
        let parse = |alternative: &[String]| {
            let mut comparisons = Vec::new();
            for part in alternative {
                for expanded in expand(part)? {
                    comparisons.push(comparison(&expanded)?);
                }
            }
            Ok(comparisons)
        };
        // Two "||" in a row leave an alternative that nothing satisfies.
        alternatives
            .filter(|alternative| !alternative.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether the version lies in the range; build metadata does not count.
    pub fn contains(&self, version: &Version) -> bool {
        let holds = |c: &Comparison| c.accepts.contains(&version.cmp_precedence(&c.version));
        self.0.iter().any(|alternative| alternative.iter().all(holds))
    }
}

/// Splits at spaces, but not at those after an operator. A part of one character is lost, as in the original.
fn split(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut start, mut last) = (0, 0u8);
    for (index, byte) in text.bytes().enumerate() {
        if byte != b' ' {
            last = byte;
        } else if !matches!(last, b'>' | b'<' | b'=') {
            if start + 1 < index {
                parts.push(text[start..index].replace(' ', ""));
            }
            start = index + 1;
        }
    }
    if start + 1 < text.len() {
        parts.push(text[start..].replace(' ', ""));
    }
    parts
}

/// Operator and version.
fn separate(part: &str) -> Result<(&str, &str), RangeError> {
    let digit =
        part.find(|c: char| c.is_ascii_digit()).ok_or_else(|| RangeError::NoVersion(part.to_owned()))?;
    Ok((part[..digit].trim(), &part[digit..]))
}

/// Replaces `1.2.x` and `1.x` by comparisons with whole versions. As in the original, any part with an `x` counts,
/// also a pre-release called `next`.
fn expand(part: &str) -> Result<Vec<String>, RangeError> {
    if !part.contains('x') {
        return Ok(vec![part.to_owned()]);
    }
    let (operator, version) = separate(part)?;
    let mut lowest = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    if lowest.split('.').count() == 2 {
        lowest.push_str(".0");
    }
    let next = || {
        let components: Vec<&str> = version.split('.').collect();
        match (components.len(), components.last()) {
            (3, Some(&"x")) => increment(&lowest, 1),
            (2, Some(&"x")) => increment(&lowest, 0),
            _ => String::new(),
        }
    };
    Ok(match operator {
        ">" => vec![format!(">={}", next())],
        ">=" => vec![format!(">={lowest}")],
        "<" => vec![format!("<{lowest}")],
        "<=" => vec![format!("<{}", next())],
        "" | "=" | "==" => vec![format!(">={lowest}"), format!("<{}", next())],
        "!" | "!=" => vec![format!("<{lowest}"), format!(">={}", next())],
        _ => vec![lowest],
    })
}

/// The version with one component one higher; empty if that is no number.
fn increment(version: &str, index: usize) -> String {
    let mut components: Vec<String> = version.split('.').map(str::to_owned).collect();
    let Some(higher) = components[index].parse::<i64>().ok().and_then(|number| number.checked_add(1)) else {
        return String::new();
    };
    components[index] = higher.to_string();
    components.join(".")
}

fn comparison(part: &str) -> Result<Comparison, RangeError> {
    use Ordering::{Equal, Greater, Less};
    let (operator, version) = separate(part)?;
    let accepts: &[Ordering] = match operator {
        "" | "=" | "==" => &[Equal],
        "!" | "!=" => &[Less, Greater],
        "<" => &[Less],
        "<=" => &[Less, Equal],
        ">" => &[Greater],
        ">=" => &[Greater, Equal],
        _ => return Err(RangeError::Comparator(part.to_owned())),
    };
    let version = Version::parse(version)
        .map_err(|error| RangeError::Version { part: part.to_owned(), reason: error.to_string() })?;
    Ok(Comparison { accepts, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn contains_as_blang_semver() {
        let cases = [
            ("4.1.3", ">=4.1.x", true),
            ("4.1.3", "!4.x.x", false),
            ("1.8.6", ">1.0.0 <2.0.0", true),
            ("2.1.5", "<2.0.0 || >=3.0.0", false),
            ("3.5.3", ">1.0.0 <2.0.0 || >3.0.0 !4.2.1", true),
            ("4.2.1", ">1.0.0 <2.0.0 || >3.0.0 !4.2.1", false),
            ("4.1.3", "<4.1.4 >4.1.2 !4.1.3", false),
            ("1.2.9", "1.2.x", true),
            ("1.3.0", "1.2.x", false),
            ("1.9.9", "1.x", true),
            ("1.3.0", ">1.2.x", true),
            ("1.2.9", ">1.2.x", false),
            ("1.2.9", "<=1.2.x", true),
            ("1.2.0-beta", "<1.2.0", true),
            ("1.2.0+build", "1.2.0", true),
            ("1.2.3", ">= 1.2.3", true),
            ("1.0.0-alpha.10", ">1.0.0-alpha.9", true),
        ];
        for (version, range, expected) in cases {
            let range_parsed = Range::parse(range).unwrap_or_else(|error| panic!("{range}: {error}"));
            assert_eq!(
                range_parsed.contains(&Version::parse(version).unwrap()),
                expected,
                "{version} in {range}"
            );
        }
    }

    #[test]
    fn refuses_what_blang_semver_refuses() {
        for range in [
            "",
            "||",
            "|| 1.0.0",
            "1.0.0 ||",
            "~1.0.0",
            "1.0",
            "v1.0.0",
            "abc",
            "=>1.0.0",
            "1.0.0-next",
            "01.0.0",
        ] {
            assert!(Range::parse(range).is_err(), "{range}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(range in "([0-9.x<>=!| v-]|\\PC){0,24}") {
            if let Ok(range) = Range::parse(&range) {
                let _ = range.contains(&Version::new(1, 2, 3));
            }
        }
    }
}
