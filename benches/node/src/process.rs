//! What one process of the node takes: memory and processor time, as the kernel accounts for them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

/// Of a second, in what the kernel tells programs (`USER_HZ`), whatever its own clock.
const TICKS: f64 = 100.0;

/// A process, and the control group of its container, in which nothing else runs.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// File with the processor time that the group has taken, and nanoseconds in its unit.
    usage: (PathBuf, u64),
}

impl Process {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        Ok(Self { pid, usage: usage_file(pid)? })
    }

    /// Memory in MiB, pages that are shared with others counted in parts (PSS).
    pub(crate) fn memory(&self) -> Result<f64> {
        Ok(self.kib("smaps_rollup", "Pss:")? / 1024.0)
    }

    /// The most resident memory it ever had, in MiB; shared pages counted whole.
    pub(crate) fn most_memory(&self) -> Result<f64> {
        Ok(self.kib("status", "VmHWM:")? / 1024.0)
    }

    /// Processor time since it was started, threads that have ended included.
    pub(crate) fn processor(&self) -> Result<Duration> {
        let (file, unit) = &self.usage;
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let number = match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
            Some(number) => number,
            None => &text,
        };
        Ok(Duration::from_nanos(number.trim().parse::<u64>()? * unit))
    }

    /// When it was started, to two hundredths of a second.
    pub(crate) fn started(&self) -> Result<SystemTime> {
        let stat = self.read("stat")?;
        // The name before it may hold anything.
        let field = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19));
        let ticks: u64 = field.context("no start time in /proc/PID/stat")?.parse()?;
        let uptime = fs::read_to_string("/proc/uptime").context("cannot read /proc/uptime")?;
        let up: f64 = uptime.split(' ').next().context("/proc/uptime is empty")?.parse()?;
        let ago = Duration::from_secs_f64((up - ticks as f64 / TICKS).max(0.0));
        SystemTime::now().checked_sub(ago).context("it was started before all time")
    }

    fn kib(&self, file: &str, key: &str) -> Result<f64> {
        let text = self.read(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| format!("no {key} in /proc/{}/{file}", self.pid))?.parse()?)
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

/// Version 2 has one hierarchy and counts microseconds, version 1 has one for processors and counts nanoseconds.
fn usage_file(pid: u32) -> Result<(PathBuf, u64)> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).context("the process is gone")?;
    let parts = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    for (controllers, group) in parts {
        let is_v1 = controllers.split(',').any(|one| one == "cpuacct");
        if !is_v1 && !controllers.is_empty() {
            continue;
        }
        let mounted = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|words| {
            let option = |name: &str| words.get(3).is_some_and(|all| all.split(',').any(|one| one == name));
            if is_v1 { option("cpuacct") } else { words.get(2) == Some(&"cgroup2") }
        });
        let Some(folder) = mounted.and_then(|words| words.get(1).copied()) else { continue };
        let (file, unit) = if is_v1 { ("cpuacct.usage", 1) } else { ("cpu.stat", 1000) };
        let path = PathBuf::from(format!("{folder}{group}/{file}"));
        if path.exists() {
            return Ok((path, unit));
        }
    }
    anyhow::bail!("no accounting of processor time for process {pid} in:\n{groups}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_can_be_looked_at() {
        let own = Process { pid: std::process::id(), usage: (PathBuf::new(), 1) };
        assert!(own.memory().unwrap() > 0.1 && own.most_memory().unwrap() > 0.1);
        let age = own.started().unwrap().elapsed().unwrap();
        assert!(age < Duration::from_secs(600), "{age:?}");
    }
}
