//! What a person reads in the pod's log and, through the termination message, in `kubectl describe pod`.

use std::io::Write;
use std::time::{Duration, Instant};

/// A reason that does not change is told again this often.
const AGAIN: Duration = Duration::from_secs(30);

/// Tells reasons for waiting, none of them too often.
#[derive(Default)]
pub(crate) struct Report {
    last: Option<(String, Instant)>,
}

impl Report {
    pub(crate) fn tell(&mut self, reason: &str) {
        let known = self.last.as_ref().is_some_and(|(last, at)| last == reason && at.elapsed() < AGAIN);
        if !known {
            complain(&format!("waiting: {reason}"));
            self.last = Some((reason.to_string(), Instant::now()));
        }
    }
}

/// A line on standard output. Nobody may be reading it; that changes nothing.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "meshward-wait: {text}");
}
