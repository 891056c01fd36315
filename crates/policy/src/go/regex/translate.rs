//! The translation of patterns, one pass over the characters.

use std::iter::Peekable;
use std::str::Chars;

/// The largest number of repetitions that Go accepts.
const MAX_REPEAT: u32 = 1000;

/// The same pattern in the dialect of the `regex` crate.
///
/// # Errors
/// In Go's words, why Go refuses the pattern; other faults are left to the crate to find.
pub fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut translator =
        Translator { input: pattern.chars().peekable(), output: String::with_capacity(pattern.len() + 16) };
    translator.pattern()?;
    Ok(translator.output)
}

struct Translator<'p> {
    input: Peekable<Chars<'p>>,
    output: String,
}

impl Translator<'_> {
    fn pattern(&mut self) -> Result<(), &'static str> {
        // Whether the last thing written was a repetition, which no other may follow.
        let mut repeated = false;
        while let Some(c) = self.input.next() {
            let mut repeats = false;
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '*' | '+' | '?' => {
                    self.output.push(c);
                    repeats = true;
                }
                '{' => repeats = self.brace()?,
                c => self.output.push(c),
            }
            if repeats {
                if repeated {
                    return Err("invalid nested repetition operator");
                }
                if self.input.next_if_eq(&'?').is_some() {
                    self.output.push('?');
                }
            }
            repeated = repeats;
        }
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}` is a repetition; any other brace stands for itself.
    fn brace(&mut self) -> Result<bool, &'static str> {
        let ahead: String =
            self.input.clone().take_while(|c| matches!(c, '0'..='9' | ',' | '}')).take(16).collect();
        let Some((inside, _)) = ahead.split_once('}') else {
            self.output.push_str("\\{");
            return Ok(false);
        };
        let (low, high) = inside.split_once(',').unwrap_or((inside, inside));
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = |text: &str| text.len() > 1 && text.starts_with('0');
        if low.is_empty() || !number(low) || !number(high) || leading_zero(low) || leading_zero(high) {
            self.output.push_str("\\{");
            return Ok(false);
        }
        let (low, high) = (low.parse::<u32>(), if high.is_empty() { Ok(0) } else { high.parse::<u32>() });
        if !matches!((low, high), (Ok(0..=MAX_REPEAT), Ok(0..=MAX_REPEAT))) {
            return Err("invalid repeat count");
        }
        self.output.push('{');
        for _ in 0..=inside.len() {
            self.output.extend(self.input.next());
        }
        Ok(true)
    }

    fn group(&mut self) -> Result<(), &'static str> {
        self.output.push('(');
        if self.input.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.output.push('?');
        while let Some(&c) = self.input.peek() {
            match c {
                'i' | 'm' | 's' | 'U' | '-' => {
                    self.input.next();
                    self.output.push(c);
                }
                ':' | ')' => {
                    self.input.next();
                    self.output.push(c);
                    return Ok(());
                }
                'P' | '<' => return self.group_name(),
                _ => break,
            }
        }
        Err("invalid or unsupported Perl syntax")
    }

    /// `P<name>` or `<name>`, where a name is made of letters, digits and underscores.
    fn group_name(&mut self) -> Result<(), &'static str> {
        let mut ahead: String = self.input.clone().take_while(|c| *c != '>').take(1000).collect();
        ahead = ahead.trim_start_matches('P').trim_start_matches('<').to_owned();
        if ahead.is_empty() || !ahead.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err("invalid named capture");
        }
        // The crate wants names to start with a letter or an underscore; Go does not care.
        if ahead.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("invalid named capture");
        }
        for c in self.input.by_ref() {
            self.output.push(c);
            if c == '>' {
                break;
            }
        }
        Ok(())
    }

    /// What follows a backslash, inside or outside of a class.
    fn escape(&mut self, in_class: bool) -> Result<(), &'static str> {
        let Some(c) = self.input.next() else {
            return Err("trailing backslash at end of expression");
        };
        let class = match c {
            'd' => "0-9",
            'w' => "0-9A-Za-z_",
            's' => r"\t\n\f\r\x20",
            'D' => "^0-9",
            'W' => "^0-9A-Za-z_",
            'S' => r"^\t\n\f\r\x20",
            'b' if !in_class => return self.push(r"(?-u:\b)"),
            'B' if !in_class => return self.push(r"(?-u:\B)"),
            'A' | 'z' if !in_class => return self.push(if c == 'A' { r"\A" } else { r"\z" }),
            'Q' if !in_class => return self.quotation(),
            'p' | 'P' => return self.property(c),
            'x' => return self.hexadecimal(),
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => {
                self.output.push('\\');
                self.output.push(c);
                return Ok(());
            }
            '0'..='7' => return self.octal(c),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => {
                self.literal(c);
                return Ok(());
            }
            _ => return Err("invalid escape sequence"),
        };
        self.output.push('[');
        self.output.push_str(class);
        self.output.push(']');
        Ok(())
    }

    fn push(&mut self, text: &str) -> Result<(), &'static str> {
        self.output.push_str(text);
        Ok(())
    }

    /// One character that stands for itself wherever it is.
    fn literal(&mut self, c: char) {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '<' | '>') && !c.is_ascii_control() {
            self.output.push('\\');
        }
        self.output.push(c);
    }

    /// `\Q…\E`, or to the end.
    fn quotation(&mut self) -> Result<(), &'static str> {
        while let Some(c) = self.input.next() {
            if c == '\\' && self.input.next_if_eq(&'E').is_some() {
                break;
            }
            self.literal(c);
        }
        Ok(())
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`
    fn property(&mut self, c: char) -> Result<(), &'static str> {
        let mut negative = c == 'P';
        match self.input.next() {
            Some('{') => {
                negative ^= self.input.next_if_eq(&'^').is_some();
                self.output.push_str(if negative { r"\P{" } else { r"\p{" });
                for c in self.input.by_ref() {
                    self.output.push(c);
                    if c == '}' {
                        return Ok(());
                    }
                }
                Err("invalid character class range")
            }
            Some(letter) if letter.is_ascii_alphabetic() => {
                self.output.push_str(if negative { r"\P" } else { r"\p" });
                self.output.push(letter);
                Ok(())
            }
            _ => Err("invalid character class range"),
        }
    }

    /// `\x41`, `\x{10ffff}`
    fn hexadecimal(&mut self) -> Result<(), &'static str> {
        let braced = self.input.next_if_eq(&'{').is_some();
        let mut digits = String::new();
        while (braced || digits.len() < 2)
            && let Some(digit) = self.input.next_if(char::is_ascii_hexdigit)
        {
            digits.push(digit);
        }
        let closed = if braced { self.input.next_if_eq(&'}').is_some() } else { digits.len() == 2 };
        if !closed || digits.is_empty() {
            return Err("invalid escape sequence");
        }
        self.output.push_str(&format!("\\x{{{digits}}}"));
        Ok(())
    }

    /// `\0`, `\07`, `\123`; a single digit from 1 would be a back-reference.
    fn octal(&mut self, first: char) -> Result<(), &'static str> {
        let mut value = first.to_digit(8).unwrap_or(0);
        let mut digits = 1;
        while digits < 3
            && let Some(digit) = self.input.peek().and_then(|c| c.to_digit(8))
        {
            value = value * 8 + digit;
            digits += 1;
            self.input.next();
        }
        if digits == 1 && first != '0' {
            return Err("invalid escape sequence");
        }
        self.output.push_str(&format!("\\x{{{value:x}}}"));
        Ok(())
    }

    /// A bracket class: the crate would take `[`, `&&`, `--` and `~~` in it for operators.
    fn class(&mut self) -> Result<(), &'static str> {
        self.output.push('[');
        if self.input.next_if_eq(&'^').is_some() {
            self.output.push('^');
        }
        let mut first = true;
        while let Some(c) = self.input.next() {
            match c {
                ']' if !first => {
                    self.output.push(']');
                    return Ok(());
                }
                '[' if self.input.peek() == Some(&':') => self.posix_class()?,
                '\\' => self.escape(true)?,
                '-' if first || self.input.peek() == Some(&']') => self.output.push_str("\\-"),
                '-' => self.range()?,
                c => self.literal(c),
            }
            first = false;
        }
        Err("missing closing ]")
    }

    /// The minus sign of `a-b`; Go wants something before and after it.
    fn range(&mut self) -> Result<(), &'static str> {
        self.output.push('-');
        match self.input.peek() {
            Some('-') => {
                self.input.next();
                self.output.push_str("\\-");
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err("missing closing ]"),
        }
    }

    /// `[:alpha:]`, `[:^alpha:]`
    fn posix_class(&mut self) -> Result<(), &'static str> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let ahead: String = self.input.clone().skip(1).take(16).collect();
        let Some((name, _)) = ahead.split_once(":]") else {
            self.output.push_str("\\[");
            return Ok(());
        };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err("invalid character class range");
        }
        self.output.push_str(&format!("[:{name}:]"));
        for _ in 0..name.len() + 3 {
            self.input.next();
        }
        Ok(())
    }
}
