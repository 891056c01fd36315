//! The heart of the agent.

mod pod;
mod registry;

pub use pod::{MalformedObject, PodView};
pub use registry::Registry;
