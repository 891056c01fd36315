//! The node of the cluster that this repository starts (`tests/e2e/cluster`): its processes, its network, its runtime.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::cluster::run;

/// Where `up.sh` keeps everything that runs.
#[derive(Debug, Clone)]
pub struct Rig {
    /// `RIG_STATE`
    pub state: PathBuf,
    /// `RIG_NETNS`
    pub netns: String,
    /// `RIG_NODE`
    pub node: String,
}

/// A pod's sandbox, as the runtime says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Path of its network namespace.
    pub netns: PathBuf,
    /// The process that holds it.
    pub pid: u32,
}

impl Rig {
    /// The CRI socket.
    pub fn runtime_socket(&self) -> PathBuf {
        self.state.join("containerd/containerd.sock")
    }

    /// Runs a program where the node is in the network.
    ///
    /// # Errors
    /// It ends with an error; its own words.
    pub async fn in_node(&self, program: &[&str]) -> Result<String> {
        let namespace = format!("--net=/run/netns/{}", self.netns);
        run(Command::new("nsenter").arg(namespace).arg("--").args(program), "").await
    }

    /// Runs a program in a network namespace of the node, with all of this machine's privileges: what a privileged
    /// attacker in the pod could do.
    ///
    /// # Errors
    /// It ends with an error; its own words.
    pub async fn in_netns(&self, namespace: &Path, program: &[&str]) -> Result<String> {
        let namespace = format!("--net={}", namespace.display());
        run(Command::new("nsenter").arg(namespace).arg("--").args(program), "").await
    }

    /// The running sandbox of a pod.
    ///
    /// # Errors
    /// The runtime has none.
    pub async fn sandbox(&self, namespace: &str, pod: &str) -> Result<Sandbox> {
        let socket = self.runtime_socket();
        let list = run(Command::new("rig").arg(socket).arg("sandboxes"), "").await?;
        let wanted = format!("{namespace}/{pod}");
        let found =
            list.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|words| match words[..] {
                [id, name, "SANDBOX_READY", netns, pid] if name == wanted => {
                    Some(Sandbox { id: id.into(), netns: netns.into(), pid: pid.parse().ok()? })
                }
                _ => None,
            });
        found.with_context(|| format!("the runtime has no running sandbox of {wanted}:\n{list}"))
    }

    /// Processes of a pod's containers whose program is `program`.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn processes(&self, pod_uid: &str, program: &str) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that ends while we look is none of the pod's any more.
            let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            let is_program = read("cmdline").split('\0').next().is_some_and(|first| first == program);
            if is_program && read("cgroup").contains(pod_uid) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Stops a component (`kube-apiserver`, `containerd`) in its tracks until the result is dropped: connections stay
    /// open, and nobody answers.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self, component: &str) -> Result<Paused> {
        let file = self.state.join("pids").join(component);
        let text = std::fs::read_to_string(&file).with_context(|| format!("{component} does not run"))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [pid, started] = words[..] else { bail!("cannot read {}", file.display()) };
        let pid: i32 = pid.parse()?;
        if start_time(pid).as_deref() != Some(started) {
            bail!("{component} does not run any more");
        }
        Paused::process(pid).with_context(|| format!("cannot stop {component}"))
    }
}

/// A process that stands still.
#[derive(Debug)]
pub struct Paused(Pid);

impl Paused {
    pub(crate) fn process(pid: i32) -> Result<Self> {
        let pid = Pid::from_raw(pid).context("no process has pid 0")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It has ended by itself when this fails.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Ends a process at once, as a crash or the kernel would.
///
/// # Errors
/// It is not there.
pub fn kill(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process has such a pid")?;
    kill_process(pid, Signal::KILL).context("cannot kill the process")
}

/// A pid is used again; with its start time it names one process.
fn start_time(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(19).map(String::from)
}
