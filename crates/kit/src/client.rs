//! The Kubernetes client as both daemons and the command line use it: where the cluster is found, how long a request
//! may take, who it says it is; and errors that name what was attempted and the likely cause.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::header::{HeaderValue, USER_AGENT};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Enough for a TLS handshake with a busy API server; short enough that a start without one tells soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// Which cluster, as whom.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// A kubeconfig file. None: `KUBECONFIG` when it is set, else the service account of the pod, else
    /// `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one.
    pub context: Option<String>,
    /// Name and version for the API server's logs: `meshward-node/0.1.0`.
    pub user_agent: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing says where the cluster is.
    #[error(
        "no cluster configured: KUBECONFIG is not set, there is no ~/.kube/config, and this is not a pod with a service account ({cause})"
    )]
    NoCluster {
        /// What reading the default kubeconfig said.
        cause: String,
    },
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}: {cause}")]
    Kubeconfig {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        cause: Box<KubeconfigError>,
    },
    /// The service account's files cannot be read.
    #[error("cannot use the pod's service account: {cause} (is automountServiceAccountToken off?)")]
    ServiceAccount {
        /// What is missing.
        #[from]
        cause: kube::config::InClusterError,
    },
    /// The user agent is not a header value.
    #[error("invalid user agent {found:?} (accepted: visible ASCII)")]
    UserAgent {
        /// What was given.
        found: String,
    },
    /// Certificates or keys are unusable.
    #[error("cannot make a Kubernetes client: {0}")]
    Client(#[from] Box<kube::Error>),
}

/// Installs the one cryptography provider (ring) for the process. Every TLS user calls it first; later calls change
/// nothing.
pub fn install_crypto() {
    // An error says that one is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Makes a client. No request is sent yet: an API server that is away is not an error here.
///
/// # Errors
/// No cluster configured, a kubeconfig or service account that cannot be used.
pub async fn connect(access: &Access) -> Result<Client, ConnectError> {
    install_crypto();
    let mut config = find(access).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let agent = HeaderValue::from_str(&access.user_agent)
        .map_err(|_| ConnectError::UserAgent { found: access.user_agent.clone() })?;
    config.headers.push((USER_AGENT, agent));
    Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
}

async fn find(access: &Access) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &access.kubeconfig {
        return from_file(path, &options).await;
    }
    let named = std::env::var("KUBECONFIG").ok().filter(|value| !value.is_empty());
    if named.is_none() && access.context.is_none() && std::env::var_os(IN_CLUSTER).is_some() {
        return Ok(Config::incluster()?);
    }
    Config::from_kubeconfig(&options).await.map_err(|cause| match (named, cause) {
        (Some(path), cause) => ConnectError::Kubeconfig { path, cause: Box::new(cause) },
        (None, cause @ (KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath)) => {
            ConnectError::NoCluster { cause: cause.to_string() }
        }
        (None, cause) => ConnectError::Kubeconfig { path: "~/.kube/config".into(), cause: Box::new(cause) },
    })
}

async fn from_file(path: &Path, options: &KubeConfigOptions) -> Result<Config, ConnectError> {
    let wrong = |cause| ConnectError::Kubeconfig { path: path.display().to_string(), cause: Box::new(cause) };
    let file = Kubeconfig::read_from(path).map_err(wrong)?;
    Config::from_custom_kubeconfig(file, options).await.map_err(wrong)
}

/// What an API error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The identity may not do this (401, 403).
    Denied,
    /// The object is not there, or no longer (404, 410).
    Gone,
    /// Somebody else changed the object, or it exists already (409).
    Conflict,
    /// The request itself is wrong; again would end the same (400, 405, 413, 415, 422).
    Invalid,
    /// The API server is busy or broken; later may work (429, 5xx).
    Busy,
    /// No answer: not reachable, timed out, TLS failed.
    Unreachable,
}

/// Sorts an error by what the caller can do about it.
pub fn kind(error: &kube::Error) -> Kind {
    let kube::Error::Api(status) = error else {
        return match error {
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
                Kind::Invalid
            }
            _ => Kind::Unreachable,
        };
    };
    match status.code {
        401 | 403 => Kind::Denied,
        404 | 410 => Kind::Gone,
        409 => Kind::Conflict,
        400..500 if status.code != 408 && status.code != 429 => Kind::Invalid,
        _ => Kind::Busy,
    }
}

/// An API request that failed, told with what was attempted.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted}: {}", cause(.source))]
pub struct RequestError {
    /// What was attempted, after "cannot": `list the pods of node worker-1`.
    pub attempted: String,
    /// What came back.
    #[source]
    pub source: kube::Error,
}

impl RequestError {
    /// For `map_err`: `.map_err(RequestError::of("list namespaces"))`.
    pub fn of(attempted: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let attempted = attempted.into();
        |source| Self { attempted, source }
    }

    /// What it means for the caller.
    pub fn kind(&self) -> Kind {
        kind(&self.source)
    }
}

fn cause(error: &kube::Error) -> String {
    match (kind(error), error) {
        (Kind::Denied, kube::Error::Api(status)) => {
            format!("denied: {} (is the RBAC role bound to it?)", status.message)
        }
        (_, kube::Error::Api(status)) => format!("{} ({})", status.message, status.code),
        (Kind::Unreachable, error) => format!("the API server cannot be reached: {}", chain(error)),
        (_, error) => error.to_string(),
    }
}

/// The innermost causes say what failed; the outer ones that a service failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Wrappers often repeat what they wrap.
        if parts.last().is_none_or(|last: &String| !last.contains(&text)) {
            parts.push(text);
        }
        next = cause.source();
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, message: message.into(), ..Status::default() }))
    }

    #[test]
    fn errors_are_sorted_by_what_to_do() {
        let table = [
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::Gone),
            (408, Kind::Busy),
            (409, Kind::Conflict),
            (410, Kind::Gone),
            (422, Kind::Invalid),
            (429, Kind::Busy),
            (500, Kind::Busy),
            (503, Kind::Busy),
        ];
        for (code, expected) in table {
            assert_eq!(kind(&api(code, "")), expected, "{code}");
        }
    }

    #[test]
    fn a_denied_request_says_who_may_not() {
        let error = RequestError::of("list namespaces")(api(403, "namespaces is forbidden: User \"x\""));
        assert_eq!(
            error.to_string(),
            "cannot list namespaces: denied: namespaces is forbidden: User \"x\" (is the RBAC role bound to it?)"
        );
    }

    #[tokio::test]
    async fn an_absent_server_is_told_as_such() {
        install_crypto();
        // Port 1 of loopback: nothing listens.
        let mut config = Config::new("http://127.0.0.1:1".parse().unwrap());
        config.default_retry = false;
        let client = Client::try_from(config).unwrap();
        let error =
            client.apiserver_version().await.map_err(RequestError::of("ask for the version")).unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        let text = error.to_string();
        assert!(text.starts_with("cannot ask for the version: the API server cannot be reached: "), "{text}");
        assert!(text.contains("onnection refused"), "{text}");
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let access = Access { kubeconfig: Some(path.clone()), user_agent: "t/1".into(), ..Access::default() };
        let missing = connect(&access).await.err().unwrap().to_string();
        assert!(missing.contains(&path.display().to_string()), "{missing}");
        std::fs::write(&path, "clusters: [").unwrap();
        let broken = connect(&access).await.err().unwrap().to_string();
        assert!(broken.starts_with("cannot use the kubeconfig"), "{broken}");
    }
}
