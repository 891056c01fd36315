//! Kyverno's files as its command line reads them: policies, exceptions, values, users and tests. `apply` and `test` share
//! it, so that both say the same about the same object. What Kyverno's reader skips silently is a problem here, with its
//! place in the file.
//!
//! ```text
//! policies ──┐
//! exceptions ┼─► Session ─ evaluate(policy, object) ─► results
//! values ────┘      └─ Cluster (objects, mocks) answers context entries
//! ```

pub(crate) mod action;
pub(crate) mod cluster;
pub(crate) mod flags;
pub(crate) mod live;
pub(crate) mod paths;
pub(crate) mod policies;
pub(crate) mod problem;
pub(crate) mod resource;
pub(crate) mod restricted;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod table;
pub(crate) mod user;
pub(crate) mod values;
