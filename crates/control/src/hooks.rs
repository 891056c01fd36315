//! Which requests the API server sends us: webhook configurations as exact as what is in force, since each request that
//! is sent for nothing costs its sender time, and one too many that nobody answers can stop a cluster.
//!
//! ```text
//! Snapshot's policies ─┐
//! discovery ── Apis ───┼─► desired ─► configurations ─ compare ─► create, patch, delete (leader)
//! definitions, caBundle┘                                  ▲
//!                          watch of what is there ────────┘
//! ```

mod apis;
mod conditions;
mod desired;
mod rules;
mod standards;
mod writer;

pub use apis::{Api, Apis, discover, watch_apis};
pub use conditions::{Answers, Fault};
pub(crate) use conditions::{FIELD as CONDITIONS_FIELD, ask as ask_conditions};
pub use desired::{Client as ClientConfig, Desired, Wishes, desired};
pub use standards::{Standards, Unlabelled};
pub use writer::{Configurations, Instance, Sources, Target, Writer, remove_all, watch_configurations};
