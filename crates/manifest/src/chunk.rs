//! Cuts a stream into documents before anything is parsed. A line `---` or `...` at column one ends a document whatever
//! is open (YAML 1.2.2, 9.1.4), so a broken document cannot swallow its neighbours, each document's text can be dropped or
//! handed to another thread, and limits hold per document.

use std::str;

use crate::{
    error::{ManifestError, Problem},
    location::Location,
    options::Limits,
};

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of one document, or of several JSON documents that follow each other.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it begins in the input.
    pub start: Location,
}

impl<'a> Chunk<'a> {
    /// The bytes, as they stand in the input.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The text, if it is UTF-8, holds only characters that a manifest may hold and is within the limit of bytes.
    pub(crate) fn text(&self, limits: &Limits) -> Result<&'a str, ManifestError> {
        if self.bytes.len() > limits.bytes {
            let problem = Problem::Limit { what: "bytes", limit: limits.bytes };
            return Err(ManifestError::new(self.start, problem));
        }
        let text = str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            self.error(at, Problem::InvalidUtf8 { byte: self.bytes.get(at).copied().unwrap_or_default() })
        })?;
        match first_control(text) {
            Some((at, character)) => Err(self.error(at, Problem::ControlCharacter { character })),
            None => Ok(text),
        }
    }

    fn error(&self, at: usize, problem: Problem) -> ManifestError {
        let before = &self.bytes[..at];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let location = Location {
            line: self.start.line + memchr::memchr_iter(b'\n', before).count() as u32,
            column: 1 + String::from_utf8_lossy(&before[line_start..]).chars().count() as u32,
            offset: self.start.offset + at as u32,
        };
        ManifestError::new(location, problem)
    }
}

/// The first character that go-yaml's reader refuses (`readerc.go`: YAML 1.1's printable set).
fn first_control(text: &str) -> Option<(usize, char)> {
    let suspicious = |byte: u8| {
        (byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || matches!(byte, 0x7f | 0xc2 | 0xef)
    };
    let first = text.bytes().position(suspicious)?;
    let refused = |character: char| match character {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{7f}' | '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_control(),
    };
    text[first..]
        .char_indices()
        .find(|(_, character)| refused(*character))
        .map(|(at, found)| (first + at, found))
}

/// The documents of an input, unparsed. Each chunk is self-contained, so they may be read in any order.
#[derive(Debug, Clone)]
pub struct Chunks<'a> {
    rest: &'a [u8],
    start: Location,
    /// What is wrong with the input as a whole.
    refused: Option<ManifestError>,
}

impl<'a> Chunks<'a> {
    /// Cuts `input`. A byte order mark is skipped; UTF-16, UTF-32 and inputs over 4 GiB are one error.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Chunks<'a> {
        let refuse = |problem| Chunks {
            rest: &[],
            start: Location::START,
            refused: Some(ManifestError::new(Location::START, problem)),
        };
        if u32::try_from(input.len()).is_err() {
            return refuse(Problem::Limit { what: "bytes", limit: u32::MAX as usize });
        }
        if let Some(found) = wide_encoding(input) {
            return refuse(Problem::Encoding { found });
        }
        let rest = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
        let offset = (input.len() - rest.len()) as u32;
        Chunks { rest, start: Location { offset, ..Location::START }, refused: None }
    }
}

pub(crate) fn wide_encoding(input: &[u8]) -> Option<&'static str> {
    match input {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [first, 0, second, 0, ..] | [0, first, 0, second, ..] if is_text(*first) && is_text(*second) => {
            Some("UTF-16 without a byte order mark")
        }
        _ => None,
    }
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Result<Chunk<'a>, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refused.take() {
            return Some(Err(error));
        }
        if self.rest.is_empty() {
            return None;
        }
        let (length, lines) = first_document(self.rest, false);
        let (bytes, rest) = self.rest.split_at(length);
        let chunk = Chunk { bytes, start: self.start };
        self.rest = rest;
        self.start =
            Location { line: self.start.line + lines, column: 1, offset: self.start.offset + length as u32 };
        Some(Ok(chunk))
    }
}

/// Bytes and line breaks of the first document: up to the next `---`, or through the next `...`. Comments, blank lines
/// and directives before a document's own `---` belong to it; `started` says that a document is open already.
pub(crate) fn first_document(bytes: &[u8], mut started: bool) -> (usize, u32) {
    let mut at = 0;
    let mut lines = 0;
    while at < bytes.len() {
        let line_end = memchr::memchr(b'\n', &bytes[at..]).map(|newline| at + newline + 1);
        let end = line_end.unwrap_or(bytes.len());
        let line = &bytes[at..end];
        if is_marker(line, b"---") {
            if started {
                return (at, lines);
            }
            started = true;
        } else if is_marker(line, b"...") {
            return (end, lines + u32::from(line_end.is_some()));
        } else {
            started = started || !is_preamble(line);
        }
        at = end;
        lines += u32::from(line_end.is_some());
    }
    (bytes.len(), lines)
}

pub(crate) fn is_marker(line: &[u8], marker: &[u8]) -> bool {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    line.strip_prefix(marker).is_some_and(|rest| matches!(rest, [] | [b' ' | b'\t' | b'\r' | b'\n', ..]))
}

/// A carriage return alone is a line break too, so what follows it might be anything.
fn is_preamble(line: &[u8]) -> bool {
    if memchr::memchr(b'\r', line.trim_ascii_end()).is_some() {
        return false;
    }
    matches!(line.trim_ascii_start(), [] | [b'#', ..]) || line.first() == Some(&b'%')
}
