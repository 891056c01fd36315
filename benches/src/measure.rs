//! The measures, in the order in which they run.

mod check;
mod many_pods;
pub(crate) mod memory;
mod one_pod;
pub(crate) mod policy;
mod repair;
mod restart;
mod start_up;

use anyhow::Result;
use meshward_benches::report::Section;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Rounds of measures that take milliseconds.
    pub(crate) rounds: usize,
    /// Rounds of measures that take a second.
    pub(crate) long_rounds: usize,
    /// Pods of the measures with many.
    pub(crate) pods: usize,
    /// Pods in the files that policies are applied to.
    pub(crate) applied: [usize; 2],
    /// Up to so many pods Kyverno is run too: it takes 11 ms and 0.1 MB for each.
    pub(crate) kyverno_pods: usize,
}

impl Scale {
    pub(crate) const FULL: Self =
        Self { rounds: 60, long_rounds: 9, pods: 100, applied: [1_000, 10_000], kyverno_pods: 1_000 };
    pub(crate) const QUICK: Self =
        Self { rounds: 3, long_rounds: 1, pods: 10, applied: [100, 1_000], kyverno_pods: 100 };
}

/// A measure gives one or more tables.
type Measure = fn(Scale) -> Result<Vec<Section>>;

/// Every measure by its name.
pub(crate) const MEASURES: [(&str, Measure); 10] = [
    ("one-pod", one_pod::measure),
    ("many-pods", many_pods::measure),
    ("check", check::measure),
    ("restart", restart::measure),
    ("repair", repair::measure),
    ("memory", memory::measure),
    ("start-up", start_up::measure),
    ("policy-pod", policy::measure),
    ("policy-apply", policy::measure_apply),
    ("policy-start-up", policy::start_up),
];
