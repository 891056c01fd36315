//! The node agent: programs mesh pods' network namespaces from outside, proves the rules and keeps them, so that the
//! pods need no privileges.
//!
//! ```text
//! locate (nri, cri, cni, proc) ─ Notice ─┐
//!                                        ├─► engine: plan ─► program ─► read back ─► gate open ─► keep
//! cluster (pods, namespaces) ─ Desired ──┘                       └─ Report ─► pod status, Events, metrics, admin list
//! ```

pub mod admin;
pub mod cluster;
pub mod cni;
pub mod engine;
pub mod gate;
pub mod locate;
pub mod located;
pub mod report;
pub mod run;
pub mod settings;
