//! Pod Security: the behaviour tables of `tests/cases`, the public fixtures, and what must hold for every object.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its table has failed")]

mod admission;
mod cases;
mod checks;
mod properties;
mod suites;
