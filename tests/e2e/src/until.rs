//! Waiting, never for a fixed time: either something is as it should be before the deadline, or the last reason why not
//! is the error.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again until `look` gives a value; its last error when `deadline` is over.
///
/// # Errors
/// What the last look said, with `what` was waited for and for how long.
pub async fn until<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        let last = match look().await {
            Ok(value) => return Ok(value),
            Err(reason) => reason,
        };
        if begin.elapsed() >= deadline {
            return Err(last).with_context(|| format!("waited {:.1} s for {what}", deadline.as_secs_f64()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_first_value_and_the_last_reason() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            if looks < 3 { anyhow::bail!("only {looks}") } else { Ok(looks) }
        });
        assert_eq!(found.await.unwrap(), 3);
        let never: Result<()> = until("nothing", Duration::ZERO, async || anyhow::bail!("not there")).await;
        assert_eq!(format!("{:#}", never.unwrap_err()), "waited 0.0 s for nothing: not there");
    }
}
