//! Text renderers of a rule set. Each is a walk over the same data and decides nothing.

pub mod iptables;
