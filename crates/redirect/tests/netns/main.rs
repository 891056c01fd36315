//! Everything that enters a network namespace, against the kernel, in throw-away namespaces.

mod bed;
mod namespace;
