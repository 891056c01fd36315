//! How a daemon ends: one token that every task listens to, one tracker that knows which tasks still run, and a
//! deadline, so that a stuck task is named instead of waited for.
//!
//! ```text
//! SIGTERM, SIGINT, a task that panics ─► token ─► tasks end ─► drain ─► done │ Undrained {the names}
//! a second signal ─► the process ends at once
//! ```

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a daemon and their end. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
    tasks: Arc<Mutex<Tasks>>,
}

#[derive(Debug, Default)]
struct Tasks {
    running: BTreeMap<u64, &'static str>,
    next: u64,
    panicked: Vec<&'static str>,
}

/// Why the daemon did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Tasks did not end in time.
    #[error("these tasks did not end within {deadline:?}: {}", tasks.join(", "))]
    Undrained {
        /// How long was waited.
        deadline: Duration,
        /// The tasks that still ran.
        tasks: Vec<&'static str>,
    },
    /// Tasks panicked; that ended the daemon.
    #[error("these tasks panicked: {}", tasks.join(", "))]
    Panicked {
        /// Their names.
        tasks: Vec<&'static str>,
    },
}

impl Shutdown {
    /// Without signals: whoever holds it cancels the token.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends on SIGTERM and SIGINT; a second one ends the process at once, with the code a shell gives for the signal.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // Not tracked: it must live through the drain, to see the second signal.
        tokio::spawn(follow(terminate, interrupt, shutdown.token.clone()));
        Ok(shutdown)
    }

    /// The token that ends everything.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs a task that the drain waits for. A task that panics ends the daemon: half an agent is worse than none,
    /// since the kubelet starts a new one.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let guard = self.enter(name);
        self.tracker.spawn(async move {
            let _guard = guard;
            task.await
        })
    }

    fn enter(&self, name: &'static str) -> Entered {
        let mut tasks = lock(&self.tasks);
        let id = tasks.next;
        tasks.next += 1;
        tasks.running.insert(id, name);
        Entered { shutdown: self.clone(), id, name }
    }

    /// The names of the tasks that run.
    pub fn running(&self) -> Vec<&'static str> {
        lock(&self.tasks).running.values().copied().collect()
    }

    /// Cancels the token and waits until every task has ended.
    ///
    /// # Errors
    /// The names of those that had not at the deadline, or that had panicked.
    pub async fn drain(&self, deadline: Duration) -> Result<(), DrainError> {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_err() {
            return Err(DrainError::Undrained { deadline, tasks: self.running() });
        }
        let panicked = lock(&self.tasks).panicked.clone();
        if panicked.is_empty() { Ok(()) } else { Err(DrainError::Panicked { tasks: panicked }) }
    }
}

/// Takes a task's name off the list, however it ends.
struct Entered {
    shutdown: Shutdown,
    id: u64,
    name: &'static str,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut tasks = lock(&self.shutdown.tasks);
        tasks.running.remove(&self.id);
        if std::thread::panicking() {
            tasks.panicked.push(self.name);
            tracing::error!(task = self.name, "task panicked; ending");
            self.shutdown.token.cancel();
        }
    }
}

// A poisoned list of names is still a list of names.
fn lock(tasks: &Mutex<Tasks>) -> MutexGuard<'_, Tasks> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(mut terminate: Signal, mut interrupt: Signal, token: CancellationToken) {
    let mut first = true;
    loop {
        let (name, code) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 143),
            _ = interrupt.recv() => ("SIGINT", 130),
        };
        if !first {
            tracing::warn!(signal = name, "second signal; ending at once");
            std::process::exit(code);
        }
        first = false;
        tracing::info!(signal = name, "ending");
        token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drains_what_listens() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        let task = shutdown.spawn("listener", async move { token.cancelled().await });
        assert_eq!(shutdown.running(), ["listener"]);
        shutdown.drain(Duration::from_secs(5)).await.unwrap();
        assert!(task.is_finished());
    }

    #[tokio::test]
    async fn names_what_does_not_end() {
        let shutdown = Shutdown::new();
        shutdown.spawn("good", async {});
        shutdown.spawn("stuck", std::future::pending::<()>());
        let error = shutdown.drain(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.to_string(), "these tasks did not end within 20ms: stuck");
    }

    #[tokio::test]
    async fn a_panic_ends_everything_and_is_told() {
        let shutdown = Shutdown::new();
        shutdown.spawn("broken", async { panic!("on purpose") });
        shutdown.token().cancelled().await;
        let error = shutdown.drain(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "these tasks panicked: broken");
    }
}
