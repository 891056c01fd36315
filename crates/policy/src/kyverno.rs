//! Kyverno's validate rules as a pure library, because policies written for Kyverno must give the same verdicts with
//! the same messages here, without a cluster and without Go. Facts are those of Kyverno 1.19.1.
//!
//! ```text
//! variables ─┬─► pattern ────┐
//!            ├─► conditions ─┼─► policy (compile, evaluate) ─► RuleResult
//! matching ──┴─► autogen ────┘
//! ```

pub mod autogen;
pub mod conditions;
mod lookup;
pub mod matching;
pub mod pattern;
pub mod pod_security;
pub mod policy;
pub mod quirk;
mod scope;
pub mod variables;

pub(crate) use pod_security::path_matches;
