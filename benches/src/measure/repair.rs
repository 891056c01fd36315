//! From the moment a rule is gone to the moment the rules are whole again: how long a pod's traffic can pass the proxy
//! by when somebody in it has NET_ADMIN and the table is not locked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use meshward_redirect::RuleSet;
use meshward_redirect::nft::{Event, Lock, NfSocket, Watch};
use meshward_redirect::program::{self, Options, Target};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Scale;
use crate::bed::{self, Pod};
use crate::report::Section;
use crate::rounds::{Contender, take_turns};
use crate::standard;
use crate::tamper::Tamperer;

/// The chain with the one rule that sends outbound connections to the proxy.
const CHAIN: &str = "nat_redirect";
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon the watcher notices that it is no longer needed.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    let pod = Pod::new()?;
    // A locked table nobody else can change.
    let options = Options { lock: Lock::Off, ..Options::default() };
    let socket = program::program(pod.namespace(), &rules, &options)?.socket.context("no nf_tables here")?;
    let (watch, tamperer) =
        pod.namespace().run(|| -> Result<_> { Ok((Watch::open(rules.mesh)?, Tamperer::new()?)) })??;
    let (done, repaired) = channel();
    let over = AtomicBool::new(false);
    let target = Target { namespace: pod.namespace(), socket: Some(&socket) };
    let series = std::thread::scope(|scope| {
        let watching = scope.spawn(|| keep(watch, target, &rules, &options, &done, &over));
        let table = rules.mesh.table_name();
        let once = || attack(&tamperer, &table, &repaired);
        let series =
            take_turns("repair", scale.rounds * 2, vec![Contender::new("meshward", once)], || Ok(()));
        over.store(true, Ordering::Relaxed);
        watching.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))??;
        series
    })?;
    drop(socket);
    bed::clear(vec![pod])?;
    let note = "from the tamperer's acknowledgement to the end of program, its read-back included; none of the \
                meshes' own set-ups repairs rules";
    Ok(vec![Section::new("Repair of a deleted rule", note, "ms", &series).at_most(5.0, "within 5 ms")])
}

fn attack(tamperer: &Tamperer, table: &str, repaired: &Receiver<Instant>) -> Result<Duration> {
    tamperer.empty(table, CHAIN)?;
    let start = Instant::now();
    let end = repaired.recv_timeout(PATIENCE).context("nobody repaired it")?;
    Ok(end.saturating_duration_since(start))
}

/// Puts the rules back whenever somebody else has changed them, until it is over.
fn keep(
    mut watch: Watch,
    target: Target<'_>,
    rules: &RuleSet,
    options: &Options,
    done: &Sender<Instant>,
    over: &AtomicBool,
) -> Result<()> {
    let own = target.socket.map(NfSocket::port).transpose()?;
    while !over.load(Ordering::Relaxed) {
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&GLANCE)))?;
        let mut changed = false;
        while let Some(event) = watch.next_event()? {
            changed |= match event {
                Event::Change { ours, port, .. } => ours && Some(port) != own,
                Event::Overflow => true,
            };
        }
        if changed {
            program::program(target, rules, options)?;
            done.send(Instant::now())?;
        }
    }
    Ok(())
}
