//! The nf_tables backend against the kernel and against nft itself, in throw-away network namespaces.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod bed;
mod differential;
mod drift;
mod garbage;
mod lifecycle;
mod lock;
mod sets;
mod text;
mod watch;
