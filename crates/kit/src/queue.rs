//! What is written to the API server when. Pure: the caller brings the time and does the writing.
//!
//! Bounded by the number of the objects: a newer job of an object takes the place of the older one, and an object that
//! is gone is forgotten.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::backoff::Backoff;

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// Attempts that the API server answered with an error that waiting may cure, but probably does not.
const ATTEMPTS: u32 = 5;

/// Jobs that wait, one for each object.
#[derive(Debug)]
pub struct WriteQueue<T> {
    waiting: HashMap<String, Waiting<T>>,
    limit: usize,
    running: usize,
    order: u64,
    /// Nothing is tried before, since the API server said no to us as such.
    closed_until: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<T> {
    /// None while the newest one runs.
    job: Option<T>,
    running: bool,
    /// The object went while its job ran.
    gone: bool,
    due: Instant,
    order: u64,
    backoff: Backoff,
    refused: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Written, or no longer needed.
    Done,
    /// The API server is away or busy: again, for as long as it takes.
    Away,
    /// The API server refused this one: again, a few times.
    Refused,
    /// We may not write at all: nothing is tried for the given time, and nothing is lost.
    Denied(Duration),
}

impl<T: Clone> WriteQueue<T> {
    /// At most `limit` at one time.
    pub fn new(limit: usize) -> Self {
        Self { waiting: HashMap::new(), limit, running: 0, order: 0, closed_until: None }
    }

    /// Queues the job of an object; an older one that has not begun yet is dropped.
    pub fn put(&mut self, uid: &str, job: T, now: Instant) {
        self.order += 1;
        let order = self.order;
        let entry = self.waiting.entry(uid.to_string()).or_insert_with(|| Waiting {
            job: None,
            running: false,
            gone: false,
            due: now,
            order,
            backoff: Backoff::new(FIRST_RETRY, LONGEST_RETRY),
            refused: 0,
        });
        entry.job = Some(job);
        entry.gone = false;
        entry.refused = 0;
    }

    /// Forgets an object that is gone; a running attempt ends on its own.
    pub fn forget(&mut self, uid: &str) {
        if let Some(entry) = self.waiting.get_mut(uid) {
            entry.job = None;
            entry.gone = true;
            if !entry.running {
                self.waiting.remove(uid);
            }
        }
    }

    /// The next one to write now, oldest first.
    pub fn start(&mut self, now: Instant) -> Option<(String, T)> {
        // While denied a single attempt finds out whether that has changed.
        let limit = if self.closed_until.is_some() { 1 } else { self.limit };
        if self.running >= limit || self.closed_until.is_some_and(|until| now < until) {
            return None;
        }
        let ready = self.waiting.iter_mut().filter(|(_, entry)| entry.is_ready(now));
        let (uid, entry) = ready.min_by_key(|(_, entry)| entry.order)?;
        entry.running = true;
        self.running += 1;
        entry.job.take().map(|job| (uid.clone(), job))
    }

    /// An attempt that [`WriteQueue::start`] gave out has ended. True when the job is given up.
    pub fn end(&mut self, uid: &str, job: T, ended: Ended, now: Instant) -> bool {
        self.running = self.running.saturating_sub(1);
        self.closed_until = match ended {
            Ended::Denied(wait) => Some(now + wait),
            // An answer of any kind means that we may.
            Ended::Done | Ended::Refused => None,
            Ended::Away => self.closed_until,
        };
        let Some(entry) = self.waiting.get_mut(uid) else { return false };
        entry.running = false;
        let newer = entry.job.is_some();
        let given_up = match ended {
            Ended::Done => {
                entry.backoff.reset();
                false
            }
            Ended::Refused => {
                entry.refused += 1;
                entry.due = now + entry.backoff.next_delay();
                entry.refused >= ATTEMPTS && !newer
            }
            Ended::Away => {
                entry.due = now + entry.backoff.next_delay();
                false
            }
            Ended::Denied(_) => false,
        };
        if !newer && !entry.gone && ended != Ended::Done && !given_up {
            entry.job = Some(job);
        }
        if entry.job.is_none() {
            self.waiting.remove(uid);
        }
        given_up
    }

