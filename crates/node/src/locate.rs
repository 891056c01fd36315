//! Finding pods' network namespaces. No single way works on every node: NRI tells in time but may be off, CRI always
//! works but tells late, the CNI plugin needs a file on the node, /proc needs the host's processes. So there are four
//! sources with one vocabulary ([`crate::located`]), and each is told to wait, to poll or to be silent by its settings.
//!
//! ```text
//! nri  ── RunPodSandbox, held until the engine answered ──┐
//! cri  ── list, container events, poll ───────────────────┤ Notice
//! cni  ── ADD, held likewise ─────────────────────────────┼───────► engine
//! proc ── scan ───────────────────────────────────────────┘
//! ```

mod backoff;
pub mod cri;
pub mod nri;
pub mod proc;
mod settings;

pub use settings::{CriSettings, NriSettings, PluginIndex, ProcSettings};
