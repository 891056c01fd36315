//! The container runtime's own log: what was asked of it and when, to the nanosecond. The API server knows whole seconds.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;

/// containerd's log, as of one moment.
pub(crate) struct Journal {
    lines: Vec<(Timestamp, String)>,
}

/// When a container was asked for and had ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The runtime was asked to start it.
    pub(crate) asked: Timestamp,
    /// It had ended; none while it runs.
    pub(crate) ended: Option<Timestamp>,
}

impl Journal {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().filter_map(|line| {
            let (time, rest) = line.strip_prefix("time=\"")?.split_once('"')?;
            Some((time.parse().ok()?, rest.to_string()))
        });
        Ok(Self { lines: lines.collect() })
    }

    /// When the last line with all of these words was written.
    fn last(&self, words: &[&str]) -> Option<&(Timestamp, String)> {
        self.lines.iter().rev().find(|(_, line)| words.iter().all(|word| line.contains(word)))
    }

    /// From the kubelet's wish for a pod's sandbox to the answer that it runs.
    pub(crate) fn sandbox(&self, uid: &str) -> Result<(Timestamp, Timestamp)> {
        let is_request = |line: &str| line.contains("msg=\"RunPodSandbox for ") && line.contains(uid);
        let times = |answer: bool| {
            let is_it = |line: &str| is_request(line) && line.contains("returns sandbox id") == answer;
            let found = self.lines.iter().rev().find(|(_, line)| is_it(line));
            found.map(|(time, _)| *time)
        };
        let asked = times(false).with_context(|| format!("the runtime's log has no sandbox of pod {uid}"))?;
        Ok((asked, times(true).with_context(|| format!("the sandbox of pod {uid} was not answered for"))?))
    }

    /// A container of a sandbox, by its name in the pod.
    pub(crate) fn container(&self, sandbox: &str, name: &str) -> Result<Run> {
        let what = || format!("the runtime's log has no container {name} in sandbox {sandbox}");
        let created =
            self.last(&["msg=\"CreateContainer within sandbox", sandbox, name, "returns container id"]);
        let (_, line) = created.with_context(what)?;
        let id = line.rsplit_once("returns container id").map(|(_, rest)| hexadecimal(rest));
        let id = id.filter(|id| id.len() == 64).with_context(what)?;
        let time = |words: &[&str]| self.last(words).map(|(time, _)| *time);
        let start = format!("msg=\"StartContainer for \\\"{id}\\\"");
        let is_request = |line: &str| line.contains(&start) && !line.contains("returns successfully");
        let asked = self.lines.iter().rev().find(|(_, line)| is_request(line)).map(|(time, _)| *time);
        Ok(Run { asked: asked.with_context(what)?, ended: time(&["container exit event", &id]) })
    }
}

/// The first word of hexadecimal digits.
fn hexadecimal(text: &str) -> String {
    let digits = text.chars().skip_while(|one| !one.is_ascii_hexdigit());
    digits.take_while(char::is_ascii_hexdigit).collect()
}

/// The time between two moments, none where they are the other way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> Option<Duration> {
    to.duration_since(from).try_into().ok()
}

/// A moment by the clock that the runtime's log is written by.
pub(crate) fn moment(time: SystemTime) -> Result<Timestamp> {
    Timestamp::try_from(time).context("a time beyond all calendars")
}

/// Where the cluster of this repository keeps it.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("logs/containerd.log")
}
