//! What is to be written about one object.

use std::sync::Arc;

use super::Results;
use crate::observed::Subject;
use crate::report::line::Line;

/// Cheap to clone: an attempt may have to be made again.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The object; of one that is only to lose results just uid and namespace.
    pub(super) subject: Subject,
    /// All that the scan found, with its hash. None: what is there stays.
    pub(super) scan: Option<(Arc<[Line]>, String)>,
    /// What requests found: in the place of what is there of the same policies.
    pub(super) admitted: Arc<[Line]>,
}

impl Job {
    pub(super) fn scanned(subject: Subject, lines: Vec<Line>, hash: String) -> Self {
        Self { subject, scan: Some((lines.into(), hash)), admitted: Arc::default() }
    }

    pub(super) fn admitted(results: Results) -> Self {
        Self { subject: results.subject, scan: None, admitted: results.lines.into() }
    }

    /// This one with what an earlier one that was not begun still has to say.
    pub(super) fn after(mut self, earlier: &Job) -> Self {
        self.keep_of(earlier);
        self
    }

    /// Takes from an earlier one what this one says nothing of.
    pub(super) fn keep_of(&mut self, earlier: &Job) {
        if self.scan.is_none() {
            self.scan = earlier.scan.clone();
        }
        if self.subject.kind.is_empty() {
            self.subject = earlier.subject.clone();
        }
        let ours = |line: &Line| self.admitted.iter().any(|own| own.policy == line.policy);
        let older: Vec<Line> = earlier.admitted.iter().filter(|line| !ours(line)).cloned().collect();
        if !older.is_empty() {
            self.admitted = self.admitted.iter().cloned().chain(older).collect();
        }
    }
}
