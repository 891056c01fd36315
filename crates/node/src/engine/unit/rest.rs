//! When a unit wakes up by itself: to try again what failed, to look whether the rules are still there, or because
//! somebody changed them. Whoever changes them all the time is put right at a bounded rate, so that one pod cannot keep
//! a thread of the node busy.

use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use meshward_kit::backoff::Backoff;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The first pause before another attempt, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Changes that are looked at in one [`WINDOW`], each at once; after them the pod waits for the end of the window.
const MOST_CHANGES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(1);

/// Why a unit woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Time for another attempt.
    Retry,
    /// Somebody changed something.
    Changes,
    /// Time to look.
    Recheck,
    /// Times have changed.
    Settings,
}

/// What a unit waits for.
#[derive(Debug)]
pub(super) struct Rest {
    backoff: Backoff,
    retry: Option<Instant>,
    recheck: Option<Instant>,
    /// How often to look; none for never. It may change.
    every: watch::Receiver<Option<Duration>>,
    in_force: bool,
    window: Instant,
    changes: u32,
}

impl Rest {
    pub(super) fn new(every: watch::Receiver<Option<Duration>>) -> Self {
        let backoff = Backoff::new(RETRY.0, RETRY.1);
        Self {
            backoff,
            retry: None,
            recheck: None,
            every,
            in_force: false,
            window: Instant::now(),
            changes: 0,
        }
    }

    /// Something failed.
    pub(super) fn retry(&mut self) {
        self.retry = Some(Instant::now() + self.backoff.next_delay());
    }

    /// How often it failed, one after the other.
    pub(super) fn attempts(&self) -> u32 {
        self.backoff.attempts()
    }

    /// Nothing is to be tried again.
    pub(super) fn done(&mut self) {
        self.backoff.reset();
        self.retry = None;
    }

    /// Rules that are in force are looked at from time to time.
    pub(super) fn keep(&mut self, in_force: bool) {
        if self.in_force != in_force {
            self.in_force = in_force;
            self.plan_recheck();
        }
    }

    /// Half of the pause is by chance, so that a hundred pods adopted at once are not looked at at once.
    fn plan_recheck(&mut self) {
        let every = self.every.borrow_and_update().filter(|_| self.in_force);
        self.recheck = every.map(|every| Instant::now() + Backoff::new(every, every).next_delay());
    }

    fn count(&mut self) {
        let now = Instant::now();
        if now >= self.window + WINDOW {
            (self.window, self.changes) = (now, 0);
        }
        self.changes += 1;
    }

    /// Sleeps until there is something to do.
    pub(super) async fn wait(&mut self, changes: Option<&AsyncFd<OwnedFd>>) -> Woken {
        let calm = (self.changes >= MOST_CHANGES).then(|| self.window + WINDOW);
        let changed = async {
            until(calm, false).await;
            changed(changes).await;
        };
        tokio::select! {
            () = until(self.retry, true) => {
                self.retry = None;
                Woken::Retry
            }
            () = until(self.recheck, true) => {
                self.plan_recheck();
                Woken::Recheck
            }
            Ok(()) = self.every.changed() => {
                self.plan_recheck();
                Woken::Settings
            }
            () = changed => {
                self.count();
                Woken::Changes
            }
        }
    }
}

/// Lets the runtime tell when a descriptor can be read.
#[expect(
    deprecated,
    reason = "its unsafe successor is about types whose descriptor may become another, which an OwnedFd's cannot"
)]
pub(super) fn listen(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// Waits until a time; without one for ever, or not at all.
async fn until(when: Option<Instant>, for_ever: bool) {
    match when {
        Some(when) => sleep_until(when).await,
        None if for_ever => pending().await,
        None => {}
    }
}

async fn changed(changes: Option<&AsyncFd<OwnedFd>>) {
    let Some(changes) = changes else { return pending().await };
    match changes.readable().await {
        // Taken as read: whoever reacts reads until nothing is left.
        Ok(mut ready) => ready.clear_ready(),
        Err(_) => pending().await,
    }
}
