//! Reads JSON with positions. YAML is not quite a superset (escapes, surrogate pairs, numbers), and a JSON reader is many
//! times faster; documents may follow each other with or without line breaks.

use serde_json::Number;

use crate::{
    builder::{Builder, Built},
    error::{ManifestError, Problem, Syntax},
    location::{Location, Span},
    options::Options,
    scalar::Scalar,
};

mod text;

/// Whether a chunk is a JSON object or list as far as its first character tells; comments and one `---` may precede it.
pub(crate) fn looks_like_json(text: &str) -> bool {
    skip_preamble(text).starts_with(['{', '['])
}

fn skip_preamble(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let skipped = match rest.as_bytes() {
            [b'#', ..] => rest.find(['\n', '\r']).map_or("", |end| &rest[end..]),
            [b'-', b'-', b'-', b' ' | b'\t' | b'\r' | b'\n', ..] => &rest[3..],
            _ => return rest,
        };
        rest = skipped.trim_start();
    }
}

pub(crate) struct JsonDocuments<'a> {
    text: &'a str,
    at: usize,
    /// Where the last asked position was; the next one is counted from there.
    seen: Location,
    start: Location,
    options: Options,
}

impl<'a> JsonDocuments<'a> {
    /// `start` is where `text` begins in the input.
    pub(crate) fn new(text: &'a str, start: Location, options: Options) -> JsonDocuments<'a> {
        let at = text.len() - skip_preamble(text).len();
        JsonDocuments { text, at, seen: start, start, options }
    }

    fn document(&mut self) -> Result<Option<Built>, ManifestError> {
        let options = self.options;
        let mut builder = Builder::new(&options);
        loop {
            self.skip_whitespace();
            let start = self.location(self.at);
            let closed = match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    builder.open_map(start, 0)?;
                    self.key_or_end(&mut builder)?
                }
                Some(b'[') => {
                    self.at += 1;
                    builder.open_list(start, 0)?;
                    self.end(&mut builder, b']')?
                }
                _ => {
                    let scalar = self.scalar()?;
                    let end = self.offset(self.at);
                    builder.scalar(scalar, Span { start, end }, 0)?;
                    true
                }
            };
            if closed && self.after_value(&mut builder)? {
                return Ok(builder.finish());
            }
        }
    }

    /// After a complete value: closes what ends here, or moves to the next value. True at the end of the document.
    fn after_value(&mut self, builder: &mut Builder<'_>) -> Result<bool, ManifestError> {
        loop {
            let Some(map) = builder.in_map() else { return Ok(true) };
            self.skip_whitespace();
            let close = if map { b'}' } else { b']' };
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if map {
                        self.skip_whitespace();
                        self.key(builder)?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == close => {
                    self.end(builder, close)?;
                }
                _ => return Err(self.expected(if map { "`,` or `}`" } else { "`,` or `]`" })),
            }
        }
    }

    /// Just after `{`: the first key, or true when the map is empty.
    fn key_or_end(&mut self, builder: &mut Builder<'_>) -> Result<bool, ManifestError> {
        if self.end(builder, b'}')? {
            return Ok(true);
        }
        self.key(builder)?;
        Ok(false)
    }

    fn end(&mut self, builder: &mut Builder<'_>, close: u8) -> Result<bool, ManifestError> {
        self.skip_whitespace();
        if self.peek() != Some(close) {
            return Ok(false);
        }
        self.at += 1;
        builder.close(Some(self.offset(self.at)))?;
        Ok(true)
    }

    fn key(&mut self, builder: &mut Builder<'_>) -> Result<(), ManifestError> {
        let start = self.location(self.at);
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let key = self.string()?;
        builder.key(key, Span { start, end: self.offset(self.at) });
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:` after the key"));
        }
        self.at += 1;
        Ok(())
    }

    fn scalar(&mut self) -> Result<Scalar, ManifestError> {
        let literals = [("true", Scalar::Bool(true)), ("false", Scalar::Bool(false)), ("null", Scalar::Null)];
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, scalar) in literals {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(scalar);
                    }
                }
                Err(self.expected("a value"))
            }
        }
    }

    fn number(&mut self) -> Result<Scalar, ManifestError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let length = bytes[start..]
            .iter()
            .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E'))
            .unwrap_or(bytes.len() - start);
        let text = &self.text[start..start + length];
        let parsed = serde_json::from_str::<Number>(text);
        let number = match parsed {
            Ok(number) => number,
            Err(_) => return Err(self.syntax(start, format!("{text:?} is not a JSON number"))),
        };
        self.at += length;
        Ok(match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Scalar::Int(int),
            (None, Some(int)) => Scalar::Unsigned(int),
            (None, None) if text == "-0" => Scalar::Int(0),
            // serde_json's own floats may be off by the last bit.
            (None, None) => Scalar::Exact(text.parse().ok().and_then(Number::from_f64).unwrap_or(number)),
        })
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Moves past what may stand between documents.
    fn skip_between(&mut self) {
        loop {
            self.skip_whitespace();
            match self.text.as_bytes()[self.at..] {
                [b'#', ..] => self.skip_comment(),
                [b'.', b'.', b'.'] | [b'.', b'.', b'.', b'\r' | b'\n' | b' ', ..] => self.at += 3,
                _ => return,
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    }

    fn skip_line(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    }

    /// After a broken document: the next line that begins one, `from` where it broke on. Never back, so that any number
    /// of broken documents costs one pass.
    fn resume(&mut self, begun: usize, from: usize) {
        let bytes = self.text.as_bytes();
        self.at = from.clamp(begun, bytes.len());
        if self.at > begun && bytes[self.at - 1] == b'\n' && matches!(self.peek(), Some(b'{' | b'[')) {
            return;
        }
        while self.at < self.text.len() {
            self.skip_line();
            if matches!(self.peek(), Some(b'{' | b'[')) {
                return;
            }
        }
    }

    fn offset(&self, at: usize) -> u32 {
        self.start.offset + at as u32
    }

    /// The position of a byte at or after every byte asked for before, except in errors.
    fn location(&mut self, at: usize) -> Location {
        let from = (self.seen.offset - self.start.offset) as usize;
        if at < from {
            self.seen = self.start;
            return self.location(at);
        }
        let passed = &self.text.as_bytes()[from..at];
        let characters = |bytes: &[u8]| bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u32;
        match memchr::memrchr(b'\n', passed) {
            Some(last) => {
                self.seen.line += memchr::memchr_iter(b'\n', passed).count() as u32;
                self.seen.column = 1 + characters(&passed[last + 1..]);
            }
            None => self.seen.column += characters(passed),
        }
        self.seen.offset = self.offset(at);
        self.seen
    }

    fn syntax(&mut self, at: usize, message: String) -> ManifestError {
        ManifestError::new(self.location(at), Problem::Syntax { syntax: Syntax::Json, message })
    }

    fn expected(&mut self, expected: &str) -> ManifestError {
        let found = match self.text[self.at..].chars().next() {
            Some(character) => format!("{character:?}"),
            None => "the end of the document".to_owned(),
        };
        self.syntax(self.at, format!("expected {expected}, found {found}"))
    }
}

impl Iterator for JsonDocuments<'_> {
    type Item = Result<Built, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_between();
        if self.at >= self.text.len() {
            return None;
        }
        let begun = self.at;
        let result = match self.peek() {
            Some(b'{' | b'[') => self.document(),
            _ => Err(self.expected("`{` or `[`")),
        };
        if let Err(error) = &result {
            self.resume(begun, (error.at.offset - self.start.offset) as usize);
        }
        result.transpose()
    }
}
