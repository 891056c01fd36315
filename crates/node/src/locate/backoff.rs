//! Waiting longer each time something fails, never in step with every other node's agent.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Grows from `first` to `most`, by half to one and a half.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait now.
    pub(super) fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        now.mul_f64(0.5 + jitter())
    }
}

/// 0 to 1, from the keys that the standard library draws for each hash map.
fn jitter() -> f64 {
    let drawn = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(drawn).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_most_and_start_again() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, most);
        assert!((first / 2..=first * 3 / 2).contains(&backoff.next()));
        for _ in 0..20 {
            assert!(backoff.next() <= most * 3 / 2);
        }
        assert!(backoff.next() >= most / 2);
        backoff.reset();
        assert!(backoff.next() <= first * 3 / 2);
    }
}
