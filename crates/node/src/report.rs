//! From the engine to people: what changed about a pod, for the reporter to turn into the pod's status, Events, metrics
//! and the admin list. The engine never waits for the API server.

//!
//! ```text
//!                 ┌─► metrics
//! Report ─► plan ─┼─► display ─► status queue (latest of each pod) ─► one patch of pods/status
//!                 └─► events: bounded, the same ones counted ───────► events.k8s.io
//! ```

mod display;
mod events;
mod metrics;
mod reporter;
mod taint;
mod write;

use std::sync::Arc;
use std::time::Duration;

use meshward_mesh::PodRecord;

pub use display::{Display, Shown};
pub use events::EventPlanner;
pub use metrics::Metrics;
pub use reporter::{Conditions, Reporter, ShownLookup};
pub use taint::keep_taint;

/// One change of one pod.
#[derive(Debug, Clone)]
pub struct Report {
    /// The pod as it is now.
    pub record: Arc<PodRecord>,
    /// What happened; none when only the record changed.
    pub happened: Option<Happened>,
    /// Whether the pod is gone from the node: forget it.
    pub gone: bool,
}

/// What is worth an Event or a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Rules were written, and are proven.
    Programmed {
        /// From entering the namespace to the proof.
        took: Duration,
    },
    /// Rules were found in force, nothing was written.
    Adopted {
        /// How long the look took.
        took: Duration,
    },
    /// A change of the pod's annotations changed its rules in place.
    Reconfigured {
        /// How long it took.
        took: Duration,
    },
    /// Somebody else's change was put right.
    Repaired {
        /// Process that made it, where known: `nft (pid 812)`.
        by: Option<String>,
        /// What differed.
        what: String,
    },
    /// Our rules were taken away, since the pod no longer wants them.
    Removed,
    /// The pod asks for something invalid.
    Refused,
    /// It could not be done; tried again.
    Failed,
    /// It waits for longer than a pod should.
    Waits,
    /// A container runs although the rules are not in force.
    Unredirected,
    /// The gate's name was taken by somebody else in the pod.
    GateTaken,
}
