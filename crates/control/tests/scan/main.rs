//! What the scan says about objects, and what becomes of it in reports and Events.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod golden;
mod reports;
mod status;
