//! How far a long run is, for somebody who waits at a terminal. Nothing is printed in the first two seconds, nor anywhere
//! else.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Before this nobody wonders.
const PATIENCE: Duration = Duration::from_secs(2);
/// From one number to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// One line on standard error that is written over and over, and gone in the end.
pub(super) struct Progress {
    documents: usize,
    /// When the number changes next; `None` where nobody watches.
    next: Option<Instant>,
    line: String,
}

impl Progress {
    pub(super) fn start() -> Self {
        let next = std::io::stderr().is_terminal().then(|| Instant::now() + PATIENCE);
        Self { documents: 0, next, line: String::new() }
    }

    /// Takes the line away while something else may be printed.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.end();
        print();
        if !self.line.is_empty() {
            eprint!("{}", self.line);
        }
    }

    pub(super) fn add(&mut self, documents: usize) {
        self.documents += documents;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            self.next = Some(now + PAUSE);
            self.line = format!("\r{} documents …", self.documents);
            eprint!("{}", self.line);
        }
    }

    pub(super) fn end(&self) {
        if !self.line.is_empty() {
            eprint!("\r\x1b[K");
        }
    }
}
