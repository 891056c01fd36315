//! A whole process of the command line: what a script that calls it in a loop waits for.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use meshward_benches::report::Section;

use super::Scale;
use crate::peers::Call;
use crate::rounds::{Contender, take_turns};
use crate::standard;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let ours = std::env::current_exe()?.with_file_name("meshward");
    if !ours.is_file() {
        let note =
            format!("left out: {} is not built (cargo build --release -p meshward-cli)", ours.display());
        return Ok(vec![Section::new("Start of the command line", note, "ms", &[])]);
    }
    let arguments: Vec<String> =
        standard::ARGUMENTS.iter().map(|(option, value)| format!("--{option}={value}")).collect();
    let rules = || {
        let mut command = Command::new(&ours);
        command.args(["rules", "istio"]).args(&arguments);
        command
    };
    let (nft, iptables) =
        (Call::new("nft", &["--version"], "")?, Call::new("iptables-nft", &["--version"], "")?);
    let contenders = vec![
        Contender::new("meshward rules istio", || time(rules())),
        Contender::new("nft --version", || time(nft.command())),
        Contender::new("iptables-nft --version", || time(iptables.command())),
    ];
    let series = take_turns("start-up", scale.rounds, contenders, || Ok(()))?;
    let note = "from starting the process to its end; the peers print no more than their version";
    Ok(vec![Section::new("Start of the command line", note, "ms", &series)])
}

fn time(mut command: Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let time = start.elapsed();
    ensure!(status.success(), "it ended with {status}");
    Ok(time)
}
