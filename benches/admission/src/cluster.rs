//! The cluster of KUBECONFIG, by kubectl: where it is, who we are to it, and what is put there.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::io::Write;

/// A cluster.
pub(crate) struct Cluster {
    /// The API server.
    pub(crate) server: SocketAddr,
    /// The client's certificate and key, PEM.
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Runs kubectl with `input`.
pub(crate) fn kubectl(arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new("kubectl");
    let piped = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().context("cannot start kubectl")?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "kubectl {} ended with {}: {error}", arguments.join(" "), output.status);
    Ok(out.into_owned())
}

impl Cluster {
    /// By `KUBECONFIG`, which has to name the server by address and the client by certificate.
    pub(crate) fn connect() -> Result<Self> {
        ensure!(std::env::var_os("KUBECONFIG").is_some(), "no cluster to measure on: set KUBECONFIG");
        let shown = kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"], "")?;
        let view: Value = serde_json::from_str(&shown)?;
        let url = view["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
        let server = url.strip_prefix("https://").and_then(|rest| rest.trim_end_matches('/').parse().ok());
        let user = &view["users"][0]["user"];
        let decoded = |field: &str| -> Result<Vec<u8>> {
            let text = user[field].as_str().with_context(|| format!("the kubeconfig has no {field}"))?;
            meshward_policy::go::base64::decode(text).map_err(|error| anyhow::anyhow!("{field}: {error:?}"))
        };
        Ok(Self {
            server: server.with_context(|| format!("server {url}: accepted: https://ADDRESS:PORT"))?,
            certificate: decoded("client-certificate-data")?,
            key: decoded("client-key-data")?,
        })
    }

    /// What the API server knows us by.
    pub(crate) fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        Ok((
            chain.map_err(|error| anyhow::anyhow!("client-certificate-data: {error:?}"))?,
            key.map_err(|error| anyhow::anyhow!("client-key-data: {error:?}"))?,
        ))
    }

    /// An address of this machine that the API server reaches: the one it has itself, when it runs here.
    pub(crate) fn host(&self) -> IpAddr {
        self.server.ip()
    }
}

/// Puts objects there.
pub(crate) fn apply(objects: &[Value]) -> Result<()> {
    let text = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &text).map(|_| ())
}

/// Takes every policy away.
pub(crate) fn clear_policies() -> Result<()> {
    kubectl(&["delete", "clusterpolicies.kyverno.io", "--all", "--wait=true"], "").map(|_| ())
}

/// Waits until `count` policies say that they are ready.
pub(crate) fn policies_ready(count: usize) -> Result<()> {
    wait("the policies to be ready", Duration::from_secs(120), || {
        let list: Value =
            serde_json::from_str(&kubectl(&["get", "clusterpolicies.kyverno.io", "-o", "json"], "")?)?;
        let is_ready = |policy: &&Value| {
            let conditions = policy["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
        };
        let ready = list["items"].as_array().into_iter().flatten().filter(is_ready).count();
        ensure!(ready == count, "{ready} of {count} are ready");
        Ok(())
    })
}

/// Looks again and again.
pub(crate) fn wait(what: &str, longest: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    loop {
        match look() {
            Ok(()) => return Ok(()),
            Err(reason) if begin.elapsed() > longest => bail!("waited {longest:?} for {what}: {reason:#}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
