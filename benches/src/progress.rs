//! Says how far a measure is, to whoever waits for it.

use std::io::{IsTerminal, Write};

/// Says on stderr how far a measure is; only its end where nobody watches.
pub fn progress(label: &str, done: usize, all: usize) {
    let mut err = std::io::stderr().lock();
    // Nothing is lost when nobody can be told.
    let _ = match (err.is_terminal(), done == all) {
        (true, false) => write!(err, "\r{label}: {done} of {all} rounds\x1b[K"),
        (true, true) => writeln!(err, "\r{label}: {all} rounds\x1b[K"),
        (false, true) => writeln!(err, "{label}: {all} rounds"),
        (false, false) => Ok(()),
    };
}
