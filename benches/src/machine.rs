//! What the figures were measured on: without it they say nothing.

use std::fmt;
use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::peers;

/// The machine, and the peers' programs on it.
#[derive(Serialize)]
pub(crate) struct Machine {
    kernel: String,
    cpus: usize,
    cpu: String,
    /// One-minute load average at the start.
    load: String,
    tools: Vec<String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let words = |text: &str| text.split_whitespace().next().unwrap_or("unknown").to_string();
        Self {
            kernel: words(&read("/proc/sys/kernel/osrelease")),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_string(),
            load: words(&read("/proc/loadavg")),
            tools: peers::NEEDED.iter().map(|name| version(name)).collect(),
        }
    }
}

fn version(name: &str) -> String {
    let output = peers::find(name).and_then(|path| Ok(Command::new(path).arg("--version").output()?));
    match output {
        Ok(output) => format!("{name}: {}", String::from_utf8_lossy(&output.stdout).trim()),
        Err(_) => format!("{name}: not installed"),
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpus, cpu, load, tools } = self;
        write!(f, "kernel {kernel}, {cpus} CPUs ({cpu}), load {load} at the start")?;
        for tool in tools {
            write!(f, "\n{tool}")?;
        }
        Ok(())
    }
}
