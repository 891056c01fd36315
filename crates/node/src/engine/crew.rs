//! The few hands for work in pods: such work blocks and belongs on threads, and a hundred pods at once must not become a
//! hundred threads on a node that has better things to do. First come, first served, so no pod can keep others waiting
//! for longer than its own turn.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Bounded threads for blocking work.
#[derive(Debug, Clone)]
pub(super) struct Crew(Arc<Semaphore>);

impl Default for Crew {
    /// Two for each processor: half of the work is waiting for the kernel.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Self::new(processors * 2)
    }
}

impl Crew {
    /// At most `hands` pieces of work at once.
    pub(super) fn new(hands: usize) -> Self {
        Self(Arc::new(Semaphore::new(hands.max(1))))
    }

    /// Runs `work` on a thread as soon as it is its turn.
    ///
    /// # Errors
    /// The text of its panic. It took with it whatever the work had been given.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, String>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        // The semaphore is never closed, so there always is a permit one day.
        let permit = Arc::clone(&self.0).acquire_owned().await.ok();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| format!("the work failed: {error}"))
    }
}
