//! A program's time and its most resident memory. The kernel tells the memory of a process's ended children only as the
//! most of all of them, so each run has a process of its own around it: this program, started again.

use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::thread::{CpuSet, sched_setaffinity};

/// What one run took.
#[derive(Debug, Clone)]
pub(super) struct Weight {
    pub(super) milliseconds: f64,
    pub(super) mebibytes: f64,
    /// The last line that it printed.
    pub(super) last_line: String,
}

/// Runs a command, on one core or on all, in a process of its own.
pub(super) fn weight(command: &[OsString], one_core: bool) -> Result<Weight> {
    let mut around = Command::new(std::env::current_exe().context("this program's own path")?);
    if one_core {
        around.arg("--one-core");
    }
    let output = around.arg("--weigh").args(command).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let mut words = text.splitn(3, ' ');
    let mut number = || -> Result<f64> { Ok(words.next().context("too few figures")?.parse()?) };
    let (milliseconds, mebibytes) = (number()?, number()? / 1024.0);
    Ok(Weight { milliseconds, mebibytes, last_line: words.next().unwrap_or_default().trim().to_owned() })
}

/// Runs the command and prints milliseconds, KiB and its last line. Findings are no failure.
pub(crate) fn run(command: &[OsString], one_core: bool, out: &mut impl Write) -> Result<()> {
    if one_core {
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first).context("to stay on the first core")?;
    }
    let (program, arguments) = command.split_first().context("no program to weigh")?;
    let start = Instant::now();
    let mut child = Command::new(program);
    let output = child.args(arguments).stdin(Stdio::null()).output().context("start of the program")?;
    let time = start.elapsed().as_secs_f64() * 1e3;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(matches!(output.status.code(), Some(0 | 1)), "it ended with {}: {}", output.status, error.trim());
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    writeln!(out, "{time} {memory} {last}")?;
    Ok(())
}
