//! What both daemons share, so that logs, probes, shutdown and clients behave alike.
//!
//! ```text
//! log        one subscriber: text for people, JSON for collectors; the level can change while it runs
//! shutdown   signals ─► CancellationToken ─► tasks end ─► drained, or the names of those that did not
//! client     a kube client with bounds, and errors that name the likely cause
//! admin      /healthz /readyz /metrics on TCP; any router on a unix socket
//! serve      the accept loop beneath admin and TLS: limits, timeouts, drain
//! lease      one leader among replicas
//! tls        certificates that change while connections live; a self-managed authority
//! machine    clock, randomness, names and YAML for policies (feature `policy`)
//! watch      lists and watches as loose JSON
//! events     Events without floods
//! queue      one write for each object, the latest
//! backoff    how long to wait before the next attempt
//! bucket     how many in which time
//! ```

pub mod admin;
pub mod backoff;
pub mod bucket;
pub mod client;
pub mod events;
pub mod lease;
pub mod log;
#[cfg(feature = "policy")]
pub mod machine;
pub mod queue;
pub mod serve;
pub mod shutdown;
pub mod tls;
pub mod watch;
