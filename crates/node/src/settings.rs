//! Everything the agent can be told, from one table: each row is a flag, an environment variable and a key of the
//! configuration file, with the same name, the same values and one check. So the three cannot drift apart, and all that
//! is wrong is told at once before anything starts.
//!
//! ```text
//! flag ─► MESHWARD_* ─► file ─► default        the first that is there counts
//!            └─► Values (text and origin) ─► check ─► Settings │ SettingsError, with every problem
//!                        └─► --print-settings, /v1/settings
//! ```

mod check;
mod command;
mod file;
mod print;
mod reload;
mod table;
mod value;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use meshward_kit::log::Format;
use meshward_redirect::nft::Lock;
use meshward_redirect::program::Backend;

pub use command::{Invocation, StartError, Started, command, start};
pub use print::SettingValue;
pub use reload::{Reloaded, Reloader, SettingsFeed};
pub use table::{SETTINGS, Setting};
pub use value::{Origin, Sources, Values};

/// On, off, or on where it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switch {
    /// On where it works.
    #[default]
    Auto,
    /// On; that it does not work is an error that readiness shows.
    On,
    /// Off.
    Off,
}

/// The agent's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The node whose pods are ours.
    pub node_name: String,
    /// A kubeconfig in place of the service account.
    pub kubeconfig: Option<PathBuf>,
    /// Form of the log.
    pub log_format: Format,
    /// Level of the log; reloadable.
    pub log_level: String,
    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub admin_address: SocketAddr,
    /// The unix socket of `meshward status`.
    pub socket: PathBuf,
    /// How long tasks may take to end.
    pub shutdown_timeout: Duration,
    /// The locators.
    pub locate: Locate,
    /// How rules are put in force and kept.
    pub rules: Rules,
    /// What is told to whom.
    pub tell: Tell,
}

/// The four ways to find a pod's network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locate {
    /// The runtime's node resource interface.
    pub nri: Nri,
    /// The runtime's CRI socket.
    pub cri: Cri,
    /// The host's processes.
    pub proc: Proc,
    /// Our chained CNI plugin.
    pub cni: Cni,
}

/// NRI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nri {
    /// Whether it is used.
    pub mode: Switch,
    /// The runtime's socket.
    pub socket: PathBuf,
    /// Place among the node's plugins, 0 to 99.
    pub index: u8,
    /// How long a sandbox is held.
    pub deadline: Duration,
    /// Whether a sandbox without its rules fails to start.
    pub fail_closed: bool,
}

/// CRI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cri {
    /// Whether it is used.
    pub mode: Switch,
    /// The runtime's socket; none: looked for.
    pub socket: Option<PathBuf>,
    /// Whether the runtime's events are listened to.
    pub events: bool,
    /// How often to look while nothing tells of new pods.
    pub poll: Duration,
}

/// /proc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    /// Whether it is used; it needs the host's PID namespace.
    pub on: bool,
    /// Where the host's proc file system is.
    pub root: PathBuf,
    /// How often to look.
    pub interval: Duration,
}

/// The CNI plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cni {
    /// Whether it is installed and listened to.
    pub on: bool,
    /// The node's CNI configuration, as the agent sees it.
    pub conf_dir: PathBuf,
    /// The node's CNI executables, as the agent sees them.
    pub bin_dir: PathBuf,
    /// The socket between plugin and agent.
    pub socket: PathBuf,
    /// How long the plugin waits for the agent.
    pub timeout: Duration,
    /// Whether a pod without its rules fails to start.
    pub fail_closed: bool,
}

/// How rules are put in force and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which way into the kernel.
    pub backend: Backend,
    /// Whether our table is locked.
    pub lock: Lock,
    /// Whether rules that the mesh's own set-up left are removed once ours are in force.
    pub remove_older: bool,
    /// How often rules are compared without having been told of a change; none: never. Reloadable.
    pub recheck: Option<Duration>,
    /// Namespaces whose pods are never touched. Reloadable.
    pub exclude_namespaces: BTreeSet<String>,
}

/// What is told to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Whether the annotation and the condition are written. Reloadable.
    pub status: bool,
    /// Whether Events are written. Reloadable.
    pub events: bool,
    /// Whether istio-pod-network-controller's annotation is written. Reloadable.
    pub seed_compatibility: bool,
    /// The node taint that goes when the agent is ready; none: taints are left alone.
    pub taint: Option<String>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct SettingsError {
    /// At least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// `flag --nri`, `environment MESHWARD_NRI`, `/etc/meshward/node.yaml line 3, column 1`.
    pub place: String,
    /// What was found, and what is accepted.
    pub message: String,
}

fn lines(problems: &[Problem]) -> String {
    let head = match problems.len() {
        1 => "the settings cannot be used:".to_string(),
        count => format!("the settings cannot be used, {count} problems:"),
    };
    problems.iter().fold(head, |text, problem| format!("{text}\n  {problem}"))
}
