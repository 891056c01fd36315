//! The controller as processes of this machine, on a real API server that runs here too: named by
//! `MESHWARD_TEST_KUBECONFIG`, skipped without one. It only looks at namespaces that the test labels, but makes and
//! removes objects of the cluster: do not name a cluster that others use.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod balancer;
mod bed;
mod files;
mod load;
#[cfg(feature = "faults")]
mod panics;
mod rotation;
mod scan;
mod versions;
mod webhooks;
