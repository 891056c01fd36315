//! Kuma and Kong Mesh: the language of `kumactl install transparent-proxy` and of the configuration that Kuma's
//! injector writes into the pod's annotations. Built after kumahq/kuma, v3 line (`pkg/transparentproxy`).
//!
//! Where we differ, on purpose:
//! - The pod's `resolv.conf` cannot be seen from outside, so `--redirect-dns` takes its servers from `--dns-servers`;
//!   without it, every DNS query over UDP is captured, as with `--redirect-all-dns-traffic`.
//! - kuma-dp's own DNS queries always pass. Kuma sends them through the chain `DOCKER_OUTPUT` where Docker made one; a
//!   pod has no such chain, and no table can jump into another one's chain.
//! - IPv6 rules stand whenever the mode is `dualstack`, also in a namespace without IPv6, where they do nothing.
//! - User ids may have 32 bits in `--exclude-outbound-ports-for-uids`, where Kuma stops at 16.

pub mod config;
mod explain;
mod flags;
mod lints;
mod options;
mod rules;

pub(super) use explain::EXPLANATIONS;
pub use flags::FLAGS;
pub use lints::lints;
pub use options::{Dns, Inbound, IpFamilyMode, Options, Outbound, UidExclusion, VirtualNetwork, settle};
pub use rules::rules;
