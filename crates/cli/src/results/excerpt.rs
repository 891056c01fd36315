//! Where a value is written, and the lines around it: kept beside the verdict because the file itself may be gone, or
//! be standard input, by the time the verdict is printed.

use std::ops::Range;

use meshward_manifest::{Location, Span};

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its line, from 1.
    pub(crate) line: u32,
    /// Its column in characters, from 1.
    pub(crate) column: u32,
    /// The last line of it.
    pub(crate) end_line: u32,
    /// The column just after it.
    pub(crate) end_column: u32,
    /// Bytes from the start of the file.
    pub(crate) offset: u32,
    /// Bytes from the start of the file to its end.
    pub(crate) end: u32,
}

/// Text of a file, whole or a document of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The bytes.
    pub(crate) text: &'a [u8],
    /// Where in the file they begin.
    pub(crate) start: Location,
}

impl<'a> Source<'a> {
    /// A whole file.
    pub(crate) fn whole(text: &'a [u8]) -> Self {
        Self { text, start: Location::START }
    }

    /// The position of a span of the file.
    pub(crate) fn position(&self, span: Span) -> Position {
        let marked = self.slice(span.start.offset, span.end);
        let (mut end_line, mut end_column) = (span.start.line, span.start.column);
        // A block ends with its last value; it is the first line that matters, so a long one is not walked through.
        match marked.iter().position(|byte| *byte == b'\n') {
            None => end_column += String::from_utf8_lossy(marked).chars().count() as u32,
            Some(_) => {
                let newlines = marked.iter().filter(|byte| **byte == b'\n').count() as u32;
                let last = marked.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
                end_line += newlines;
                end_column = 1 + String::from_utf8_lossy(last).chars().count() as u32;
            }
        }
        let (line, column) = (span.start.line, span.start.column);
        Position { line, column, end_line, end_column, offset: span.start.offset, end: span.end }
    }

    /// The bytes between two offsets of the file, as far as they are here.
    fn slice(&self, from: u32, to: u32) -> &'a [u8] {
        let base = self.start.offset;
        let at = |offset: u32| (offset.saturating_sub(base) as usize).min(self.text.len());
        &self.text[at(from)..at(to).max(at(from))]
    }

    /// The lines from the first to the last of these positions; `None` if that is nothing.
    pub(crate) fn excerpt(&self, positions: impl Iterator<Item = Position>) -> Option<Excerpt> {
        let mut positions: Vec<Position> = positions.collect();
        positions.sort_by_key(|position| position.offset);
        let (first, last) = (positions.first()?, positions.last()?);
        let from = self.line_start(first.offset);
        let to = self.line_end(last.offset);
        if to - from > Excerpt::LONGEST {
            return None;
        }
        let text = String::from_utf8(self.text[from..to].to_vec()).ok()?;
        Some(Excerpt { text, line: first.line, offset: self.start.offset + from as u32 })
    }

    fn line_start(&self, offset: u32) -> usize {
        let at = (offset.saturating_sub(self.start.offset) as usize).min(self.text.len());
        self.text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, offset: u32) -> usize {
        let at = (offset.saturating_sub(self.start.offset) as usize).min(self.text.len());
        self.text[at..].iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |length| at + length)
    }
}

/// Some whole lines of a file.
#[derive(Debug, Clone)]
pub(crate) struct Excerpt {
    /// The lines.
    pub(crate) text: String,
    /// The number of the first.
    pub(crate) line: u32,
    /// Where in the file they begin, in bytes.
    offset: u32,
}

impl Excerpt {
    /// Longer ones are not kept: a snippet of a large object must not cost the object.
    const LONGEST: usize = 32 << 10;

    /// Where a position is in the text: its first line, at least one character, on character boundaries.
    pub(crate) fn range(&self, position: &Position) -> Option<Range<usize>> {
        let from = position.offset.checked_sub(self.offset)? as usize;
        let rest = self.text.get(from..)?;
        let line = rest.find('\n').unwrap_or(rest.len());
        let length = (position.end.saturating_sub(position.offset) as usize).min(line);
        let length = (0..=length).rev().find(|length| rest.is_char_boundary(*length)).unwrap_or(0);
        let first = rest.chars().next().filter(|first| *first != '\n').map_or(0, char::len_utf8);
        Some(from..from + length.max(first))
    }
}
