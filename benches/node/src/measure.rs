//! The measures, in the order in which they run.

mod crowd;
mod path;
mod repair;
mod start;

use std::time::Duration;

use anyhow::Result;
use futures::future::LocalBoxFuture;
use meshward_benches::report::Section;

use crate::bench::Bench;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Pods started one after the other while the runtime tells of them.
    pub(crate) told: usize,
    /// The same while it does not.
    pub(crate) found: usize,
    /// Rounds of pods that start with us, without us and with the peer.
    pub(crate) starts: usize,
    /// Pods of the measures with many.
    pub(crate) crowd: usize,
    /// How long the agent is watched while nothing happens.
    pub(crate) idle: Duration,
    /// Restarts of the agent.
    pub(crate) restarts: usize,
    /// Rules that are taken away.
    pub(crate) attacks: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self {
        told: 30,
        found: 12,
        starts: 12,
        crowd: 100,
        idle: Duration::from_secs(60),
        restarts: 5,
        attacks: 60,
    };
    pub(crate) const QUICK: Self = Self {
        told: 2,
        found: 1,
        starts: 1,
        crowd: 6,
        idle: Duration::from_secs(2),
        restarts: 1,
        attacks: 3,
    };
}

/// One measure.
pub(crate) struct Measure {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// In words.
    pub(crate) what: &'static str,
    /// Measures.
    pub(crate) run: for<'a> fn(&'a Bench) -> LocalBoxFuture<'a, Result<Vec<Section>>>,
}

/// Every measure.
pub(crate) const MEASURES: &[Measure] = &[
    Measure {
        name: "path",
        what: "from a sandbox to its open gate",
        run: |bench| Box::pin(path::measure(bench)),
    },
    Measure {
        name: "start",
        what: "start of a pod with us, without us, and with istio-init",
        run: |bench| Box::pin(start::measure(bench)),
    },
    Measure {
        name: "repair",
        what: "repair of a deleted rule",
        run: |bench| Box::pin(repair::measure(bench)),
    },
    Measure {
        name: "crowd",
        what: "many pods: their gates, the agent idle, restarted and during a rollout",
        run: |bench| Box::pin(crowd::measure(bench)),
    },
];
