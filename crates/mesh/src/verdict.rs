//! The answers: redirect like this, or leave the pod alone and say why. Both are told to people, so every reason
//! names what decided it.

use std::fmt;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::Settings;
use serde::Serialize;

use crate::problem::Warning;

/// What a pod wants.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// These rules.
    Redirect(Box<Plan>),
    /// No rules.
    Nothing(Reason),
}

/// The redirection of one pod.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose rules.
    pub mesh: Mesh,
    /// Every option with its value and origin.
    pub settings: Settings,
    /// Which of the possible truths the settings come from.
    pub source: Source,
    /// How the mesh itself meant the rules to be set up.
    pub setup: Setup,
    /// The mesh's proxies in the pod, at least one.
    pub proxies: Vec<Proxy>,
    /// What is allowed and yet surely not meant.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// Whether any proxy is a native sidecar (an init container that keeps running).
    pub fn native_sidecar(&self) -> bool {
        self.proxies.iter().any(|proxy| proxy.native_sidecar)
    }

    /// The init container that has already put the mesh's own rules in place, as the kubelet reports it. Evidence
    /// of the past only: a sandbox that was recreated since has lost them.
    pub fn already_redirected(&self) -> Option<&str> {
        match &self.setup {
            Setup::InitContainer { name, completed: true, .. } => Some(name),
            _ => None,
        }
    }
}

/// The truth that the settings come from, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The annotation `meshward.dev/redirect`, written at admission.
    Record,
    /// Arguments and environment of the mesh's own init container.
    InitContainer,
    /// The configuration object that the mesh's injector wrote into an annotation.
    Configuration,
    /// The mesh's annotations and the proxy's own settings.
    Annotations,
}

/// How the mesh meant the rules to be set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Setup {
    /// By a privileged init container of the pod.
    InitContainer {
        /// Its name.
        name: String,
        /// Its place among the init containers.
        index: usize,
        /// Whether the kubelet reports that it ran to its end.
        completed: bool,
    },
    /// From outside (the mesh's CNI plugin).
    Outside {
        /// The unprivileged init container that waits for the rules, where there is one.
        validator: Option<Validator>,
    },
}

/// An init container that waits for rules set up from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Validator {
    /// Its name.
    pub name: String,
    /// Its place among the init containers.
    pub index: usize,
}

/// A proxy container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proxy {
    /// Its name.
    pub name: String,
    /// Whether it is a native sidecar.
    pub native_sidecar: bool,
    /// The user it runs as, where the pod says so.
    pub user: Option<u32>,
    /// The group it runs as, where the pod says so.
    pub group: Option<u32>,
}

/// Why a pod gets no rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// Nothing in it belongs to a mesh we know.
    NoMesh,
    /// It shares the node's network namespace, which is never programmed.
    HostNetwork,
    /// It runs on Windows.
    Windows,
    /// It has run to its end.
    Finished,
    /// It says so itself.
    OptedOut {
        /// Of which mesh; none for the seed project's own switch.
        mesh: Mesh,
        /// `annotation X of the pod is "false"`
        by: String,
    },
    /// It is meant to be in a mesh, but has no proxy that traffic could be redirected to.
    NoProxy {
        /// The mesh.
        mesh: Mesh,
        /// What says that it is meant to be.
        because: String,
    },
    /// It has something like a proxy, but the mesh's injector never marked it.
    NotInjected {
        /// The mesh.
        mesh: Mesh,
        /// The mark that is missing.
        missing: &'static str,
    },
    /// Its proxy is a gateway, which takes traffic at ports of its own.
    Gateway {
        /// The mesh.
        mesh: Mesh,
        /// The container or annotation that says so.
        by: String,
    },
    /// The mesh was told not to intercept its traffic.
    InterceptionOff {
        /// The mesh.
        mesh: Mesh,
        /// What says so.
        by: String,
    },
    /// The proxy container does not run a proxy (proxyless gRPC).
    ProxyDisabled {
        /// The mesh.
        mesh: Mesh,
        /// What says so.
        by: String,
    },
    /// It is in Istio's ambient mesh, whose own node proxy redirects it.
    Ambient {
        /// What says so.
        by: String,
    },
    /// It is a build or deployer pod, which the seed project leaves alone.
    Skipped {
        /// The label.
        label: &'static str,
    },
}

impl Reason {
    /// The reason's name in JSON and tables.
    pub fn name(&self) -> &'static str {
        match self {
            Reason::NoMesh => "no-mesh",
            Reason::HostNetwork => "host-network",
            Reason::Windows => "windows",
            Reason::Finished => "finished",
            Reason::OptedOut { .. } => "opted-out",
            Reason::NoProxy { .. } => "no-proxy",
            Reason::NotInjected { .. } => "not-injected",
            Reason::Gateway { .. } => "gateway",
            Reason::InterceptionOff { .. } => "interception-off",
            Reason::ProxyDisabled { .. } => "proxy-disabled",
            Reason::Ambient { .. } => "ambient",
            Reason::Skipped { .. } => "skipped",
        }
    }

    /// The mesh it is about, if any.
    pub fn mesh(&self) -> Option<Mesh> {
        match self {
            Reason::OptedOut { mesh, .. }
            | Reason::NoProxy { mesh, .. }
            | Reason::NotInjected { mesh, .. }
            | Reason::Gateway { mesh, .. }
            | Reason::InterceptionOff { mesh, .. }
            | Reason::ProxyDisabled { mesh, .. } => Some(*mesh),
            Reason::Ambient { .. } | Reason::Skipped { .. } => Some(Mesh::Istio),
            Reason::NoMesh | Reason::HostNetwork | Reason::Windows | Reason::Finished => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoMesh => f.write_str("nothing in the pod belongs to a known mesh"),
            Reason::HostNetwork => f.write_str("the pod shares the node's network namespace (hostNetwork)"),
            Reason::Windows => f.write_str("the pod runs on Windows"),
            Reason::Finished => f.write_str("the pod has run to its end"),
            Reason::OptedOut { mesh, by } => write!(f, "the pod opted out of {mesh}: {by}"),
            Reason::NoProxy { mesh, because } => {
                write!(f, "the pod has no {mesh} proxy to redirect to, though {because}")
            }
            Reason::NotInjected { mesh, missing } => {
                write!(f, "the pod was not injected by {mesh}: {missing} is missing")
            }
            Reason::Gateway { mesh, by } => write!(f, "the pod is a gateway of {mesh}: {by}"),
            Reason::InterceptionOff { mesh, by } => {
                write!(f, "{mesh} does not intercept the pod's traffic: {by}")
            }
            Reason::ProxyDisabled { mesh, by } => write!(f, "the {mesh} container runs no proxy: {by}"),
            Reason::Ambient { by } => write!(f, "the pod is in Istio's ambient mesh: {by}"),
            Reason::Skipped { label } => {
                write!(f, "the pod is a build or deployer pod: it has label {label}")
            }
        }
    }
}
