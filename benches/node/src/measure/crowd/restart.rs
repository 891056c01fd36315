//! An agent that starts on a node full of pods that are as they should be: how soon it has taken all of them over, and
//! that it has written nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_e2e::until;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, NfSocket};
use serde_json::Value;

use super::Crowd;
use crate::bench::{Bench, SOON};
use crate::journal::{between, moment};
use crate::process::Process;

/// What the agent's own log says of its start.
struct Start {
    /// Its first line.
    first: Timestamp,
    /// When the last pod was taken over.
    last: Timestamp,
}

pub(super) async fn measure(bench: &Bench, crowd: &Crowd) -> Result<Section> {
    let count = crowd.pods.len();
    let before = Rules::of(bench, crowd).await?;
    let (mut whole, mut own) = (Series::default(), Series::default());
    let mut writes = 0;
    for restart in 1..=bench.scale.restarts {
        eprintln!("restart {restart} of {}", bench.scale.restarts);
        let generations = before.generations()?;
        bench.agent.restart().await?;
        let start = until("all pods to be adopted", SOON, async || adopted(bench, crowd).await).await?;
        let started = moment(Process::of(bench.agent.pid().await?)?.started()?)?;
        whole.push(between(started, start.last).context("adopted before it was started")?);
        own.push(between(start.first, start.last).unwrap_or_default());
        for (former, now) in generations.iter().zip(before.generations()?) {
            // Taking over the lock is a transaction that changes no rule.
            writes = writes.max(now.wrapping_sub(*former).saturating_sub(1));
        }
    }
    let after = Rules::of(bench, crowd).await?;
    let changed = before.texts.iter().zip(&after.texts).filter(|(before, after)| before != after).count();
    let rows = [
        ("first line of the log → last pod adopted".to_string(), own),
        ("process started → last pod adopted".to_string(), whole),
    ];
    let note = "the agent's pod deleted, the next one's own log read; a process's start is known to two hundredths of a \
                second. Nothing is written when every rule has the handle that it had and each namespace saw one \
                transaction for each restart, the one that takes over the lock";
    let found = f64::from(writes) + changed as f64;
    Ok(Section::of_parts(format!("Restart of the agent with {count} pods"), note, "ms", &rows)
        .at_most(150.0, "all adopted in at most 150 ms")
        .aim("pods with a rule written, or transactions beyond the lock's", found, found == 0.0))
}

/// Fails until all pods are adopted.
async fn adopted(bench: &Bench, crowd: &Crowd) -> Result<Start> {
    let log = bench.agent.logs().await?;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let time = |line: &Value| line["timestamp"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let is_of_crowd = |line: &&Value| line["phase"] == "redirected" && line["namespace"] == crowd.shop.name();
    let redirected: Vec<&Value> = lines.iter().filter(is_of_crowd).collect();
    let count = crowd.pods.len();
    ensure!(redirected.len() >= count, "{} of {count} are redirected", redirected.len());
    let records = bench.agent.records().await?;
    let written = records.iter().find(|record| !record.adopted && record.mesh.is_some());
    ensure!(written.is_none(), "not adopted: {written:?}");
    let first = lines.first().and_then(time).context("no time in the agent's log")?;
    let last = redirected.iter().copied().filter_map(time).max().context("no time in the agent's log")?;
    Ok(Start { first, last })
}

/// The rules of every pod, each with its handle.
struct Rules {
    netns: Vec<PathBuf>,
    texts: Vec<String>,
}

impl Rules {
    async fn of(bench: &Bench, crowd: &Crowd) -> Result<Self> {
        let mut texts = Vec::new();
        for netns in &crowd.netns {
            texts.push(handles(bench, netns).await?);
        }
        Ok(Self { netns: crowd.netns.clone(), texts })
    }

    fn generations(&self) -> Result<Vec<u32>> {
        self.netns.iter().map(|netns| generation(netns)).collect()
    }
}

/// A rule that was written again has another handle. Who owns a table is not part of its rules.
async fn handles(bench: &Bench, netns: &Path) -> Result<String> {
    let list = bench.rig()?.in_netns(netns, &["nft", "-s", "-a", "list", "ruleset"]).await?;
    ensure!(list.contains("# handle"), "no rules in {}: {list}", netns.display());
    let is_of_rules = |line: &&str| !line.contains("progname") && !line.trim_start().starts_with("flags");
    Ok(list.lines().filter(is_of_rules).collect::<Vec<_>>().join("\n"))
}

fn generation(netns: &Path) -> Result<u32> {
    let socket = NetNs::open(netns)?.run(NfSocket::open)??;
    Ok(nft::generation(&socket)?)
}
