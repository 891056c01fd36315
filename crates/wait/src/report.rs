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
        if self.is_due(reason, Instant::now()) {
            complain(&format!("waiting: {reason}"));
        }
    }

    fn is_due(&mut self, reason: &str, now: Instant) -> bool {
        let known = self.last.as_ref().is_some_and(|(last, at)| last == reason && now < *at + AGAIN);
        if !known {
            self.last = Some((reason.to_string(), now));
        }
        !known
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_and_again_every_30_seconds() {
        let (mut report, start) = (Report::default(), Instant::now());
        let told: Vec<bool> =
            [(0, "a"), (1, "a"), (29, "a"), (30, "a"), (59, "a"), (60, "a"), (61, "b"), (62, "a")]
                .map(|(seconds, reason)| report.is_due(reason, start + Duration::from_secs(seconds)))
                .into();
        assert_eq!(told, [true, false, false, true, false, true, true, true]);
    }
}
