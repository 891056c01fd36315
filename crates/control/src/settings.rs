//! What the controller is told at its start. Flags and environment variables are the same settings; the chart writes
//! the latter. A wrong one ends the start with what was found and what is accepted.

mod certificates;
mod values;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use meshward_kit::lease;
use meshward_policy::psa::Configuration;

use crate::admission::AdmissionSettings;
use crate::events::EventSettings;
use crate::hooks;
use crate::report::ReportSettings;
use crate::scan::ScanSettings;
use crate::status::StatusSettings;

pub use certificates::Certificates;
pub(crate) use values::duration;
pub use values::{Validators, WaitExit, WaitUser};
pub use webhooks::{FailureMode, Swap, Webhooks};

/// Meshward's admission controller: policies and exemptions in force, mesh pods swapped, reports written.
#[derive(Debug, Parser)]
#[command(name = "meshward-control", version)]
pub struct Settings {
    /// Something else than running the controller
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Who and where we are
    #[command(flatten)]
    pub identity: Identity,
    /// What is served where
    #[command(flatten)]
    pub listen: Listen,
    /// What counts
    #[command(flatten)]
    pub policy: Policy,
    /// What admission is told
    #[command(flatten)]
    pub admission: AdmissionSettings,
    /// What the API server is told to send us
    #[command(flatten)]
    pub webhooks: Webhooks,
    /// How mesh pods are swapped
    #[command(flatten)]
    pub swap: Swap,
    /// What TLS is served with
    #[command(flatten)]
    pub certificates: Certificates,
    /// What is found out about objects that are there already
    #[command(flatten)]
    pub scan: ScanSettings,
    /// How that is told
    #[command(flatten)]
    pub reports: ReportSettings,
    /// And to those who look at an object
    #[command(flatten)]
    pub events: EventSettings,
    /// And on what is in force
    #[command(flatten)]
    pub status: StatusSettings,
    /// Form of the log: auto (text on a terminal), text or json
    #[arg(long, env = "MESHWARD_LOG_FORMAT", default_value = "auto", value_enum)]
    pub log_format: meshward_kit::log::Format,
    /// error, warn, info, debug, trace, or directives such as info,kube=debug
    #[arg(long, env = "MESHWARD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// How long a leader that is silent keeps the others waiting
    #[arg(long, env = "MESHWARD_LEASE_DURATION", default_value = "15s", value_parser = duration, value_name = "TIME")]
    pub lease_duration: Duration,
    /// How long requests are still taken after SIGTERM, while the API server learns to send them elsewhere
    #[arg(long, env = "MESHWARD_DRAIN_DELAY", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub drain_delay: Duration,
    /// How long open requests may take to end after that
    #[arg(long, env = "MESHWARD_SHUTDOWN_TIMEOUT", default_value = "20s", value_parser = duration, value_name = "TIME")]
    pub shutdown_timeout: Duration,
}

impl Settings {
    /// Namespaces that are never looked at: the excluded ones and our own, so that we can always come back.
    pub fn never_judged(&self) -> Vec<String> {
        let mut all = self.policy.exclude_namespaces.clone();
        all.push(self.identity.namespace.clone());
        all.retain(|name| !name.is_empty());
        all.sort();
        all.dedup();
        all
    }

    /// How leaders are elected.
    pub fn election(&self) -> lease::Times {
        let (duration, usual) = (self.lease_duration, lease::Times::default());
        lease::Times { duration, renew: duration * 2 / 3, retry: usual.retry.min(duration / 5) }
    }

    /// Which release we are.
    pub fn instance(&self) -> hooks::Instance {
        let Identity { service_name, namespace, .. } = &self.identity;
        hooks::Instance { service: service_name.clone(), namespace: namespace.clone() }
    }

    /// What webhook configurations are to be like, with this configuration of Pod Security.
    pub fn hooks(&self, standards: &Configuration) -> hooks::Wishes {
        let client = match &self.webhooks.webhook_url {
            Some(url) => hooks::ClientConfig::Url(url.clone()),
            None => hooks::ClientConfig::Service {
                namespace: self.identity.namespace.clone(),
                name: self.identity.service_name.clone(),
                port: self.webhooks.service_port,
            },
        };
        hooks::Wishes {
            client,
            excluded_namespaces: self.never_judged(),
            namespace_selector: self.webhooks.namespace_selector.clone(),
            excluded_kinds: self.policy.exclude_kinds.clone(),
            force_ignore: self.webhooks.force_ignore,
            swap: (!self.swap.no_swap).then_some(self.swap.swap_failure),
            standards: hooks::Standards {
                pod_security_labels: self.policy.pod_security_labels,
                unlabelled: hooks::Unlabelled::of(&standards.defaults),
            },
        }
    }
}

/// Something else than running the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Keep replicas from leading, then remove the webhook configurations: before the rest is removed
    Uninstall,
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
    /// Kinds that are never sent to us, whatever policies name; the defaults are what a cluster needs to come back
    #[arg(
        long,
        env = "MESHWARD_EXCLUDE_KINDS",
        value_delimiter = ',',
        default_value = "APIService,Binding,Event,Lease,LocalSubjectAccessReview,Node,ReplicaSet,SelfSubjectAccessReview,\
                         SelfSubjectReview,SelfSubjectRulesReview,SubjectAccessReview,TokenReview",
        value_name = "KIND,..."
    )]
    pub exclude_kinds: Vec<String>,
    /// Read the labels pod-security.kubernetes.io/* as well as meshward.dev/*
    #[arg(long, env = "MESHWARD_POD_SECURITY_LABELS")]
    pub pod_security_labels: bool,
}

#[cfg(test)]
mod tests;
