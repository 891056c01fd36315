//! Splits an expression into tokens, each with its place.

use super::ast::Comparison;
use super::{Dialect, ParseError};
use serde_json::Value;
use std::borrow::Cow;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'e> {
    Identifier(&'e str),
    Quoted(String),
    /// A JSON literal or a raw string.
    Literal(Value),
    Number(i64),
    Comparison(Comparison),
    Dot,
    Star,
    Flatten,
    LeftBracket,
    RightBracket,
    Filter,
    LeftBrace,
    RightBrace,
    LeftParenthesis,
    RightParenthesis,
    Comma,
    Colon,
    Pipe,
    Or,
    And,
    Not,
    Ampersand,
    At,
    End,
}

impl Token<'_> {
    /// The token in words, for messages.
    pub(super) fn describe(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Identifier(name) => return Cow::Owned(format!("'{name}'")),
            Self::Quoted(name) => return Cow::Owned(format!("{name:?}")),
            Self::Number(number) => return Cow::Owned(format!("number {number}")),
            Self::Literal(Value::String(_)) => "a string literal",
            Self::Literal(_) => "a literal",
            Self::Comparison(_) => "a comparison operator",
            Self::Dot => "'.'",
            Self::Star => "'*'",
            Self::Flatten => "'[]'",
            Self::LeftBracket => "'['",
            Self::RightBracket => "']'",
            Self::Filter => "'[?'",
            Self::LeftBrace => "'{'",
            Self::RightBrace => "'}'",
            Self::LeftParenthesis => "'('",
            Self::RightParenthesis => "')'",
            Self::Comma => "','",
            Self::Colon => "':'",
            Self::Pipe => "'|'",
            Self::Or => "'||'",
            Self::And => "'&&'",
            Self::Not => "'!'",
            Self::Ampersand => "'&'",
            Self::At => "'@'",
            Self::End => "the end of the expression",
        })
    }
}

/// A token and where it starts, in bytes.
pub(super) type Placed<'e> = (Token<'e>, usize);

pub(super) fn tokenize(expression: &str, dialect: Dialect) -> Result<Vec<Placed<'_>>, ParseError> {
    let mut lexer = Lexer { text: expression, position: 0, dialect };
    let mut tokens = Vec::with_capacity(expression.len() / 4 + 2);
    while let Some(&byte) = lexer.text.as_bytes().get(lexer.position) {
        let start = lexer.position;
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            lexer.position += 1;
            continue;
        }
        tokens.push((lexer.token(byte)?, start));
    }
    tokens.push((Token::End, expression.len()));
    Ok(tokens)
}

struct Lexer<'e> {
    text: &'e str,
    position: usize,
    dialect: Dialect,
}

