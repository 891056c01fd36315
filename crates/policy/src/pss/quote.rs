//! Go's `%q`, because upstream quotes annotation values and label values with it inside its sentences.

use std::fmt::Write as _;

/// The text in double quotes, escaped as Go's `strconv.Quote` does.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        push_escaped(&mut quoted, character);
    }
    quoted.push('"');
    quoted
}

fn push_escaped(quoted: &mut String, character: char) {
    let short = match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        _ => "",
    };
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match character {
        _ if !short.is_empty() => quoted.write_str(short),
        _ if printable(character) => quoted.write_char(character),
        '\0'..='\u{1f}' | '\u{7f}' => write!(quoted, "\\x{code:02x}"),
        '\u{80}'..='\u{ffff}' => write!(quoted, "\\u{code:04x}"),
        _ => write!(quoted, "\\U{code:08x}"),
    };
}

/// Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space. The standard library has
/// the same classes behind `escape_debug`, which escapes a combining mark only when it opens the string.
fn printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let mut text = String::with_capacity(8);
    text.push('a');
    text.push(character);
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn escapes_as_go_does() {
        let table = [
            ("plain", r#""plain""#),
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1f}\u{7f}", r#""\x00\x1f\x7f""#),
            ("é€e\u{301}", "\"é€e\u{301}\""),
            ("\u{301}", "\"\u{301}\""),
            ("\u{a0}\u{200b}\u{feff}\u{2028}", r#""\u00a0\u200b\ufeff\u2028""#),
            ("\u{e000}\u{10ffff}😀", r#""\ue000\U0010ffff😀""#),
        ];
        for (text, quoted) in table {
            assert_eq!(quote(text), quoted, "{text:?}");
        }
    }
}
