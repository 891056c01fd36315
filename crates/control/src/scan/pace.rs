//! How much processor time the scan takes: evaluation comes in small slices with pauses between them, so that requests,
//! which somebody waits for, are never held up by it.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The longest that is worked without a pause.
const SLICE: Duration = Duration::from_millis(4);

/// One share for all that scan.
#[derive(Debug)]
pub(super) struct Pace {
    /// Rest for each time worked.
    rest: f64,
    owed: Mutex<Duration>,
}

impl Pace {
    /// `percent` of one processor.
    pub(super) fn new(percent: u8) -> Self {
        let share = f64::from(percent.clamp(1, 100)) / 100.0;
        Self { rest: 1.0 / share - 1.0, owed: Mutex::new(Duration::ZERO) }
    }

    /// Does a piece of work, after a pause if one is due. One piece at a time, whoever brings it.
    pub(super) async fn work<R>(&self, work: impl FnOnce() -> R) -> (R, Duration) {
        let mut owed = self.owed.lock().await;
        if *owed >= SLICE {
            tokio::time::sleep(*owed).await;
            *owed = Duration::ZERO;
        }
        let began = Instant::now();
        let result = work();
        let spent = began.elapsed();
        *owed += spent.mul_f64(self.rest);
        (result, spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rests_as_long_as_it_works() {
        let pace = Pace::new(50);
        let (began, mut worked) = (Instant::now(), Duration::ZERO);
        for _ in 0..5 {
            let busy = || std::thread::sleep(SLICE);
            worked += pace.work(busy).await.1;
        }
        // The last piece is not rested for.
        assert!(began.elapsed() >= worked + worked.mul_f64(0.8) - SLICE, "{worked:?}");
    }
}
