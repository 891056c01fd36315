//! JSON strings. Go's rules where they are laxer than the standard: half a surrogate pair becomes U+FFFD.

use super::JsonDocuments;
use crate::error::ManifestError;

impl JsonDocuments<'_> {
    /// The string whose opening quote is at `self.at`.
    pub(super) fn string(&mut self) -> Result<String, ManifestError> {
        let opening = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\') || byte < 0x20)
            else {
                return Err(self.syntax(opening, "this string has no closing quote".to_owned()));
            };
            text.push_str(&rest[..length]);
            self.at += length;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => {
                    let message = "a line break or control character in a string must be escaped".to_owned();
                    return Err(self.syntax(self.at, message));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, ManifestError> {
        let start = self.at;
        self.at += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                let message = r#"unknown escape; accepted are \" \\ \/ \b \f \n \r \t \uXXXX"#.to_owned();
                return Err(self.syntax(start, message));
            }
        })
    }

    fn unicode(&mut self, start: usize) -> Result<char, ManifestError> {
        let Some(unit) = self.hex4() else {
            return Err(self.syntax(start, r"\u needs four hexadecimal digits".to_owned()));
        };
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let high = unit < 0xdc00;
        let before_low = self.at;
        if high && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            if let Some(low @ 0xdc00..=0xdfff) = self.hex4() {
                let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before_low;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        let mut unit = 0;
        for digit in digits {
            unit = unit * 16 + char::from(*digit).to_digit(16)?;
        }
        self.at += 4;
        Some(unit)
    }
}
