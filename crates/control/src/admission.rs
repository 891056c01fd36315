//! What requests are answered.

pub mod swap;
mod webhook;

pub use webhook::router;
