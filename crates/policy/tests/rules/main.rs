//! Rules, quirks and exemptions: tables of cases, and properties.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod exemptions;
mod kyverno;
mod lint;
mod migrate;
mod presets;
mod properties;
mod quirks;
mod refused;
mod table;
