//! Until when a request must be answered. The API server says so with `?timeout=`, and stops listening then: an answer
//! that comes later is none, and what the failure policy makes of that says nothing of the reason.

use std::time::{Duration, Instant};

use meshward_policy::duration::Duration as GoDuration;

/// What the API server grants where it says nothing.
const DEFAULT: Duration = Duration::from_secs(10);
/// What it grants at most.
const LONGEST: Duration = Duration::from_secs(30);
/// What is kept, at most, for what the API server counts as well: a connection, perhaps with a handshake, and both ways.
const RESERVE: Duration = Duration::from_secs(1);

/// A moment to be ready at.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The deadline of a request that arrived just now, with a query such as `timeout=10s`.
    ///
    /// # Errors
    /// The query's timeout is none.
    pub fn of(query: Option<&str>) -> Result<Self, String> {
        let given = query.into_iter().flat_map(|query| query.split('&'));
        let given = given.filter_map(|pair| pair.strip_prefix("timeout=")).next_back();
        let time = given.map_or(Ok(DEFAULT), parse)?.min(LONGEST);
        Ok(Self::after(time - (time / 4).min(RESERVE)))
    }

    /// The time that is left; none once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed at a moment.
    pub fn passed_at(self, moment: Instant) -> bool {
        moment >= self.0
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    let nanoseconds = GoDuration::parse(text).ok().map(|duration| duration.nanoseconds());
    match nanoseconds.and_then(|nanoseconds| u64::try_from(nanoseconds).ok()) {
        Some(nanoseconds) if nanoseconds > 0 => Ok(Duration::from_nanos(nanoseconds)),
        _ => Err(format!("timeout={text}: accepted: a duration such as 10s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_time_for_the_way() {
        let table = [
            (None, Ok(9000)),
            (Some("timeout=10s"), Ok(9000)),
            (Some("timeout=1s"), Ok(750)),
            (Some("a=b&timeout=1m30s"), Ok(29000)),
            (Some("timeout=1500ms"), Ok(1125)),
            (Some("timeout=0s"), Err(())),
            (Some("timeout=-1s"), Err(())),
            (Some("timeout=soon"), Err(())),
            (Some("timeout="), Err(())),
        ];
        for (query, expected) in table {
            let found = Deadline::of(query).map_err(drop).map(|deadline| deadline.left().as_millis());
            match (found, expected) {
                (Ok(found), Ok(expected)) => {
                    assert!((expected - 50..=expected).contains(&found), "{query:?}")
                }
                (found, expected) => assert_eq!(found, expected, "{query:?}"),
            }
        }
    }
}
