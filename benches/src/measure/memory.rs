//! The memory of a process that programs many pods and holds their locks, as an agent does.

use std::io::Write;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_redirect::program::{self, Options};

use super::Scale;
use crate::bed::Pod;
use crate::standard;

const ROUNDS: usize = 3;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let program = std::env::current_exe().context("this program's own path")?;
    let (mut peak, mut end) = (Series::default(), Series::default());
    for round in 1..=ROUNDS.min(scale.rounds) {
        let output = Command::new(&program).arg("--program-pods").arg(scale.pods.to_string()).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}", error.trim());
        let text = String::from_utf8_lossy(&output.stdout);
        let mut figures = text.split_whitespace().map(str::parse::<f64>);
        let mut next = || figures.next().context("too few figures")?.context("no figure");
        peak.push_value(next()? / 1024.0);
        end.push_value(next()? / 1024.0);
        progress("memory", round, ROUNDS.min(scale.rounds));
    }
    let title = format!("Memory of a process that programs {} pods", scale.pods);
    let note = "resident, shared pages of the program included; the namespaces are made by the same process";
    let rows = [("meshward, at most".to_string(), peak), ("meshward, at the end".to_string(), end)];
    Ok(vec![Section::new(title, note, "MiB", &rows).at_most(12.0, "less than 12 MiB at any time")])
}

/// Programs so many pods, holds on to them, and prints the most and the present resident memory in KiB.
pub(crate) fn program_pods(count: usize, out: &mut impl Write) -> Result<()> {
    let rules = standard::rules()?;
    let options = Options::default();
    let mut pods = Pod::many(count)?;
    for pod in &mut pods {
        let socket = program::program(pod.namespace(), &rules, &options)?.socket;
        pod.keep(socket);
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    for field in ["VmHWM:", "VmRSS:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        writeln!(out, "{}", number.with_context(|| format!("no {field} in /proc/self/status"))?)?;
    }
    Ok(())
}
