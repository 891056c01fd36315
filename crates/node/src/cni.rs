//! The agent's own binary as a chained CNI plugin, for nodes where the runtime has no NRI and pods must not start before
//! their rules are in force. Optional: without it nothing of ours is on the node's disk. The plugin talks to the agent
//! alone, never to the API server, and holds no token, so an expired credential cannot stop pods (istio#38077).
//!
//! ```text
//! runtime ─ ADD ─► meshward-cni ─ one line of JSON ─► agent (Server) ─ Notice ─► engine
//!            ◄─ prevResult ─┘ ◄─ settled, or later and why ─┘ ◄────── Outcome ─────┘
//! ```

pub mod conflist;
mod install;
mod plugin;
mod server;
mod settings;
pub mod spec;
pub mod wire;

use std::process::ExitCode;

pub use install::{FileError, InstallError, Installed, Installer, keep};
pub use plugin::main;
pub use server::{ListenError, Server};
pub use settings::{InstallSettings, ServerSettings};

/// Runs as a plugin when a container runtime started this process as one (it sets `CNI_COMMAND`, and nobody else does);
/// none otherwise. To be called before anything else is set up: a runtime starts the plugin for every pod.
pub fn run_as_plugin() -> Option<ExitCode> {
    let variable = |name: &str| std::env::var(name).ok();
    variable("CNI_COMMAND")?;
    let (input, output, errors) =
        (std::io::stdin().lock(), std::io::stdout().lock(), std::io::stderr().lock());
    Some(ExitCode::from(main(&variable, input, output, errors)))
}
