//! How long to wait before the next attempt. Random, so that the agents of a hundred nodes do not come back to a
//! restarted API server in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential backoff with full jitter: attempt `n` waits a random time below `base * 2^n`, never longer than `max`
/// and, so that a loop cannot spin, never shorter than half of `base`.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
    random: RandomState,
}

impl Backoff {
    /// A backoff that has not waited yet.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max: max.max(base), attempts: 0, random: RandomState::new() }
    }

    /// How long to wait now; the next one is longer.
    pub fn next_delay(&mut self) -> Duration {
        let ceiling = self.ceiling();
        // The hash of a counter under a random key: uniform enough to spread clients, without a crate for it.
        let roll = self.random.hash_one(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let floor = self.base / 2;
        floor + (ceiling - floor).mul_f64(roll as f64 / u64::MAX as f64)
    }

    /// The longest that [`Backoff::next_delay`] can answer now.
    pub fn ceiling(&self) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(self.attempts)).min(self.max)
    }

    /// How often [`Backoff::next_delay`] was asked since the start or the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
        // The same counter must not roll the same times again.
        self.random = RandomState::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(2);

    #[test]
    fn delays_stay_within_their_bounds() {
        let mut backoff = Backoff::new(BASE, MAX);
        let ceilings: Vec<u128> = (0..40)
            .map(|_| {
                let ceiling = backoff.ceiling();
                let delay = backoff.next_delay();
                assert!(delay >= BASE / 2 && delay <= ceiling, "{delay:?} of {ceiling:?}");
                ceiling.as_millis()
            })
            .collect();
        assert_eq!(ceilings[..6], [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(ceilings[39], 2000);
        backoff.reset();
        assert_eq!((backoff.attempts(), backoff.ceiling()), (0, BASE));
    }

    #[test]
    fn clients_do_not_go_in_step() {
        let delays: std::collections::BTreeSet<Duration> =
            (0..50).map(|_| Backoff::new(BASE, MAX).next_delay()).collect();
        assert!(delays.len() > 40, "{delays:?}");
    }
}
