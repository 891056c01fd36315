//! Regular expressions of Go's `regexp` (RE2 syntax) on the `regex` crate, which has the same semantics (leftmost
//! first, linear time) but another dialect: classes such as `\d` are ASCII in Go, braces that are no repetition are
//! literal, `\Q…\E` quotes. Patterns are translated, and what only the crate would accept is refused.

mod translate;

pub use translate::translate;

use regex::{Captures, Match};
use thiserror::Error;

/// The longest pattern accepted, in bytes.
const MAX_PATTERN: usize = 64 * 1024;
/// Memory for a compiled pattern, in bytes.
const MAX_COMPILED: usize = 8 << 20;

/// A pattern that is not a regular expression of Go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("error parsing regexp: {reason}: `{pattern}`")]
pub struct RegexError {
    reason: String,
    pattern: String,
}

/// A replacement that would make the text longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the result is longer than {0} bytes")]
pub struct TooLong(pub usize);

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub struct Regex(regex::Regex);

impl Regex {
    /// Compiles a pattern written for Go.
    ///
    /// # Errors
    /// [`RegexError`] if Go refuses the pattern, or it is too large.
    pub fn compile(pattern: &str) -> Result<Self, RegexError> {
        let fail = |reason: String| RegexError { reason, pattern: pattern.chars().take(200).collect() };
        if pattern.len() > MAX_PATTERN {
            return Err(fail(format!("pattern longer than {MAX_PATTERN} bytes")));
        }
        let translated = translate(pattern).map_err(|reason| fail(reason.to_owned()))?;
        regex::RegexBuilder::new(&translated)
            .size_limit(MAX_COMPILED)
            .nest_limit(250)
            .build()
            .map(Self)
            .map_err(|error| fail(summary(&error)))
    }

    /// Whether a part of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// `text` with every match replaced. In `replacement`, `$1`, `$name` and `${name}` stand for groups and `$$` for a
    /// dollar sign, unless `literal`.
    ///
    /// # Errors
    /// [`TooLong`] if the result would have more than `limit` bytes.
    pub fn replace_all(
        &self,
        text: &str,
        replacement: &str,
        literal: bool,
        limit: usize,
    ) -> Result<String, TooLong> {
        let (mut result, mut end) = (String::with_capacity(text.len().min(limit)), 0);
        for captures in self.0.captures_iter(text) {
            let whole = captures.get_match();
            result.push_str(&text[end..whole.start()]);
            if literal {
                result.push_str(replacement);
            } else {
                expand(replacement, &captures, &mut result);
            }
            end = whole.end();
            if result.len() > limit {
                return Err(TooLong(limit));
            }
        }
        result.push_str(&text[end..]);
        if result.len() > limit { Err(TooLong(limit)) } else { Ok(result) }
    }
}

/// The crate's message without its drawing of the translated pattern, which the author has never seen.
fn summary(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or(&text);
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Appends a replacement template with its groups filled in, as Go's `Regexp.Expand`.
fn expand(template: &str, captures: &Captures<'_>, result: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after_second) = after.strip_prefix('$') {
            result.push('$');
            rest = after_second;
        } else if let Some((name, after_name)) = group_name(after) {
            if let Some(group) = group(name, captures) {
                result.push_str(group.as_str());
            }
            rest = after_name;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
}

/// Splits `name` or `{name}` from the front of a text.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let (braced, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced { Some((name, rest.strip_prefix('}')?)) } else { Some((name, rest)) }
}

fn group<'t>(name: &str, captures: &Captures<'t>) -> Option<Match<'t>> {
    let is_number = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    if is_number { captures.get(name.parse().ok()?) } else { captures.name(name) }
}

#[cfg(test)]
mod tests;
