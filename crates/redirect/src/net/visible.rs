//! Text of somebody else on its way to people. Names and keys are anybody's text until the API server has seen them, and a
//! message is read in a terminal, where some characters do more than stand there.

use std::borrow::Cow;

/// A name or key that somebody else wrote, as it may stand in a message: on one line, without characters that steer a
/// terminal, at most 320 characters (the longest key that Kubernetes takes has 317).
pub fn visible(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 320;
    if text.len() <= LONGEST && text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            ' '..='~' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        for (text, shown) in [
            ("web-0", "web-0"),
            ("a\"b\\c", "a\"b\\c"),
            ("x\nerror: y", "x\\nerror: y"),
            ("\u{1b}[2J\u{9b}", "\\u{1b}[2J\\u{9b}"),
            ("\u{202e}evil", "\\u{202e}evil"),
            ("größe", "größe"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible(&"x".repeat(320)), "x".repeat(320));
        assert_eq!(visible(&"x".repeat(321)), "x".repeat(320) + "…");
        assert_eq!(visible(&"ü".repeat(321)).chars().count(), 321);
    }
}
