//! The cluster of `tests/e2e/cluster`: built once for its sources, and shared with whoever has started it already.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::lock::Lock;
use super::{folder, make_folder, script};
use crate::{run, tools};

/// In the cluster's folder while a run uses a cluster that it has started.
const MARK: &str = "started-by-a-run";

/// Where the cluster is and what it runs from: the `RIG_*` of `tests/e2e/cluster/lib.sh`.
pub(super) struct Rig {
    state: PathBuf,
    programs: PathBuf,
    _lock: Lock,
}

impl Rig {
    /// Waits until no other run uses it, and builds what is missing.
    pub(super) fn prepare() -> Result<Self> {
        if !run::is_root() {
            bail!("a cluster of our own needs root: run this as root, or give a KUBECONFIG");
        }
        let variable = |name: &str, default: &str| {
            tools::path_in(name).unwrap_or_else(|| std::env::temp_dir().join(default))
        };
        let state = variable("RIG_STATE", "meshrig");
        let mut lock = state.file_name().unwrap_or_default().to_os_string();
        lock.push(".lock");
        let lock = Lock::take(&state.with_file_name(lock))?;
        let rig = Self { state, programs: variable("RIG_BIN", "meshrig-bin"), _lock: lock };
        run::step("distribution packages of the cluster", &mut script("cluster/deps.sh"))?;
        if !rig.programs.join(".stamp").exists() {
            tools::need_go("the cluster")?;
            eprintln!(
                "building Kubernetes, etcd and containerd from their Go modules into {}: once, ten minutes",
                rig.programs.display()
            );
        }
        let mut build = script("cluster/build.sh");
        rig.environment(&mut build);
        run::step("the cluster's programs", &mut build)?;
        let mut runc = script("cluster/runc.sh");
        rig.environment(&mut runc);
        run::step("runc", &mut runc)?;
        Ok(rig)
    }

    /// What the scripts and the cases find the cluster by.
    pub(super) fn environment(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = vec![self.programs.clone()];
        folders.extend(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
            .env("RIG_STATE", &self.state)
            .env("RIG_BIN", &self.programs)
            .env("KUBECONFIG", self.kubeconfig())
            .env("CONTAINERD_ADDRESS", self.socket())
            .env("CONTAINERD_NAMESPACE", "k8s.io");
    }

    /// Who may do everything on it.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.state.join("admin.kubeconfig")
    }

    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    fn socket(&self) -> PathBuf {
        self.state.join("containerd/containerd.sock")
    }

    /// Whether it answers.
    fn is_up(&self) -> bool {
        let mut ask = Command::new(self.programs.join("kubectl"));
        self.environment(&mut ask);
        let asked = ask.args(["get", "--raw", "/readyz", "--request-timeout=20s"]).output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// Starts it unless it runs; whether it was started.
    pub(super) fn start(&self) -> Result<bool> {
        let mark = self.state.join(MARK);
        // As we have the lock, the run that left these is gone.
        if mark.exists() {
            eprintln!("==> a cluster at {} was left by a run that did not end", self.state.display());
            self.stop()?;
        } else if self.is_up() {
            eprintln!("==> a cluster runs at {} already, and is used", self.state.display());
            return Ok(false);
        } else if self.state.join("pids").exists() {
            eprintln!("==> what is left of a cluster at {} does not answer", self.state.display());
            self.stop()?;
        }
        make_folder(&self.state)?;
        std::fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
        let mut up = script("cluster/up.sh");
        self.environment(&mut up);
        if let Err(error) = run::step("starting the cluster", &mut up) {
            // What has started is in the way of the next attempt.
            self.stop().context("after a start that failed")?;
            return Err(error);
        }
        Ok(true)
    }

    /// The cluster is not the run's any more: it stays when the run has ended.
    pub(super) fn leave(&self) {
        // At worst the next run starts it anew.
        let _ = std::fs::remove_file(self.state.join(MARK));
    }

    pub(super) fn stop(&self) -> Result<()> {
        let mut down = script("cluster/down.sh");
        self.environment(&mut down);
        run::step("stopping the cluster", &mut down)
    }

    /// Puts image archives into the node.
    pub(super) fn load(&self, images: &[PathBuf]) -> Result<()> {
        if images.is_empty() {
            return Ok(());
        }
        let mut load = script("cluster/load.sh");
        self.environment(&mut load);
        run::step("loading images", load.args(images))
    }

    /// The chart's values for this node: folders by their own paths, as the conventional ones may belong to another
    /// cluster of this machine.
    pub(super) fn chart_values(&self) -> Vec<String> {
        let state = self.state.display();
        vec![
            format!("runtime.socket={}", self.socket().display()),
            format!("nri.folder={state}/nri"),
            format!("cni.binFolder={state}/cni/bin"),
            format!("cni.confFolder={state}/cni/net.d"),
        ]
    }

    pub(super) fn how_to_use(&self) -> String {
        format!("eval \"$({}/cluster/env.sh)\" to use it, {0}/cluster/down.sh to stop it", folder().display())
    }

    /// Builds programs of the real Kyverno, each once; the folder they are in.
    pub(super) fn kyverno(&self, programs: &[&str]) -> Result<PathBuf> {
        let out = tools::cache()?.join("kyverno");
        let missing: Vec<_> = programs.iter().filter(|program| !out.join(program).exists()).collect();
        if !missing.is_empty() {
            tools::need_go("Kyverno")?;
            eprintln!("building Kyverno from its Go module into {}: once, some minutes", out.display());
            let mut build = Command::new(run::root().join("benches/peers/kyverno/build.sh"));
            self.environment(&mut build);
            run::step("the real Kyverno", build.arg(&out).args(missing))?;
        }
        Ok(out)
    }

    /// Builds what the chart's options need of other projects, once; its outputs.
    pub(super) fn operators(&self) -> Result<PathBuf> {
        let out = tools::cache()?.join("operators");
        if !out.join(".stamp").exists() {
            tools::need_go("cert-manager")?;
            eprintln!("building cert-manager from its Go module into {}: once, two minutes", out.display());
        }
        let mut build = script("peers/operators/build.sh");
        self.environment(&mut build);
        run::step("the real cert-manager", build.arg(&out))?;
        Ok(out)
    }

    /// Builds the real Istio, once; its outputs.
    pub(super) fn istio(&self) -> Result<PathBuf> {
        let out = match tools::path_in("MESHWARD_ISTIO") {
            Some(out) => out,
            None => tools::cache()?.join("istio"),
        };
        if !out.join(".stamp").exists() {
            tools::need_go("Istio")?;
            eprintln!("building Istio from its Go module into {}: once, some minutes", out.display());
        }
        make_folder(&out)?;
        let mut build = script("peers/istio/build.sh");
        self.environment(&mut build);
        run::step("the real Istio", build.arg(&out)).context("the real Istio")?;
        Ok(out)
    }
}
