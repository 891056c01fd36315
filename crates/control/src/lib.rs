//! The admission controller: policies and exemptions in force on an API server, mesh pods swapped on their way in, and
//! reports about what is there already. The engine is `meshward-policy` and `meshward-mesh`; this crate brings them
//! requests and objects, and takes their answers to where people look for them.
//!
//! ```text
//! watches ─► Live ─ Snapshot (immutable) ─┬─► admission ─► answer ─ Observed ─┐
//!                                         ├─► hooks (webhook configurations)  ├─► reports, Events, status, metrics
//!                                         └─► scan ─────────────── Observed ──┘
//! leader: hooks, certificates, scan, reports, status    every replica: watches, admission, metrics
//! ```

pub mod admission;
pub mod background;
pub mod certificates;
pub mod events;
pub mod hooks;
pub mod live;
pub mod lookup;
pub mod metrics;
pub mod observed;
pub mod report;
pub mod review;
pub mod roles;
pub mod run;
pub mod scan;
pub mod settings;
pub mod status;
