//! Pod Security: the behaviour tables of `tests/cases`, the public fixtures, and what must hold for every object.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its table has failed")]

mod cases;
mod checks;
mod suites;
