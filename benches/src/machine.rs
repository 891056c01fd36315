//! What the figures were measured on: without it they say nothing.

use std::fmt;
use std::fs;

use serde::Serialize;

/// The machine, and the programs that were compared on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    kernel: String,
    cpus: usize,
    cpu: String,
    /// One-minute load average at the start.
    load: String,
    /// One line for each program, with its version.
    tools: Vec<String>,
}

impl Machine {
    /// As it is now, with a line for each of the peers' programs.
    pub fn look(tools: Vec<String>) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        Self {
            kernel: first_word("/proc/sys/kernel/osrelease"),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: model.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_string(),
            load: load(),
            tools,
        }
    }
}

/// The one-minute load average: how many other processes a measure had to share the processors with.
pub fn load() -> String {
    first_word("/proc/loadavg")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn first_word(path: &str) -> String {
    read(path).split_whitespace().next().unwrap_or("unknown").to_string()
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
