//! Traffic redirection rules as data. A mesh's options become a [`RuleSet`]; everything else is a view of that
//! one value: netlink bytes, nft text, iptables-restore text, JSON, the trace of a packet, and the comparison
//! with what the kernel holds. Only `netlink`, `netns` and `backend` touch the kernel; the rest is pure.
//!
//! ```text
//! flags, environment, annotations ─► Settings ─► dialect options ─► RuleSet ─┬─► render (nft, iptables, JSON)
//!                                                                            ├─► trace
//!                                                                            └─► program / check / watch
//! ```

pub mod builder;
pub mod dialect;
mod fingerprint;
pub mod iptables;
pub mod keep;
pub mod net;
pub mod netns;
pub mod nft;
pub mod program;
pub mod render;
pub mod rtnl;
pub mod ruleset;
pub mod trace;

pub use fingerprint::FORMAT;
pub use ruleset::{
    Action, Chain, ChainName, CtState, CtStates, Hook, InvalidRuleSet, Match, Mesh, PolicyRouting,
    ReadRuleSet, Rule, RuleSet, Table, TableKind,
};
