//! Consul's transparent proxy: the language of `consul connect redirect-traffic` and of the configuration that
//! consul-k8s writes into the pod's annotations. Built after hashicorp/consul (`sdk/nftables`,
//! `command/connect/redirecttraffic`).
//!
//! Where we differ, on purpose:
//! - `--proxy-uid` and `--proxy-inbound-port` have the defaults of consul-k8s (5995 and 20000); Consul's command wants
//!   them given. In a configuration object they are required, as there.
//! - `--proxy-id` is refused: it asks a Consul agent for the ports, and no agent is asked here.
//! - Ports are numbers; the names of `/etc/services` are not looked up.
//! - `--dual-stack` is ours: Consul derives it from its agent's address or the pod's.

pub mod config;
mod explain;
mod flags;
mod lints;
mod options;
mod rules;

pub(super) use explain::EXPLANATIONS;
pub use flags::FLAGS;
pub use lints::lints;
pub use options::{Dns, Options};
pub use rules::rules;
