//! Settings that are valid and still do not do what their author probably expects. They change no rule; every shell
//! shows them next to its result.

use serde::Serialize;

/// One remark about the options as they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The option's long name.
    pub option: &'static str,
    /// What to know about it, for people.
    pub message: String,
}
