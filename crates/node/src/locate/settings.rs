//! What each source can be told. Plain values: flags, environment and file are the caller's matter.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// NRI: the runtime asks us while a sandbox starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NriSettings {
    /// The runtime's NRI socket.
    pub socket: PathBuf,
    /// Place among the node's NRI plugins: lower ones are asked first.
    pub index: PluginIndex,
    /// How long a sandbox is held while the engine works. At most half of the runtime's own request timeout (2 s by
    /// default) is used whatever is set here, since the runtime disconnects a plugin that is later than that.
    pub deadline: Duration,
    /// Make a sandbox fail to start when its rules are not in force at the deadline. Off: it starts, and the wait
    /// container guards the pod.
    pub fail_closed: bool,
}

impl Default for NriSettings {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/var/run/nri/nri.sock"),
            index: PluginIndex::default(),
            deadline: Duration::from_millis(500),
            fail_closed: false,
        }
    }
}

/// Two digits, `00` to `99` (nri pkg/api/plugin.go accepts nothing else).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginIndex(u8);

impl Default for PluginIndex {
    fn default() -> Self {
        Self(50)
    }
}

impl fmt::Display for PluginIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// A plugin index that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid NRI plugin index {found:?}: accepted are two digits, 00 to 99")]
pub struct InvalidPluginIndex {
    /// What was given.
    pub found: String,
}

impl FromStr for PluginIndex {
    type Err = InvalidPluginIndex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(InvalidPluginIndex { found: text.chars().take(40).collect() }),
        }
    }
}

/// CRI: we ask the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriSettings {
    /// The runtime's CRI socket; none: the usual places are tried in order.
    pub socket: Option<PathBuf>,
    /// How often to look while nothing else tells of new pods (NRI not connected, no event stream).
    pub poll: Duration,
    /// How often to look while NRI or the event stream tells of new pods.
    pub slow_poll: Duration,
    /// How long one call may take.
    pub timeout: Duration,
    /// Listen to the runtime's container events where that is safe (containerd 2, CRI-O) and NRI is not connected.
    pub events: bool,
}

impl Default for CriSettings {
    fn default() -> Self {
        Self {
            socket: None,
            poll: Duration::from_secs(5),
            slow_poll: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            events: true,
        }
    }
}

/// /proc: we look at the node's processes. Needs hostPID, and CAP_SYS_PTRACE for other users' processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcSettings {
    /// Where the host's proc file system is.
    pub root: PathBuf,
    /// How often to look.
    pub interval: Duration,
}

impl Default for ProcSettings {
    fn default() -> Self {
        Self { root: PathBuf::from("/proc"), interval: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_index_is_two_digits() {
        assert_eq!("07".parse::<PluginIndex>().unwrap().to_string(), "07");
        for text in ["", "7", "007", "+7", "a1", "１２"] {
            let error = text.parse::<PluginIndex>().unwrap_err().to_string();
            assert!(error.contains("two digits"), "{error}");
        }
    }
}
