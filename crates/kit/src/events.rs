//! Events (events.k8s.io/v1) without floods. What is told of one object is remembered for a while: the same thing again
//! raises the count of the Event that is there, as the API wants it (`EventSeries`), and what is new takes a token.
//!
//! ```text
//! EventPlan ─ Teller::tell ─► Create | Count ─ publish ─► events.k8s.io
//!                         └─► Held | Dropped   (only counted)
//! ```

mod publish;

use jiff::{SignedDuration, Timestamp};

use crate::bucket::Bucket;

pub use publish::{Author, Published, publish};

/// How long an Event is counted up instead of written anew.
const SERIES: SignedDuration = SignedDuration::from_mins(6);
/// The least time between two writes of one Event.
const QUIET: SignedDuration = SignedDuration::from_secs(30);
/// Different Events remembered for one object.
const REMEMBERED: usize = 16;
/// The API server takes no longer note.
pub const LONGEST_NOTE: usize = 1024;

/// Normal or Warning, as the API has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// All is well.
    Normal,
    /// Somebody should look.
    Warning,
}

/// An Event's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPlan {
    /// Normal or Warning.
    pub severity: Severity,
    /// CamelCase, for machines.
    pub reason: &'static str,
    /// What we did.
    pub action: &'static str,
    /// For people; at most [`LONGEST_NOTE`] bytes.
    pub note: String,
}

/// What to do about something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventAction {
    /// Write a new Event.
    Create {
        /// Its name.
        name: String,
        /// Its content.
        event: EventPlan,
    },
    /// Raise the count of one that is there.
    Count {
        /// Its name.
        name: String,
        /// The new count.
        count: i32,
        /// Its content, should it be gone.
        event: EventPlan,
    },
    /// Nothing now; a later one of the same brings the count.
    Held,
    /// Too many: only counted in the metrics.
    Dropped(&'static str),
}

/// What was told of one object.
#[derive(Debug)]
pub struct Teller {
    bucket: Bucket,
    recent: Vec<Recent>,
}

#[derive(Debug)]
struct Recent {
    event: EventPlan,
    name: String,
    count: i32,
    written: Timestamp,
    seen: Timestamp,
}

impl Teller {
    /// Nothing told yet; `bucket` is the object's own.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, recent: Vec::new() }
    }

    /// What to do about an Event of the object `name`. `shared` is a bucket of more than this object, if it counts.
    pub fn tell(
        &mut self,
        event: EventPlan,
        name: &str,
        now: Timestamp,
        shared: Option<&mut Bucket>,
    ) -> EventAction {
        self.recent.retain(|recent| now.duration_since(recent.seen) < SERIES);
        if let Some(recent) = self.recent.iter_mut().find(|recent| recent.event == event) {
            recent.count = recent.count.saturating_add(1);
            recent.seen = now;
            if now.duration_since(recent.written) < QUIET {
                return EventAction::Held;
            }
            recent.written = now;
            return EventAction::Count { name: recent.name.clone(), count: recent.count, event };
        }
        // Looked at first, so that an Event that others hold back costs this object nothing.
        if !self.bucket.has(now) || shared.is_some_and(|shared| !shared.take(now)) {
            return EventAction::Dropped(event.reason);
        }
        self.bucket.take(now);
        let name = event_name(name, now, self.recent.len());
        if self.recent.len() == REMEMBERED {
            self.recent.remove(0);
        }
        let recent = Recent { event: event.clone(), name: name.clone(), count: 1, written: now, seen: now };
        self.recent.push(recent);
        EventAction::Create { name, event }
    }

    /// Whether nothing is remembered at `now`, so that a new one would do the same.
    pub fn is_idle(&mut self, now: Timestamp) -> bool {
        self.recent.retain(|recent| now.duration_since(recent.seen) < SERIES);
        self.recent.is_empty()
    }
}

/// As client-go names Events: the object's name and the time; at most 253 bytes, so that long names fit too. What a
/// name of an object may have and one of an Event may not, such as the colon of a ClusterRole, becomes a hyphen.
fn event_name(object: &str, now: Timestamp, nth: usize) -> String {
    let suffix = format!(".{:x}{nth:x}", now.as_nanosecond());
    let room = 253 - suffix.len();
    let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' { c } else { '-' };
    let name: String = object.to_ascii_lowercase().chars().map(legal).take(room).collect();
    let name = name.trim_matches(['.', '-']);
    format!("{}{suffix}", if name.is_empty() { "object" } else { name })
}

/// At most `longest` bytes, on one line.
pub fn bounded(text: &str, longest: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= longest {
        return line;
    }
    let end = line.floor_char_boundary(longest - '…'.len_utf8());
    format!("{}…", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_api_server_takes() {
        let now = Timestamp::UNIX_EPOCH;
        let long = "x".repeat(300);
        let table = [
            ("web-0", "web-0.00"),
            ("system:node", "system-node.00"),
            ("-a.", "a.00"),
            ("::", "object.00"),
            (&long, &format!("{}.00", &long[..250])),
        ];
        for (object, expected) in table {
            assert_eq!(event_name(object, now, 0), expected);
        }
    }

    #[test]
    fn notes_are_one_line_and_bounded() {
        assert_eq!(bounded("a\nb", 10), "a b");
        let long = bounded(&"é".repeat(600), LONGEST_NOTE);
        assert!(long.len() <= LONGEST_NOTE && long.ends_with('…') && long.len() > LONGEST_NOTE - 4);
    }
}
