//! From a path, or from none, to a runtime that answers CRI v1. When there is none the error names every place that was
//! tried and what was found there: that is the whole of what an administrator needs to see.

use std::fmt;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::CriSettings;
use super::client::Client;
use super::message::{Version, VersionRequest};

/// Where runtimes put their sockets: containerd, CRI-O, k3s and RKE2, cri-dockerd, k0s, MicroK8s.
const PLACES: [&str; 10] = [
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/var/run/cri-dockerd.sock",
    "/run/k0s/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
];

/// A container runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its name: `containerd`, `cri-o`, `docker`
    pub name: String,
    /// Its version: `v2.4.2`
    pub version: String,
    /// Its CRI socket.
    pub socket: PathBuf,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.socket.display())
    }
}

impl Runtime {
    /// Whether a second listener to container events harms nobody. containerd 1.7 hands each event to one listener
    /// only (pkg/cri/server/container_events.go): we would take the kubelet's.
    pub(super) fn shares_events(&self) -> bool {
        let major = self.version.trim_start_matches('v').split('.').next();
        match self.name.as_str() {
            "containerd" => major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 2),
            name => name.eq_ignore_ascii_case("cri-o"),
        }
    }
}

/// A place where no usable runtime is.
#[derive(Debug, thiserror::Error)]
#[error("{} ({found})", path.display())]
pub struct Tried {
    /// The place.
    pub path: PathBuf,
    /// What is there.
    pub found: Found,
}

/// What was found instead of a runtime.
#[derive(Debug, thiserror::Error)]
pub enum Found {
    /// Nothing
    #[error("no such file")]
    Nothing,
    /// We may not look.
    #[error("permission denied")]
    NotPermitted,
    /// A file or folder
    #[error("not a socket")]
    NoSocket,
    /// A socket that nobody serves
    #[error("a socket, but nobody listens")]
    Deaf,
    /// It does not answer.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// Something else listens there, or a runtime from before CRI v1 (containerd 1.5).
    #[error("no CRI v1 behind it: {}", .0.message())]
    NoCri(Status),
    /// It answers with an error.
    #[error("it answers {}: {}", .0.code(), .0.message())]
    Failing(Status),
    /// Not speaking HTTP/2, mostly.
    #[error("no CRI v1 behind it: {0}")]
    Foreign(#[source] tonic::transport::Error),
    /// Anything else
    #[error("{0}")]
    Other(#[source] io::Error),
}

/// Connects to the first place that answers.
pub(super) async fn connect(settings: &CriSettings) -> Result<(Client, Runtime), Vec<Tried>> {
    let places: Vec<PathBuf> = match &settings.socket {
        Some(socket) => vec![socket.clone()],
        None => PLACES.iter().map(PathBuf::from).collect(),
    };
    let mut tried = Vec::new();
    for path in places {
        match attempt(&path, settings.timeout).await {
            Ok(connected) => return Ok(connected),
            Err(found) => tried.push(Tried { path, found }),
        }
    }
    Err(tried)
}

async fn attempt(path: &Path, limit: Duration) -> Result<(Client, Runtime), Found> {
    let file = tokio::fs::metadata(path).await.map_err(of_io)?;
    if !file.file_type().is_socket() {
        return Err(Found::NoSocket);
    }
    // Looked at before tonic does, whose errors do not tell one reason from another.
    UnixStream::connect(path).await.map_err(of_io)?;
    let channel = timeout(limit, channel(path)).await.map_err(|_| Found::Silent(limit))?;
    let client = Client::new(channel.map_err(Found::Foreign)?, limit);
    let version = VersionRequest { version: "v1".into() };
    let version: Version =
        client.unary("/runtime.v1.RuntimeService/Version", version).await.map_err(|status| {
            match status.code() {
                Code::Unimplemented | Code::Internal | Code::Unknown => Found::NoCri(status),
                Code::DeadlineExceeded => Found::Silent(limit),
                _ => Found::Failing(status),
            }
        })?;
    let Version { runtime_name: name, runtime_version: version } = version;
    Ok((client, Runtime { name, version, socket: path.to_owned() }))
}

fn of_io(error: io::Error) -> Found {
    match error.kind() {
        io::ErrorKind::NotFound => Found::Nothing,
        io::ErrorKind::PermissionDenied => Found::NotPermitted,
        io::ErrorKind::ConnectionRefused => Found::Deaf,
        _ => Found::Other(error),
    }
}

/// gRPC over a unix socket. The address is only the `:authority` that gRPC wants to see.
async fn channel(path: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector(connector).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime(name: &str, version: &str) -> Runtime {
        Runtime { name: name.into(), version: version.into(), socket: PathBuf::new() }
    }

    #[test]
    fn events_are_only_listened_to_where_nobody_loses_any() {
        for (name, version, shared) in [
            ("containerd", "1.6.20~ds1", false),
            ("containerd", "v1.7.27", false),
            ("containerd", "v2.0.0-rc.1", true),
            ("containerd", "2.4.2", true),
            ("containerd", "", false),
            ("cri-o", "1.33.0", true),
            ("docker", "28.0", false),
        ] {
            assert_eq!(runtime(name, version).shares_events(), shared, "{name} {version}");
        }
    }

    /// What is said about a place, with the place itself left out.
    async fn said(path: &Path) -> String {
        let settings = CriSettings {
            socket: Some(path.to_owned()),
            timeout: Duration::from_millis(300),
            ..CriSettings::default()
        };
        let tried = connect(&settings).await.unwrap_err();
        let error = super::super::CriError::NoRuntime(tried).to_string();
        error.replace(path.to_str().unwrap(), "HERE")
    }

    #[tokio::test]
    async fn each_reason_why_there_is_no_runtime_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert_eq!(
            said(&at("missing")).await,
            "no container runtime answers over CRI: tried HERE (no such file) (is the runtime's socket mounted, and \
             is its path set?)"
        );
        std::fs::write(at("file"), "").unwrap();
        assert!(said(&at("file")).await.contains("HERE (not a socket)"));
        drop(std::os::unix::net::UnixListener::bind(at("deaf")).unwrap());
        assert!(said(&at("deaf")).await.contains("HERE (a socket, but nobody listens)"));
        let _silent = tokio::net::UnixListener::bind(at("silent")).unwrap();
        assert!(said(&at("silent")).await.contains("HERE (no answer within 300ms)"));

        let foreign = tokio::net::UnixListener::bind(at("foreign")).unwrap();
        let serve = tokio::spawn(async move {
            loop {
                let (mut stream, _) = foreign.accept().await.unwrap();
                // Whoever only looked has gone again.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail ready\r\n").await;
            }
        });
        assert!(said(&at("foreign")).await.contains("HERE (no CRI v1 behind it"));
        serve.abort();
    }
}