    /// When [`WriteQueue::start`] may next have one, if nothing happens before; none when only an end can bring one.
    pub fn due(&self) -> Option<Instant> {
        if self.running >= if self.closed_until.is_some() { 1 } else { self.limit } {
            return None;
        }
        let next = self.waiting.values().filter(|entry| entry.job.is_some() && !entry.running);
        let next = next.map(|entry| entry.due).min()?;
        Some(self.closed_until.map_or(next, |until| until.max(next)))
    }

    /// How many jobs wait or run.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The job of an object that waits, to be merged with a newer one.
    pub fn waiting(&mut self, uid: &str) -> Option<&mut T> {
        self.waiting.get_mut(uid)?.job.as_mut()
    }

    /// Whether an object has a job that waits or runs.
    pub fn holds(&self, uid: &str) -> bool {
        self.waiting.contains_key(uid)
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T> Waiting<T> {
    fn is_ready(&self, now: Instant) -> bool {
        self.job.is_some() && !self.running && self.due <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (WriteQueue<u32>, Instant) {
        (WriteQueue::new(2), Instant::now())
    }

    #[test]
    fn the_latest_counts_and_the_oldest_goes_first() {
        let (mut queue, now) = queue();
        for (uid, job) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            queue.put(uid, job, now);
        }
        assert_eq!(queue.start(now), Some(("a".into(), 3)));
        assert_eq!(queue.start(now), Some(("b".into(), 2)));
        assert_eq!(queue.start(now), None, "two at one time");
        assert_eq!(queue.due(), None);
        // One that comes while its pod is being written waits for that.
        queue.put("a", 5, now);
        assert!(!queue.end("b", 2, Ended::Done, now));
        assert_eq!(queue.start(now), Some(("c".into(), 4)));
        assert!(!queue.end("a", 3, Ended::Done, now));
        assert_eq!(queue.start(now), Some(("a".into(), 5)));
        queue.end("a", 5, Ended::Done, now);
        queue.end("c", 4, Ended::Done, now);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_api_server_that_is_away_is_asked_again_for_ever() {
        let (mut queue, mut now) = queue();
        queue.put("a", 1, now);
        for _ in 0..50 {
            let (uid, job) = queue.start(now).expect("due");
            assert!(!queue.end(&uid, job, Ended::Away, now));
            assert_eq!(queue.start(now), None, "not at once");
            let due = queue.due().expect("again");
            assert!(due > now && due <= now + LONGEST_RETRY);
            now = due;
        }
        // A newer status takes the place of the old one, and does not wait less.
        queue.put("a", 2, now);
        assert_eq!(queue.start(now), Some(("a".into(), 2)));
    }

    #[test]
    fn a_refused_status_is_given_up() {
        let (mut queue, mut now) = queue();
        queue.put("a", 1, now);
        let mut attempts = 0;
        loop {
            let (uid, job) = queue.start(now).expect("due");
            attempts += 1;
            if queue.end(&uid, job, Ended::Refused, now) {
                break;
            }
            now = queue.due().expect("again");
        }
        assert_eq!((attempts, queue.len()), (ATTEMPTS, 0));
    }

    #[test]
    fn who_may_not_write_tries_one_now_and_then_and_loses_none() {
        let (mut queue, now) = queue();
        let wait = Duration::from_secs(300);
        for uid in ["a", "b", "c"] {
            queue.put(uid, 1, now);
        }
        let (uid, job) = queue.start(now).expect("due");
        queue.end(&uid, job, Ended::Denied(wait), now);
        assert_eq!((queue.start(now), queue.due(), queue.len()), (None, Some(now + wait), 3));
        let later = now + wait;
        let (uid, job) = queue.start(later).expect("one attempt");
        assert_eq!((queue.start(later), queue.due()), (None, None), "one, not two");
        queue.end(&uid, job, Ended::Done, later);
        assert!(queue.start(later).is_some() && queue.start(later).is_some());
    }

    #[test]
    fn a_pod_that_is_gone_is_forgotten() {
        let (mut queue, now) = queue();
        queue.put("a", 1, now);
        queue.put("b", 1, now);
        queue.start(now);
        queue.forget("a");
        queue.forget("b");
        assert_eq!(queue.start(now), None);
        assert!(!queue.end("a", 1, Ended::Away, now));
        assert!(queue.is_empty(), "not tried again");
    }
}
