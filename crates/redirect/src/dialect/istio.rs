//! Istio's sidecar redirection: the flags of `istio-iptables`, what they parse into, and the rules that its iptables
//! backend makes of them (`tools/istio-iptables/pkg/capture/run.go`). Where Istio's two backends differ, iptables is
//! the one followed here.

mod explain;
mod flags;
mod lints;
mod options;
mod rules;

pub(super) use explain::EXPLANATIONS;
pub use flags::FLAGS;
pub use lints::lints;
pub use options::{Dns, Interception, Ipv6, Options, Selection};
pub use rules::rules;
