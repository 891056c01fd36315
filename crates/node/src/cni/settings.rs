//! What the plugin's installer and the agent's side of the socket can be told.

use std::path::PathBuf;
use std::time::Duration;

/// The agent's end of the socket that the plugin asks over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Path of the socket. The folder must exist on the host, since the plugin runs there.
    pub socket: PathBuf,
    /// The longest time that a pod's ADD is held, whatever the plugin asks for.
    pub deadline: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/meshward/cni.sock"), deadline: Duration::from_secs(10) }
    }
}

/// Where the plugin goes and what its entry in the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallSettings {
    /// The node's CNI configuration, as the agent sees it (`/host/etc/cni/net.d` in a container).
    pub conf_dir: PathBuf,
    /// The node's CNI executables, as the agent sees them.
    pub bin_dir: PathBuf,
    /// The agent's socket, as the node sees it.
    pub socket: PathBuf,
    /// How long the plugin waits for the agent.
    pub timeout: Duration,
    /// Make ADD fail when the agent does not answer or the rules are not in force.
    pub fail_closed: bool,
    /// How often to look whether somebody rewrote the configuration.
    pub interval: Duration,
    /// Leave the executable where it is on removal: CRI-O tears running pods down with the configuration that they were
    /// made with, and fails when a plugin in it is gone.
    pub keep_binary: bool,
}

impl Default for InstallSettings {
    fn default() -> Self {
        Self {
            conf_dir: PathBuf::from("/etc/cni/net.d"),
            bin_dir: PathBuf::from("/opt/cni/bin"),
            socket: PathBuf::from("/run/meshward/cni.sock"),
            timeout: Duration::from_secs(5),
            fail_closed: false,
            interval: Duration::from_secs(5),
            keep_binary: false,
        }
    }
}
