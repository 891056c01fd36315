//! How far a long run is, for somebody who waits at a terminal. Nothing is printed in the first second, nor anywhere else.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// One line on standard error that is written over and over, and gone in the end.
pub(super) struct Progress {
    documents: usize,
    /// When it is written next; `None` where nobody watches.
    next: Option<Instant>,
    shown: bool,
}

impl Progress {
    pub(super) fn start() -> Self {
        let next = std::io::stderr().is_terminal().then(|| Instant::now() + Duration::from_secs(1));
        Self { documents: 0, next, shown: false }
    }

    pub(super) fn add(&mut self, documents: usize) {
        self.documents += documents;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now >= next {
            self.next = Some(now + Duration::from_millis(200));
            self.shown = true;
            eprint!("\r{} documents …", self.documents);
        }
    }

    pub(super) fn end(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
