//! The two controllers, each as a process of this machine that the API server reaches.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::body::Bytes;
use serde_json::Value;

use crate::cluster::{kubectl, wait};
use crate::load::Target;
use crate::trust;

/// For a controller to be ready.
const STARTED: Duration = Duration::from_secs(180);
/// Where ours keeps its Secret and its Lease.
const NAMESPACE: &str = "meshward-bench";

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Meshward,
    Kyverno,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meshward => "meshward",
            Self::Kyverno => "kyverno",
        }
    }
}

/// A controller that runs.
pub(crate) struct Contender {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    /// Where ours tells how it is.
    admin: Option<SocketAddr>,
}

impl Contender {
    /// Starts ours.
    pub(crate) fn meshward(program: &Path, host: IpAddr) -> Result<Self> {
        let (address, admin) = (SocketAddr::new(host, 19443), SocketAddr::new(host, 19902));
        let namespace =
            format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{NAMESPACE}"}}}}"#);
        kubectl(&["apply", "-f", "-"], &namespace)?;
        let mut command = Command::new(program);
        command.args(["--namespace", NAMESPACE, "--drain-delay", "0s"]);
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        command.args(["--webhook-url", &format!("https://{address}"), "--no-swap"]);
        // How fast reports are written is a setting; what they cost is measured.
        command.args(["--report-rate", "2000"]);
        let mut started = Self::start(Kind::Meshward, command, address)?;
        started.admin = Some(admin);
        started.wait_for(|| ask(admin, "readyz").map(|_| ()))
    }

    /// A metric of ours: the value of the line that begins so.
    pub(crate) fn metric(&self, line: &str) -> Result<f64> {
        let text = ask(self.admin.context("it has no metrics of ours")?, "metrics")?;
        let value = text.lines().find_map(|one| one.strip_prefix(line));
        Ok(value.with_context(|| format!("no metric {line}"))?.trim().parse()?)
    }

    /// Starts Kyverno by its recipe.
    pub(crate) fn kyverno(program: &Path, host: IpAddr) -> Result<Self> {
        let address = SocketAddr::new(host, 19543);
        let mut command = Command::new(recipe());
        command.arg(program).arg(address.to_string());
        let started = Self::start(Kind::Kyverno, command, address)?;
        started.wait_for(|| {
            let found = kubectl(&["get", "validatingwebhookconfigurations", "-o", "name"], "")?;
            ensure!(found.contains("kyverno-policy-validating"), "no webhooks of it");
            std::net::TcpStream::connect(address).context("nobody listens")?;
            Ok(())
        })
    }

    fn start(kind: Kind, mut command: Command, address: SocketAddr) -> Result<Self> {
        let path = log(kind);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn();
        let child = child.with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(Self { kind, child, address, admin: None })
    }

    fn wait_for(mut self, look: impl FnMut() -> Result<()>) -> Result<Self> {
        let ready = wait(self.kind.name(), STARTED, look);
        if ready.is_err() && self.child.try_wait()?.is_some() {
            return ready
                .map(|()| self)
                .context(format!("it has ended; its log: {}", log(Kind::Kyverno).display()));
        }
        ready.map(|()| self)
    }

    /// Where pods are judged.
    pub(crate) fn target(&self, body: Bytes) -> Result<Target> {
        let path = self.path()?;
        Ok(Target { address: self.address, path, tls: trust::tls(None)?, body, wanted: "\"allowed\":true" })
    }

    /// The path that the API server is told.
    fn path(&self) -> Result<String> {
        let shown = kubectl(&["get", "validatingwebhookconfigurations", "-o", "json"], "")?;
        let all: Value = serde_json::from_str(&shown)?;
        let prefix = format!("https://{}", self.address);
        let webhooks =
            all["items"].as_array().into_iter().flatten().flat_map(|one| one["webhooks"].as_array());
        let mut urls = webhooks.flatten().filter_map(|webhook| {
            let is_about_pods = webhook["rules"].to_string().contains("\"pods\"");
            webhook["clientConfig"]["url"].as_str().filter(|_| is_about_pods)?.strip_prefix(&prefix)
        });
        let found =
            urls.find(|path| path.contains("/validate/policies") || path.starts_with("/validate/fail"));
        Ok(format!("{}?timeout=10s", found.context("no webhook of it is about pods")?))
    }

    /// Resident memory, MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    /// The most that it ever was, MiB.
    pub(crate) fn most_memory(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name.to_owned())?;
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It may have ended by itself; what it left in the cluster is in nobody's way once it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for kind in ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"] {
            let _ = remove_ours(kind);
        }
    }
}

/// What ours answers at one of its admin paths.
fn ask(admin: SocketAddr, path: &str) -> Result<String> {
    let url = format!("http://{admin}/{path}");
    let answer = Command::new("curl").args(["-sf", &url]).output().context("curl")?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    ensure!(answer.status.success(), "{url} fails: {text}");
    Ok(text)
}

/// Deletes the configurations of both.
fn remove_ours(kind: &str) -> Result<()> {
    let names = kubectl(&["get", kind, "-o", "name"], "")?;
    for name in names.lines().filter(|name| name.contains("/kyverno-") || name.contains("/meshward-")) {
        kubectl(&["delete", name, "--ignore-not-found"], "")?;
    }
    Ok(())
}

/// Where its log is.
pub(crate) fn log(kind: Kind) -> PathBuf {
    std::env::temp_dir().join(format!("meshward-bench-{}.log", kind.name()))
}

/// `benches/peers/kyverno/server.sh`
pub(crate) fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers/kyverno/server.sh")
}
