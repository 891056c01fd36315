//! A token bucket, so that something that happens again and again cannot fill the cluster's storage.

use jiff::Timestamp;

/// Lets `burst` through at once, and afterwards one more every `every` seconds.
#[derive(Debug, Clone)]
pub struct Bucket {
    burst: f64,
    every: f64,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// A full bucket; `every` is the time in which one token comes back, in seconds.
    pub fn new(burst: u32, every: f64, now: Timestamp) -> Self {
        Self { burst: f64::from(burst), every, tokens: f64::from(burst), at: now }
    }

    /// Whether there is a token at `now`; it is not taken.
    pub fn has(&mut self, now: Timestamp) -> bool {
        let passed = now.duration_since(self.at).as_secs_f64();
        // A clock that was set back gives nothing and takes nothing.
        self.tokens = (self.tokens + passed.max(0.0) / self.every).min(self.burst);
        self.at = now;
        self.tokens >= 1.0
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let has = self.has(now);
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_a_trickle() {
        let start = Timestamp::UNIX_EPOCH;
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        let mut bucket = Bucket::new(3, 10.0, start);
        let taken = |bucket: &mut Bucket, seconds| (0..5).filter(|_| bucket.take(at(seconds))).count();
        assert_eq!(taken(&mut bucket, 0), 3);
        assert_eq!(taken(&mut bucket, 9), 0);
        assert_eq!(taken(&mut bucket, 10), 1);
        assert_eq!(taken(&mut bucket, 1000), 3, "no more than the burst is saved up");
        assert_eq!(taken(&mut bucket, 500), 0, "the clock was set back");
    }
}
