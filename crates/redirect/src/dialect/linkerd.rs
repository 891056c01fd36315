//! Linkerd's redirection: the flags of `linkerd2-proxy-init` (`proxy-init/cmd/root.go`), what they parse into, and the
//! rules it makes of them (`pkg/iptables/iptables.go`): nat, TCP only.

mod explain;
mod flags;
mod lints;
mod options;
mod rules;

pub(super) use explain::EXPLANATIONS;
pub use flags::FLAGS;
pub use lints::lints;
pub use options::Options;
pub use rules::rules;
