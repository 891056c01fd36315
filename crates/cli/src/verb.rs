//! One module a verb.

pub(crate) mod completions;
pub(crate) mod generate;
pub(crate) mod program;
pub(crate) mod rules;
pub(crate) mod swap;
pub(crate) mod trace;
pub(crate) mod version;
