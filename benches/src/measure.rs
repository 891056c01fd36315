//! The measures, in the order in which they run.

mod check;
mod many_pods;
pub(crate) mod memory;
mod one_pod;
mod repair;
mod restart;
mod start_up;

use anyhow::Result;

use crate::report::Section;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Rounds of measures that take milliseconds.
    pub(crate) rounds: usize,
    /// Rounds of measures that take a second.
    pub(crate) long_rounds: usize,
    /// Pods of the measures with many.
    pub(crate) pods: usize,
}

impl Scale {
    pub(crate) const FULL: Self = Self { rounds: 60, long_rounds: 9, pods: 100 };
    pub(crate) const QUICK: Self = Self { rounds: 3, long_rounds: 1, pods: 10 };
}

/// A measure gives one or more tables.
type Measure = fn(Scale) -> Result<Vec<Section>>;

/// Every measure by its name.
pub(crate) const MEASURES: [(&str, Measure); 7] = [
    ("one-pod", one_pod::measure),
    ("many-pods", many_pods::measure),
    ("check", check::measure),
    ("restart", restart::measure),
    ("repair", repair::measure),
    ("memory", memory::measure),
    ("start-up", start_up::measure),
];
