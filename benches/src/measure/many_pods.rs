//! Rules into many namespaces at once: a node that starts, or a deployment that scales.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use meshward_benches::report::Section;
use meshward_redirect::RuleSet;
use meshward_redirect::netns::NetNs;
use meshward_redirect::program::{self, Options};

use super::Scale;
use crate::bed::{self, Pod};
use crate::peers;
use crate::rounds::{Contender, take_turns};
use crate::standard;

const OURS: &str = "meshward program, whole path";
const PAIR: &str = "iptables-restore pair, nft";

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    [2, 1].into_iter().map(|workers| with_workers(scale, &rules, workers)).collect()
}

fn with_workers(scale: Scale, rules: &RuleSet, workers: usize) -> Result<Section> {
    let options = Options::default();
    let calls = peers::restore_pair(rules, "nft")?;
    let ours = |pod: &mut Pod| {
        let done = program::program(&NetNs::open(pod.path())?, rules, &options)?;
        pod.keep(done.socket);
        Ok(())
    };
    let pair = |pod: &mut Pod| peers::run(&NetNs::open(pod.path())?, &calls);
    let contenders = vec![
        Contender::new(OURS, || storm(scale.pods, workers, ours)),
        Contender::new(PAIR, || storm(scale.pods, workers, pair)),
    ];
    let plural = if workers == 1 { "worker" } else { "workers" };
    let title = format!("{} pods at once, {workers} {plural}", scale.pods);
    let series = take_turns(&title, scale.long_rounds, contenders, || Ok(()))?;
    let note = "standard Istio set; time until all are programmed";
    Ok(Section::new(title, note, "ms", &series).faster(&series, OURS, PAIR, 10.0))
}

/// Does `work` on fresh pods, as many at a time as there are workers.
fn storm(pods: usize, workers: usize, work: impl Fn(&mut Pod) -> Result<()> + Sync) -> Result<Duration> {
    let pods: Vec<Mutex<Pod>> = Pod::many(pods)?.into_iter().map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let one = || -> Result<()> {
            while let Some(pod) = pods.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(&mut pod.lock().unwrap_or_else(PoisonError::into_inner))?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(_) => anyhow::bail!("a worker panicked"),
        })
    })?;
    let time = start.elapsed();
    let whole = pods.into_iter().map(|pod| pod.into_inner().unwrap_or_else(PoisonError::into_inner));
    bed::clear(whole.collect())?;
    Ok(time)
}
