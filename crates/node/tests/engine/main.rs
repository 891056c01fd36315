//! The engine on real network namespaces: what the sources and the API server would tell comes over the same channels,
//! everything else is real.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod agent;
mod gate;
mod keep;
mod program;