impl<'e> Lexer<'e> {
    fn token(&mut self, byte: u8) -> Result<Token<'e>, ParseError> {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                Ok(Token::Identifier(self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_')))
            }
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.quoted(),
            b'\'' => self.raw_string(),
            b'`' => self.literal(),
            _ => self.symbol(byte),
        }
    }

    fn symbol(&mut self, byte: u8) -> Result<Token<'e>, ParseError> {
        let next = self.text.as_bytes().get(self.position + 1).copied();
        let (token, length) = match (byte, next) {
            (b'.', _) => (Token::Dot, 1),
            (b'*', _) => (Token::Star, 1),
            (b'[', Some(b']')) => (Token::Flatten, 2),
            (b'[', Some(b'?')) => (Token::Filter, 2),
            (b'[', _) => (Token::LeftBracket, 1),
            (b']', _) => (Token::RightBracket, 1),
            (b'{', _) => (Token::LeftBrace, 1),
            (b'}', _) => (Token::RightBrace, 1),
            (b'(', _) => (Token::LeftParenthesis, 1),
            (b')', _) => (Token::RightParenthesis, 1),
            (b',', _) => (Token::Comma, 1),
            (b':', _) => (Token::Colon, 1),
            (b'@', _) => (Token::At, 1),
            (b'|', Some(b'|')) => (Token::Or, 2),
            (b'|', _) => (Token::Pipe, 1),
            (b'&', Some(b'&')) => (Token::And, 2),
            (b'&', _) => (Token::Ampersand, 1),
            (b'!', Some(b'=')) => (Token::Comparison(Comparison::NotEqual), 2),
            (b'!', _) => (Token::Not, 1),
            (b'=', Some(b'=')) => (Token::Comparison(Comparison::Equal), 2),
            (b'<', Some(b'=')) => (Token::Comparison(Comparison::LessOrEqual), 2),
            (b'<', _) => (Token::Comparison(Comparison::Less), 1),
            (b'>', Some(b'=')) => (Token::Comparison(Comparison::GreaterOrEqual), 2),
            (b'>', _) => (Token::Comparison(Comparison::Greater), 1),
            (b'=', _) => return Err(self.error("unknown operator '=', accepted: '=='")),
            _ => {
                let character = self.text[self.position..].chars().next().unwrap_or_default();
                return Err(self.error(format!("unknown character {character:?}")));
            }
        };
        self.position += length;
        Ok(token)
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.position, message)
    }

    fn take_while(&mut self, accepts: impl Fn(u8) -> bool) -> &'e str {
        let start = self.position;
        let length = self.text.as_bytes()[start..].iter().take_while(|&&b| accepts(b)).count();
        self.position += length;
        &self.text[start..self.position]
    }

    fn number(&mut self) -> Result<Token<'e>, ParseError> {
        let start = self.position;
        self.position += 1;
        self.take_while(|b| b.is_ascii_digit());
        let digits = &self.text[start..self.position];
        digits.parse().map(Token::Number).map_err(|_| {
            let reason = if digits == "-" { "a '-' without digits" } else { "is not within 64 bits" };
            ParseError::new(start, format!("invalid number {digits:?}: {reason}"))
        })
    }

    /// What stands between the delimiter at the position and the next one that no backslash precedes.
    fn delimited(&mut self, delimiter: u8) -> Result<&'e str, ParseError> {
        let bytes = self.text.as_bytes();
        let start = self.position + 1;
        let mut end = start;
        while end < bytes.len() && bytes[end] != delimiter {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        if end >= bytes.len() {
            return Err(ParseError::new(
                bytes.len(),
                format!("unclosed delimiter: {}", char::from(delimiter)),
            ));
        }
        self.position = end + 1;
        Ok(&self.text[start..end])
    }

    fn quoted(&mut self) -> Result<Token<'e>, ParseError> {
        let start = self.position;
        let raw = self.delimited(b'"')?;
        if !raw.contains('\\') && !raw.bytes().any(|b| b < 0x20) {
            return Ok(Token::Quoted(raw.to_owned()));
        }
        serde_json::from_str(&self.text[start..self.position])
            .map(Token::Quoted)
            .map_err(|error| ParseError::new(start, format!("invalid quoted identifier: {error}")))
    }

    fn raw_string(&mut self) -> Result<Token<'e>, ParseError> {
        let raw = match self.dialect {
            Dialect::Standard => self.delimited(b'\'')?,
            Dialect::Kyverno => self.raw_until_quote()?,
        };
        let text = if raw.contains("\\'") { raw.replace("\\'", "'") } else { raw.to_owned() };
        Ok(Token::Literal(Value::String(text)))
    }

    /// The fork's rule for raw strings: a backslash escapes a quote even where another backslash precedes it.
    fn raw_until_quote(&mut self) -> Result<&'e str, ParseError> {
        let start = self.position + 1;
        let mut end = start;
        loop {
            let Some(length) = self.text[end..].find('\'') else {
                return Err(ParseError::new(self.text.len(), "unclosed delimiter: '"));
            };
            end += length;
            if !self.text[start..end].ends_with('\\') {
                break;
            }
            end += 1;
        }
        self.position = end + 1;
        Ok(&self.text[start..end])
    }

    fn literal(&mut self) -> Result<Token<'e>, ParseError> {
        let start = self.position;
        let raw = self.delimited(b'`')?;
        let text = if raw.contains("\\`") { Cow::Owned(raw.replace("\\`", "`")) } else { Cow::Borrowed(raw) };
        serde_json::from_str(&text).map(Token::Literal).map_err(|error| {
            ParseError::new(
                start,
                format!("invalid JSON literal: {error} (a string is written '…' or `\"…\"`)"),
            )
        })
    }
}
