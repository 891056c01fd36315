//! Writing to people: colours only on a terminal (and never with `NO_COLOR`), errors and notes on standard error so that
//! standard output holds nothing but the result.

use std::io::{IsTerminal, Write};

/// Prints the result. A reader that went away (`meshward … | head`) ends the command quietly.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Prints an error on standard error.
pub(crate) fn error(message: &str) {
    eprintln!("{} {message}", paint(Style::Error, "error:"));
}

/// Prints something the user should know on standard error.
pub(crate) fn warning(message: &str) {
    eprintln!("{} {message}", paint(Style::Warning, "warning:"));
}

/// Prints a remark on standard error.
pub(crate) fn note(message: &str) {
    eprintln!("{} {message}", paint(Style::Note, "note:"));
}

#[derive(Clone, Copy)]
enum Style {
    Error,
    Warning,
    Note,
}

fn paint(style: Style, text: &str) -> String {
    if !colours_on(std::io::stderr().is_terminal()) {
        return text.to_string();
    }
    let code = match style {
        Style::Error => "1;31",
        Style::Warning => "1;33",
        Style::Note => "1;36",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Whether a stream that is (or is not) a terminal gets colours; see no-color.org.
pub(crate) fn colours_on(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
