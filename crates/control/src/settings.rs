//! What the controller is told at its start. Flags and environment variables are the same settings; the chart writes
//! the latter. A wrong one ends the start with what was found and what is accepted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};

/// Meshward's admission controller: policies and exemptions in force, mesh pods swapped, reports written.
#[derive(Debug, Parser)]
#[command(name = "meshward-control", version)]
pub struct Settings {
    /// Who and where we are
    #[command(flatten)]
    pub identity: Identity,
    /// What is served where
    #[command(flatten)]
    pub listen: Listen,
    /// What counts
    #[command(flatten)]
    pub policy: Policy,
    /// Form of the log: auto (text on a terminal), text or json
    #[arg(long, env = "MESHWARD_LOG_FORMAT", default_value = "auto", value_enum)]
    pub log_format: meshward_kit::log::Format,
    /// error, warn, info, debug, trace, or directives such as info,kube=debug
    #[arg(long, env = "MESHWARD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Seconds that open requests may take to end after SIGTERM
    #[arg(long, env = "MESHWARD_SHUTDOWN_TIMEOUT", default_value = "20", value_parser = seconds)]
    pub shutdown_timeout: Duration,
}

/// Who and where we are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub struct Identity {
    /// Kubeconfig in place of KUBECONFIG or the pod's service account
    #[arg(long, env = "MESHWARD_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Our namespace: requests about it are never judged, and certificates and leases are kept there
    #[arg(long, env = "MESHWARD_NAMESPACE", default_value = "meshward-system")]
    pub namespace: String,
    /// Our name among the replicas; the pod's name
    #[arg(long, env = "MESHWARD_POD_NAME", default_value = "meshward-control")]
    pub pod_name: String,
    /// Name of the Service that the API server calls us by, and of everything that we own
    #[arg(long, env = "MESHWARD_SERVICE_NAME", default_value = "meshward-control")]
    pub service_name: String,
}

/// What is served where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Listening")]
pub struct Listen {
    /// Address of the webhooks (TLS)
    #[arg(long, env = "MESHWARD_LISTEN", default_value = "[::]:9443")]
    pub listen: SocketAddr,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, env = "MESHWARD_ADMIN_LISTEN", default_value = "[::]:9902")]
    pub admin_listen: SocketAddr,
}

/// What counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Policies")]
pub struct Policy {
    /// Namespaces whose PolicyExceptions count, separated by commas; * for all, none by default
    #[arg(long, env = "MESHWARD_EXCEPTION_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE,...")]
    pub exception_namespaces: Vec<String>,
    /// Namespaces that are never looked at, separated by commas
    #[arg(
        long,
        env = "MESHWARD_EXCLUDE_NAMESPACES",
        value_delimiter = ',',
        default_value = "kube-system",
        value_name = "NAMESPACE,..."
    )]
    pub exclude_namespaces: Vec<String>,
    /// Read the labels pod-security.kubernetes.io/* as well as meshward.dev/*
    #[arg(long, env = "MESHWARD_POD_SECURITY_LABELS")]
    pub pod_security_labels: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let text = text.strip_suffix('s').unwrap_or(text);
    text.parse().map(Duration::from_secs).map_err(|_| "accepted: whole seconds, such as 20 or 20s".to_owned())
}
