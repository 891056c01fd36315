//! The node of the cluster that this repository starts (`tests/e2e/cluster`): its processes, its network, its runtime.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::cluster::run;

/// For a process that was killed to be gone.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

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

    /// Runs a program on this machine, where the node's files are.
    ///
    /// # Errors
    /// It ends with an error; its own words.
    pub async fn here(&self, program: &[&str]) -> Result<String> {
        let Some((name, arguments)) = program.split_first() else { bail!("no program") };
        run(Command::new(name).args(arguments), "").await
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

    /// How the users of a pod's process are the node's (`uid_map`).
    ///
    /// # Errors
    /// The pod runs no such program.
    pub fn user_map(&self, pod_uid: &str, program: &str) -> Result<String> {
        let pid = self.processes(pod_uid, program)?.first().copied();
        let pid = pid.with_context(|| format!("the pod runs no {program}"))?;
        Ok(std::fs::read_to_string(format!("/proc/{pid}/uid_map"))?)
    }

    /// Stops a component (`kube-apiserver`, `containerd`) in its tracks until the result is dropped: connections stay
    /// open, and nobody answers.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self, component: &str) -> Result<Paused> {
        Paused::process(self.component(component)?).with_context(|| format!("cannot stop {component}"))
    }

    /// Ends a component of the control plane at once, as a crash would: connections break, and nobody listens. It is
    /// started again as it was, at the latest when the result is dropped.
    ///
    /// # Errors
    /// It does not run.
    pub fn end(&self, component: &str) -> Result<Ended> {
        let pid = self.component(component)?;
        let read = |file: &str| -> Result<Vec<String>> {
            let bytes = std::fs::read(format!("/proc/{pid}/{file}"))?;
            let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            Ok(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
        };
        let ended = Ended {
            name: component.into(),
            state: self.state.clone(),
            command: read("cmdline")?,
            environment: read("environ")?,
        };
        kill(pid.try_into()?)?;
        // Its sockets go with it: who is started before that finds its own port taken.
        let patience = Instant::now() + ENDS_WITHIN;
        while is_alive(pid) {
            ensure!(Instant::now() < patience, "{component} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(ended)
    }

    /// The process of a component.
    fn component(&self, component: &str) -> Result<i32> {
        let file = self.state.join("pids").join(component);
        let text = std::fs::read_to_string(&file).with_context(|| format!("{component} does not run"))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [pid, started] = words[..] else { bail!("cannot read {}", file.display()) };
        let pid: i32 = pid.parse()?;
        if start_time(pid).as_deref() != Some(started) {
            bail!("{component} does not run any more");
        }
        Ok(pid)
    }

    /// Gives an image of the node another name as well.
    ///
    /// # Errors
    /// The runtime's own words.
    pub async fn tag_image(&self, image: &str, name: &str) -> Result<()> {
        run(Command::new("ctr").args(["images", "tag", "--force", image, name]), "").await.map(|_| ())
    }

    /// Keeps a pod from the API server, and only from it, until the result is dropped. Connections are refused.
    ///
    /// # Errors
    /// nft's own words.
    pub async fn cut_off(&self, pod: IpAddr) -> Result<Cut> {
        let port = std::env::var("RIG_PORT").unwrap_or_else(|_| "6443".into());
        let family = if pod.is_ipv4() { "ip" } else { "ip6" };
        let cut = Cut { netns: format!("--net=/run/netns/{}", self.netns) };
        let rules = format!(
            "table inet {CUT} {{ chain c {{ type filter hook forward priority -10;
                {family} saddr {pod} tcp dport {port} reject with tcp reset; }}; }}"
        );
        run(Command::new("nsenter").args([&cut.netns, "--", "nft", "-f", "-"]), &rules).await?;
        Ok(cut)
    }
}

/// A component that was ended.
#[derive(Debug)]
pub struct Ended {
    name: String,
    state: PathBuf,
    command: Vec<String>,
    environment: Vec<String>,
}

impl Ended {
    /// Starts it again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(mut self) -> Result<()> {
        self.again()
    }

    fn again(&mut self) -> Result<()> {
        let command = std::mem::take(&mut self.command);
        let Some((program, arguments)) = command.split_first() else { return Ok(()) };
        let log = self.state.join("logs").join(format!("{}.log", self.name));
        let log = File::options().append(true).create(true).open(log)?;
        let environment = self.environment.iter().filter_map(|variable| variable.split_once('='));
        let child = std::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir("/")
            // It belongs to the cluster, and stays when we end.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {} again", self.name))?;
        let pid = i32::try_from(child.id())?;
        let started = start_time(pid).with_context(|| format!("{} ended at once", self.name))?;
        std::fs::write(self.state.join("pids").join(&self.name), format!("{pid} {started}\n"))?;
        Ok(())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // A cluster without it fails the next case, with a clearer word than this could have.
        let _ = self.again();
    }
}

/// The table that cuts a pod off.
const CUT: &str = "meshward_e2e_cut";

/// A pod that is cut off.
#[derive(Debug)]
pub struct Cut {
    netns: String,
}

impl Cut {
    /// Lets it through again.
    ///
    /// # Errors
    /// nft's own words.
    pub async fn end(mut self) -> Result<()> {
        let netns = std::mem::take(&mut self.netns);
        run(Command::new("nsenter").args([&netns, "--", "nft", "delete", "table", "inet", CUT]), "")
            .await
            .map(|_| ())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if !self.netns.is_empty() {
            let mut command = std::process::Command::new("nsenter");
            // The case has failed already when this is what ends it.
            let _ = command.args([&self.netns, "--", "nft", "delete", "table", "inet", CUT]).status();
        }
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

/// Whether a process has anything left: one that only waits to be reaped has closed everything, unless other threads of
/// it are still on their way out.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ended = stat.rsplit_once(") ").is_none_or(|(_, after)| after.starts_with(['Z', 'X']));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    !ended || threads > 1
}

/// A pid is used again; with its start time it names one process.
fn start_time(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    after.split(' ').nth(19).map(String::from)
}
