//! From the moment a rule is gone to the moment the rules are whole again: how long a pod's traffic can pass the proxy
//! by when somebody in it has NET_ADMIN and the table is not locked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use meshward_benches::report::Section;
use meshward_redirect::keep::Keeper;
use meshward_redirect::nft::Lock;
use meshward_redirect::program::Options;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Scale;
use crate::bed::{self, Pod};
use crate::rounds::{Contender, take_turns};
use crate::standard;
use crate::tamper::Tamperer;

/// The chain with the one rule that sends outbound connections to the proxy.
const CHAIN: &str = "nat_redirect";
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the keeper notices that it is no longer needed.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    let table = rules.mesh.table_name();
    let pod = Pod::new()?;
    // A locked table nobody else can change.
    let options = Options { lock: Lock::Off, ..Options::default() };
    let (mut keeper, _) = Keeper::start(pod.namespace().clone(), rules, options)?;
    let tamperer = pod.namespace().run(Tamperer::new)??;
    let (done, repaired) = channel();
    let over = AtomicBool::new(false);
    let series = std::thread::scope(|scope| {
        let keeping = scope.spawn(|| keep(&mut keeper, &done, &over));
        let attacks = vec![Contender::new("meshward", || attack(&tamperer, &table, &repaired))];
        let series = take_turns("repair", scale.rounds * 2, attacks, || Ok(()));
        over.store(true, Ordering::Relaxed);
        keeping.join().map_err(|_| anyhow::anyhow!("the keeper panicked"))??;
        series
    })?;
    drop(keeper);
    bed::clear(vec![pod])?;
    let note = "from the tamperer's acknowledgement until the rules are back and read back; none of the meshes' own \
                set-ups repairs rules";
    Ok(vec![Section::new("Repair of a deleted rule", note, "ms", &series).at_most(5.0, "within 5 ms")])
}

fn attack(tamperer: &Tamperer, table: &str, repaired: &Receiver<Instant>) -> Result<Duration> {
    tamperer.empty(table, CHAIN)?;
    let start = Instant::now();
    let end = repaired.recv_timeout(PATIENCE).context("nobody repaired it")?;
    Ok(end.saturating_duration_since(start))
}

/// Keeps the rules in force until it is over, and tells of each repair.
fn keep(keeper: &mut Keeper, done: &Sender<Instant>, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        let notes = keeper.descriptor().context("changes are not told here")?;
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&notes, PollFlags::IN)], Some(&GLANCE)))?;
        if keeper.react()?.is_some() {
            done.send(Instant::now())?;
        }
    }
    Ok(())
}
