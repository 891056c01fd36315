//! An agent that starts on a node full of pods that are as they should be, and that looks at them from time to time:
//! what a restart costs before anything else can be done, and what being sure costs when nothing happens.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use meshward_benches::report::Section;
use meshward_redirect::RuleSet;
use meshward_redirect::keep::Keeper;
use meshward_redirect::nft::{self, NfSocket};
use meshward_redirect::program::{self, Options};

use super::Scale;
use crate::bed::{self, Pod};
use crate::rounds::{Contender, take_turns};
use crate::standard;

/// How long the kernel may take to let go of a lock whose socket was closed.
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    let (restarted, watched) = (Pod::many(scale.pods)?, Pod::many(scale.pods)?);
    for pod in &restarted {
        program::program(pod.namespace(), &rules, &Options::default())?;
    }
    let mut keepers = start(&watched, &rules)?;
    look(&mut keepers)?;
    let contenders = vec![
        Contender::new("Keeper::start, all pods", || adopt(&restarted, &rules)),
        Contender::new("Keeper::recheck, all pods", || look(&mut keepers)),
    ];
    let series = take_turns("restart", scale.long_rounds * 2 + 1, contenders, || Ok(()))?;
    drop(keepers);
    bed::clear(restarted)?;
    bed::clear(watched)?;
    let note = format!(
        "{} pods with the standard Istio set in force, one after the other: adopted with their locks, nothing written; \
         and looked at again while nothing changed",
        scale.pods
    );
    let section = Section::new("Restart, and looking again", note, "ms", &series);
    Ok(vec![section.at_most(150.0, "100 pods adopted in at most 150 ms")])
}

fn start(pods: &[Pod], rules: &RuleSet) -> Result<Vec<Keeper>> {
    pods.iter()
        .map(|pod| Ok(Keeper::start(pod.namespace().clone(), rules.clone(), Options::default())?.0))
        .collect()
}

fn adopt(pods: &[Pod], rules: &RuleSet) -> Result<Duration> {
    released(pods, rules)?;
    let start = Instant::now();
    let mut kept = Vec::with_capacity(pods.len());
    for pod in pods {
        let (keeper, done) = Keeper::start(pod.namespace().clone(), rules.clone(), Options::default())?;
        ensure!(!done.changed, "rules that were in force were written again");
        kept.push(keeper);
    }
    Ok(start.elapsed())
}

/// Waits until nobody holds any lock any more.
fn released(pods: &[Pod], rules: &RuleSet) -> Result<()> {
    let deadline = Instant::now() + RELEASED_WITHIN;
    for pod in pods {
        let socket = pod.namespace().run(NfSocket::open)??;
        while nft::state(&socket, rules.mesh)?.is_some_and(|table| table.owner.is_some()) {
            if Instant::now() > deadline {
                bail!("a lock outlives its socket");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn look(keepers: &mut [Keeper]) -> Result<Duration> {
    let start = Instant::now();
    for keeper in keepers {
        ensure!(keeper.recheck()?.is_none(), "what was put in force is not there");
    }
    Ok(start.elapsed())
}
