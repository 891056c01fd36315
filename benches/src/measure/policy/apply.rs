//! The whole `apply`: policies and a file of pods in, verdicts out, beside Kyverno's own command line.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;

use super::library;
use super::weigh::{Weight, weight};
use crate::measure::Scale;

/// Where Kyverno's command line is.
const KYVERNO: &str = "MESHWARD_KYVERNO";
const LEFT_OUT: &str = "kyverno is left out: build it with benches/peers/kyverno/build.sh OUT and set MESHWARD_KYVERNO=OUT/kyverno";
const POLICIES: &str = "policies";

/// One program on one file of pods.
struct Run {
    name: String,
    command: Vec<OsString>,
    one_core: bool,
    rounds: usize,
    times: Series,
    memory: Series,
    last_line: String,
}

impl Run {
    fn new(name: impl Into<String>, command: Vec<OsString>, one_core: bool, rounds: usize) -> Self {
        let (times, memory) = (Series::default(), Series::default());
        Self { name: name.into(), command, one_core, rounds, times, memory, last_line: String::new() }
    }
}

/// Lets the programs take turns.
fn take_turns(label: &str, runs: &mut [Run]) -> Result<()> {
    let rounds = runs.iter().map(|run| run.rounds).max().unwrap_or(0);
    for round in 0..rounds {
        progress(label, round, rounds);
        for run in runs.iter_mut().filter(|run| round < run.rounds) {
            let Weight { milliseconds, mebibytes, last_line } =
                weight(&run.command, run.one_core).with_context(|| run.name.clone())?;
            run.times.push_value(milliseconds);
            run.memory.push_value(mebibytes);
            run.last_line = last_line;
        }
    }
    progress(label, rounds, rounds);
    Ok(())
}

fn sections(title: &str, note: &str, runs: &[Run]) -> [Section; 2] {
    let rows = |of: fn(&Run) -> &Series| -> Vec<(String, Series)> {
        runs.iter().map(|run| (run.name.clone(), of(run).clone())).collect()
    };
    let (times, memory) = (rows(|run| &run.times), rows(|run| &run.memory));
    let mut sections = [
        Section::new(title, note, "ms", &times),
        Section::new(format!("{title}: memory"), "most resident memory of the process", "MiB", &memory),
    ];
    if let [ours, .., peer] = runs
        && peer.name.starts_with("kyverno apply")
    {
        let [time, memory_of] = sections;
        sections = [
            time.faster(&times, &ours.name, &peer.name, 100.0),
            memory_of.faster(&memory, &ours.name, &peer.name, 20.0),
        ];
    }
    sections
}

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let folder = std::env::temp_dir().join(format!("meshward-bench-{}", std::process::id()));
    let found = in_folder(&folder, scale);
    // What was found counts, whatever becomes of the files.
    let _ = fs::remove_dir_all(&folder);
    found
}

fn in_folder(folder: &Path, scale: Scale) -> Result<Vec<Section>> {
    let policies = folder.join(POLICIES);
    fs::create_dir_all(&policies)?;
    // JSON is YAML; Kyverno does not read policies from files that end in .json, and does not say so.
    for policy in library::eighteen() {
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        fs::write(policies.join(format!("{name}.yaml")), policy.to_string())?;
    }
    let Some(ours) = ours() else { return Ok(vec![not_built("18 policies on many pods")]) };
    let mut found = Vec::new();
    for pods in scale.applied {
        let file = folder.join(format!("{pods}.yaml"));
        fs::write(&file, library::pods(pods))?;
        let command = |program: &Path| -> Vec<OsString> {
            vec![
                program.into(),
                "apply".into(),
                policies.clone().into(),
                "--resource".into(),
                file.clone().into(),
            ]
        };
        let mut runs = vec![
            Run::new("meshward apply", command(&ours), false, scale.long_rounds),
            Run::new("meshward apply, one core", command(&ours), true, scale.long_rounds),
        ];
        let compared = kyverno().filter(|_| pods <= scale.kyverno_pods);
        runs.extend(compared.map(|kyverno| Run::new("kyverno apply", command(&kyverno), false, 1)));
        let label = format!("18 policies on {pods} pods");
        take_turns(&label, &mut runs)?;
        let note = match runs.last() {
            Some(peer) if runs.len() == 3 && peer.last_line == runs[0].last_line => {
                format!("whole processes; both end with {:?}; kyverno runs once", peer.last_line)
            }
            Some(peer) if runs.len() == 3 => {
                format!("VERDICTS DIFFER: ours {:?}, kyverno {:?}", runs[0].last_line, peer.last_line)
            }
            _ if kyverno().is_none() => format!("whole processes; {LEFT_OUT}"),
            _ => "whole processes; with --long beside kyverno".to_string(),
        };
        found.extend(sections(&format!("{label}, {} KB", fs::metadata(&file)?.len() / 1000), &note, &runs));
    }
    Ok(found)
}

/// The start of the command lines.
pub(crate) fn start_up(scale: Scale) -> Result<Vec<Section>> {
    let Some(ours) = ours() else { return Ok(vec![not_built("Start of the policies' command line")]) };
    let mut runs =
        vec![Run::new("meshward version", vec![ours.into(), "version".into()], false, scale.long_rounds)];
    let peer = kyverno().map(|kyverno| vec![kyverno.into(), "version".into()]);
    runs.extend(peer.map(|command| Run::new("kyverno version", command, false, scale.long_rounds)));
    take_turns("start of the command lines", &mut runs)?;
    let note = if runs.len() == 1 { LEFT_OUT } else { "from starting the process to its end" };
    Ok(sections("Start of the policies' command line", note, &runs).into())
}

fn ours() -> Option<PathBuf> {
    let ours = std::env::current_exe().ok()?.with_file_name("meshward");
    ours.is_file().then_some(ours)
}

fn kyverno() -> Option<PathBuf> {
    std::env::var_os(KYVERNO).map(PathBuf::from).filter(|path| path.is_file())
}

fn not_built(title: &str) -> Section {
    Section::new(title, "left out: meshward is not built (cargo build --release -p meshward-cli)", "ms", &[])
}
