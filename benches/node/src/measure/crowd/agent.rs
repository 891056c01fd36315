//! What the agent itself takes, as the kernel accounts for its container: while nothing happens, and during a rollout.

use std::time::{Duration, Instant};

use anyhow::Result;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_e2e::deployment::{roll_out, rolled_out};

use super::{Crowd, LONG, NAME};
use crate::bench::Bench;
use crate::process::Process;

/// Between two looks at the memory.
const GLANCE: Duration = Duration::from_millis(200);
/// For what a start has left to do: statuses to write, notes to read.
const SETTLING: Duration = Duration::from_secs(10);
/// Thousandths of a processor that are not worth seeing.
const IDLE: f64 = 5.0;

/// What was seen of a process during some time.
#[derive(Default)]
struct Watched {
    memory: Series,
    processor: Duration,
    time: Duration,
}

impl Watched {
    /// Thousandths of one processor.
    fn load(&self) -> f64 {
        self.processor.as_secs_f64() * 1e3 / self.time.as_secs_f64()
    }

    /// Watches until `done` is.
    async fn during(process: &Process, done: impl Future<Output = Result<()>>) -> Result<Self> {
        let (before, begin) = (process.processor()?, Instant::now());
        let mut memory = Series::default();
        let watch = async {
            loop {
                memory.push_value(process.memory()?);
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::select! {
            never = watch => {
                let failed: Result<()> = never;
                failed?;
            }
            done = done => done?,
        }
        let time = begin.elapsed();
        Ok(Self { memory, processor: process.processor()?.saturating_sub(before), time })
    }
}

fn one(value: f64) -> Series {
    let mut series = Series::default();
    series.push_value(value);
    series
}

/// With `count` pods whose rules are in force.
pub(super) async fn idle(bench: &Bench, count: usize) -> Result<Vec<Section>> {
    let process = bench.process().await?;
    tokio::time::sleep(SETTLING.min(bench.scale.idle * 2)).await;
    let length = bench.scale.idle;
    let rest = async {
        tokio::time::sleep(length).await;
        Ok(())
    };
    let watched = Watched::during(&process, rest).await?;
    let (load, seconds) = (watched.load(), watched.time.as_secs_f64());
    let most = process.most_memory()?;
    let note = "proportional share (PSS) of the agent's process, looked at five times a second; the most that was ever \
                resident counts pages whole that others share";
    let rows = [("PSS".to_string(), watched.memory), ("most ever resident".to_string(), one(most))];
    let memory =
        Section::of_parts(format!("Memory of the agent with {count} pods, idle"), note, "MiB", &rows);
    let note = format!(
        "processor time of its container over {seconds:.0} s in which nothing happened: its own checks, the kubelet's \
         probes, the watches of the API server"
    );
    let rows = [("thousandths of a processor".to_string(), one(load))];
    let processor = Section::of_parts(format!("Work of the agent with {count} pods, idle"), note, "m", &rows);
    Ok(vec![
        memory.at_most(20.0, "at most 20 MiB"),
        processor.at_most(IDLE, format!("at most {IDLE} thousandths of a processor")),
    ])
}

/// While every pod is replaced by another.
pub(super) async fn rollout(bench: &Bench, crowd: &Crowd) -> Result<Section> {
    let process = bench.process().await?;
    roll_out(&bench.bed, &crowd.shop, NAME, "2").await?;
    let watched = Watched::during(&process, rolled_out(&bench.bed, &crowd.shop, NAME, LONG)).await?;
    let count = crowd.pods.len();
    let (load, each) = (watched.load(), watched.processor.as_secs_f64() * 1e3 / count as f64);
    let most = process.most_memory()?;
    let note = format!(
        "every pod replaced, {:.0} s; processor time of the agent's container, everything included: {each:.1} ms for each \
         pod that came and went, {load:.0} thousandths of a processor",
        watched.time.as_secs_f64()
    );
    let rows = [("PSS".to_string(), watched.memory), ("most ever resident".to_string(), one(most))];
    Ok(Section::of_parts(format!("The agent during a rollout of {count} pods"), note, "MiB", &rows).aim(
        "processor time of the agent for each pod, ms",
        each,
        each <= 20.0,
    ))
}
