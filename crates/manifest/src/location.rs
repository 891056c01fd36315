//! Where in the source something is. Errors, warnings and spans share these two types, so that whoever renders a
//! snippet needs nothing else.

use std::{fmt, ops::Range};

/// A position in the input. Inputs over 4 GiB are refused, so 32 bits are enough and a span table stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters (Unicode scalar values), from 1.
    pub column: u32,
    /// Bytes from the start of the input, a byte order mark included.
    pub offset: u32,
}

impl Location {
    /// The first character of an input.
    pub const START: Location = Location { line: 1, column: 1, offset: 0 };
}

impl fmt::Display for Location {
    /// `line 3, column 5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A stretch of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first character.
    pub start: Location,
    /// Bytes from the start of the input to just after the last character.
    pub end: u32,
}

impl Span {
    /// Nothing, at `start`: the place of a value that was left out (`key:`).
    #[must_use]
    pub fn empty(start: Location) -> Span {
        Span { start, end: start.offset }
    }

    /// The bytes of the input.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start.offset as usize..self.end as usize
    }
}
