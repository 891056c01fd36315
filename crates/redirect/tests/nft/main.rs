//! The nf_tables backend against the kernel and against nft itself, in throw-away network namespaces.

mod bed;
mod differential;
mod drift;
mod garbage;
mod lifecycle;
mod lock;
mod sets;
mod watch;
