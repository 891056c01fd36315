//! The operator that a string of a pattern starts with, or the range that it is.

/// How a string of a pattern is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// No operator.
    Equal,
    /// `!`
    NotEqual,
    /// `>`
    More,
    /// `>=`
    MoreEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `a-b`
    InRange,
    /// `a!-b`
    NotInRange,
}

impl Operator {
    /// The operator of a string; a string of one character has none.
    pub fn of(text: &str) -> Operator {
        if text.len() < 2 {
            return Operator::Equal;
        }
        match text.as_bytes() {
            [b'>', b'=', ..] => Operator::MoreEqual,
            [b'<', b'=', ..] => Operator::LessEqual,
            [b'>', ..] => Operator::More,
            [b'<', ..] => Operator::Less,
            [b'!', ..] => Operator::NotEqual,
            _ if range(text, "!-").is_some() => Operator::NotInRange,
            _ if range(text, "-").is_some() => Operator::InRange,
            _ => Operator::Equal,
        }
    }

    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "",
            Operator::NotEqual => "!",
            Operator::More => ">",
            Operator::MoreEqual => ">=",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::InRange => "-",
            Operator::NotInRange => "!-",
        }
    }
}

/// The two ends of a range with a separator: numbers with a sign (`-`, `+` or, as in Kyverno, `|`), a fraction and a
/// unit of letters.
pub(super) fn range<'t>(text: &'t str, separator: &str) -> Option<(&'t str, &'t str)> {
    let left = endpoint(text)?;
    let right = text[left..].strip_prefix(separator)?;
    (endpoint(right)? == right.len()).then(|| (&text[..left], right))
}

/// The length of the number that the text starts with.
fn endpoint(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let count = |from: usize, test: fn(&u8) -> bool| bytes[from..].iter().take_while(|b| test(b)).count();
    let mut at = usize::from(matches!(bytes.first(), Some(b'-' | b'|' | b'+')));
    let digits = count(at, u8::is_ascii_digit);
    if digits == 0 {
        return None;
    }
    at += digits;
    if bytes.get(at) == Some(&b'.') {
        let fraction = count(at + 1, u8::is_ascii_digit);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    Some(at + count(at, u8::is_ascii_alphabetic))
}
