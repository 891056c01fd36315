//! Text on its way to a terminal: colours of ours in, characters of others that steer it out.

use super::Status;

/// Text of any length without characters that steer a terminal. Line breaks stay.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' | '\n' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// The text in the colour of a status, or as it is.
pub(super) fn paint(status: Status, text: &str, colours: bool) -> String {
    if !colours {
        return text.to_owned();
    }
    let code = match status {
        Status::Pass => "32",
        Status::Fail | Status::Error => "1;31",
        Status::Warn => "1;33",
        Status::Skip => "36",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
