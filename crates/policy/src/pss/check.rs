//! The shape of the table of checks: what a row is, so that documentation, explanation and evaluation read one source.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::{Field, Level};

/// A check's name upstream (`CheckID`). The order is the one upstream's sentences come in: baseline checks by name,
/// then restricted checks by name (`policy/registry.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each name is the check's own; the table says what it checks")]
pub enum CheckId {
    AppArmorProfile,
    CapabilitiesBaseline,
    HostNamespaces,
    HostPathVolumes,
    HostPorts,
    HostProbesAndHostLifecycle,
    Privileged,
    ProcMount,
    SeLinuxOptions,
    SeccompProfileBaseline,
    Sysctls,
    WindowsHostProcess,
    AllowPrivilegeEscalation,
    CapabilitiesRestricted,
    ProcMountRestricted,
    RestrictedVolumes,
    RunAsNonRoot,
    RunAsUser,
    SeccompProfileRestricted,
}

impl CheckId {
    /// The name as upstream writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CheckId::AppArmorProfile => "appArmorProfile",
            CheckId::CapabilitiesBaseline => "capabilities_baseline",
            CheckId::HostNamespaces => "hostNamespaces",
            CheckId::HostPathVolumes => "hostPathVolumes",
            CheckId::HostPorts => "hostPorts",
            CheckId::HostProbesAndHostLifecycle => "hostProbesAndHostLifecycle",
            CheckId::Privileged => "privileged",
            CheckId::ProcMount => "procMount",
            CheckId::SeLinuxOptions => "seLinuxOptions",
            CheckId::SeccompProfileBaseline => "seccompProfile_baseline",
            CheckId::Sysctls => "sysctls",
            CheckId::WindowsHostProcess => "windowsHostProcess",
            CheckId::AllowPrivilegeEscalation => "allowPrivilegeEscalation",
            CheckId::CapabilitiesRestricted => "capabilities_restricted",
            CheckId::ProcMountRestricted => "procMount_restricted",
            CheckId::RestrictedVolumes => "restrictedVolumes",
            CheckId::RunAsNonRoot => "runAsNonRoot",
            CheckId::RunAsUser => "runAsUser",
            CheckId::SeccompProfileRestricted => "seccompProfile_restricted",
        }
    }

    /// The table's row for this check.
    #[must_use]
    pub fn check(self) -> Option<&'static Check> {
        super::CHECKS.iter().find(|check| check.id == self)
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such check of the Pod Security Standards")]
pub struct UnknownCheck;

impl FromStr for CheckId {
    type Err = UnknownCheck;

    fn from_str(text: &str) -> Result<CheckId, UnknownCheck> {
        super::CHECKS.iter().map(|check| check.id).find(|id| id.as_str() == text).ok_or(UnknownCheck)
    }
}

/// One check of the standards.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub id: CheckId,
    /// The level it belongs to: baseline checks also run at restricted, unless a restricted check overrides them.
    pub level: Level,
    /// The control's name on the Pod Security Standards page, which Kyverno's `controlName` uses as well.
    pub control: &'static str,
    /// How it reads from which version on, oldest first. Below the first one the check does not exist.
    pub revisions: &'static [Revision],
}

/// What a check does from one version on.
#[derive(Debug)]
pub struct Revision {
    /// The first minor release of Kubernetes 1 it applies to.
    pub minimum: u64,
    /// What it looks for.
    pub predicate: Predicate,
    /// Which pods it leaves alone.
    pub relaxation: Option<Relaxation>,
    /// Baseline checks that do not run where this one does.
    pub overrides: &'static [CheckId],
    /// The fields it reads, with what they may hold.
    pub fields: &'static [&'static Field],
}

/// Pods that a revision leaves alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxation {
    /// `spec.os.name: windows`; the API server refuses such a pod if it sets the Linux-only fields.
    Windows,
    /// `spec.hostUsers: false`; root inside is nobody outside.
    UserNamespace,
}

/// What a revision looks for; the variants hold what differs between versions and between the two levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// AppArmor profiles other than the runtime's or a local one, in fields and in annotations.
    AppArmor,
    /// Capabilities added beyond a list, and optionally `ALL` not dropped.
    Capabilities {
        /// What may be added; names are case-sensitive and have no `CAP_` prefix.
        addable: &'static [&'static str],
        /// Whether `drop` must contain `ALL`.
        drop_all: bool,
    },
    /// The host's network, process and IPC namespaces.
    HostNamespaces,
    /// Volumes of type `hostPath`.
    HostPath,
    /// Ports of the host.
    HostPorts,
    /// A host of their own in probes and lifecycle handlers.
    HandlerHosts,
    /// Privileged containers.
    Privileged,
    /// A `/proc` mount other than the default.
    ProcMount,
    /// SELinux types beyond a list, or any user or role.
    SeLinux {
        /// Accepted types; an empty type is always accepted.
        types: &'static [&'static str],
    },
    /// The alpha seccomp annotations that fields replaced in 1.19.
    SeccompAnnotations,
    /// Seccomp profile types other than the runtime's or a local one.
    Seccomp {
        /// Whether every container must have one, its own or the pod's.
        required: bool,
    },
    /// Kernel parameters beyond a list.
    Sysctls {
        /// Accepted names.
        allowed: &'static [&'static str],
    },
    /// Windows containers with the host's process.
    WindowsHostProcess,
    /// Privilege escalation not switched off.
    PrivilegeEscalation,
    /// Volume types beyond those a namespace's user owns.
    VolumeTypes,
    /// `runAsNonRoot` not true.
    NonRoot,
    /// `runAsUser` zero.
    RootUser,
}
