//! The results of one report: sorted, capped and hashed, so that the same results make the same report whatever way they
//! came, and a report is never too large for the API server.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::line::{Line, Moment};

/// How large a report may become.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most results.
    pub results: usize,
    /// The most bytes of all results together. etcd takes 1.5 MiB; the API server sends reports around as wholes.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { results: 200, bytes: 512 << 10 }
    }
}

/// How many results there are of each kind, those that were left out included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the words say it")]
pub struct Summary {
    pub pass: usize,
    pub fail: usize,
    pub warn: usize,
    pub error: usize,
    pub skip: usize,
}

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    lines: Vec<Line>,
    summary: Summary,
    left_out: usize,
}

impl Content {
    /// Orders the results as Kyverno does and leaves out what is too much: passed and skipped ones first.
    pub fn new(mut lines: Vec<Line>, bounds: &Bounds) -> Self {
        lines.sort_by(|a, b| order(a).cmp(&order(b)));
        lines.dedup_by(|a, b| a.identity() == b.identity());
        let mut summary = Summary::default();
        lines.iter().for_each(|line| summary.add(&line.result));
        let all = lines.len();
        let mut kept: Vec<usize> = (0..all).collect();
        kept.sort_by_key(|index| (rank(&lines[*index].result), *index));
        kept.truncate(bounds.results);
        let mut room = bounds.bytes;
        kept.retain(|index| {
            let size = size(&lines[*index]);
            let fits = size <= room;
            room = if fits { room - size } else { 0 };
            fits
        });
        kept.sort_unstable();
        let mut at = 0;
        lines.retain(|_| {
            let keep = kept.binary_search(&at).is_ok();
            at += 1;
            keep
        });
        Self { left_out: all - lines.len(), lines, summary }
    }

    /// The results that are told.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The same, to keep.
    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// How many there are of each kind.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// How many are not told.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Gives results that say what they said before the time they had before, and the others `now`. Answers those that
    /// are new or say something else.
    pub fn date(&mut self, before: &[Line], now: i64) -> Vec<Line> {
        let known: BTreeMap<_, &Line> = before.iter().map(|line| (line.identity(), line)).collect();
        let mut news = Vec::new();
        for line in &mut self.lines {
            let same = known.get(&line.identity()).filter(|old| old.says(line)).and_then(|old| old.timestamp);
            line.timestamp = Some(same.unwrap_or(Moment { seconds: now, nanos: 0 }));
            if same.is_none() {
                news.push(line.clone());
            }
        }
        news
    }

    /// The same for the same results, whenever they were found.
    pub fn hash(&self) -> String {
        let mut digest = Sha256::new();
        for line in &self.lines {
            let timeless = Line { timestamp: None, ..line.clone() };
            // A line is texts and numbers, which can always be written.
            digest.update(serde_json::to_vec(&timeless).unwrap_or_default());
            digest.update([0]);
        }
        digest.update(self.left_out.to_le_bytes());
        digest.update(serde_json::to_vec(&self.summary).unwrap_or_default());
        digest.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Summary {
    fn add(&mut self, result: &str) {
        match result {
            "pass" => self.pass += 1,
            "fail" => self.fail += 1,
            "warn" => self.warn += 1,
            "error" => self.error += 1,
            "skip" => self.skip += 1,
            _ => {}
        }
    }
}

/// Kyverno's order; of two with one identity the graver comes first and is kept.
fn order(line: &Line) -> (&str, &str, &str, usize, &str) {
    let (policy, rule, source) = line.identity();
    (policy, rule, source, rank(&line.result), &line.message)
}

fn rank(result: &str) -> usize {
    ["fail", "error", "warn", "skip"].iter().position(|graver| *graver == result).unwrap_or(4)
}

/// About what a line takes in JSON; the time that it will have included.
fn size(line: &Line) -> usize {
    serde_json::to_vec(line).map_or(0, |text| text.len()) + 48
}
