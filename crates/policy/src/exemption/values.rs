//! Which values a field can have that a check forbids. A value outside of these never needs an exemption, so that one
//! that names it is a slip.

use crate::kyverno::path_matches;
use crate::pss::{Field, Finding, Holder, Scope};
use crate::wildcard;
use serde_json::Value;
use std::borrow::Cow;

/// The word for a field that is not set.
pub(crate) const UNSET: &str = "unset";

/// The capabilities of Linux 6.18 (`include/uapi/linux/capability.h`) that some level forbids, and `ALL`.
const CAPABILITIES: [&str; 41] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// The values of a field that can be forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forbidden {
    /// Only these.
    Only(&'static [&'static str]),
    /// Any text but these.
    AllBut(&'static [&'static str]),
    /// A path on the host.
    Path,
    /// A port.
    Port,
    /// None that can be named: the field as a whole is forbidden, or required.
    Nameless,
}

/// The forbidden values of a field.
pub(super) fn forbidden(field: &Field) -> Forbidden {
    let last = field.path.rsplit('.').next().unwrap_or_default();
    match (field.scope, last) {
        (Scope::Volume, "hostPath") => Forbidden::Path,
        (Scope::Volume, _) | (_, "drop") => Forbidden::Nameless,
        (_, "add") => Forbidden::Only(&CAPABILITIES),
        (_, "privileged" | "hostNetwork" | "hostPID" | "hostIPC" | "hostProcess") => {
            Forbidden::Only(&["true"])
        }
        (_, "allowPrivilegeEscalation") => Forbidden::Only(&["true", UNSET]),
        (Scope::Pod, "runAsNonRoot") => Forbidden::Only(&["false"]),
        (_, "runAsNonRoot") => Forbidden::Only(&["false", UNSET]),
        (_, "runAsUser") => Forbidden::Only(&["0"]),
        (_, "procMount") => Forbidden::Only(&["Unmasked"]),
        (_, "hostPort") => Forbidden::Port,
        (Scope::Annotation, _) => Forbidden::AllBut(&["runtime/default"]),
        (Scope::Container, "type") if field.path.contains("seccomp") => {
            Forbidden::Only(&["Unconfined", UNSET])
        }
        (_, "type") if field.path.contains("seLinux") => {
            Forbidden::AllBut(&["container_t", "container_init_t", "container_kvm_t"])
        }
        (_, "type") => Forbidden::Only(&["Unconfined"]),
        (_, "name") => Forbidden::AllBut(&[
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        ]),
        _ => Forbidden::AllBut(&[]),
    }
}

/// What is wrong with a value of a field, and what is accepted; `None` if it can match.
pub(crate) fn slip(field: &Field, value: &str) -> Option<(&'static str, Vec<&'static str>)> {
    match forbidden(field) {
        Forbidden::Nameless => Some(("the field has no values to choose from", vec!["no values"])),
        Forbidden::Only(names) => {
            let fits = names.iter().any(|name| wildcard::matches(value, name));
            (!fits).then(|| ("no such value is ever forbidden", names.to_vec()))
        }
        Forbidden::AllBut(names) => {
            let wrong = value.is_empty() || names.contains(&value);
            wrong.then_some(("the value is never forbidden", vec!["a value that is forbidden"]))
        }
        Forbidden::Path => {
            let fits = value.starts_with('/') || value == "*";
            (!fits).then_some(("no path on a host", vec!["a path that begins with /"]))
        }
        Forbidden::Port => {
            let fits = wildcard::is_pattern(value) || value.parse::<u16>().is_ok_and(|port| port > 0);
            (!fits).then_some(("no port", vec!["1 to 65535"]))
        }
    }
}

/// A finding's value in the words of exemptions.
pub(crate) fn value_of<'a>(finding: &Finding<'a>) -> Cow<'a, str> {
    match (finding.holder, finding.value) {
        (_, None | Some(Value::Null)) => Cow::Borrowed(UNSET),
        (Holder::Volume { name, .. }, _) if finding.field.path != "hostPath" => Cow::Borrowed(name),
        _ => finding.value_text(),
    }
}

/// Whether a pattern is about a finding's value.
pub(super) fn matches(pattern: &str, finding: &Finding<'_>) -> bool {
    match forbidden(finding.field) {
        Forbidden::Path => path_matches(pattern, &value_of(finding)),
        _ => wildcard::matches(pattern, &value_of(finding)),
    }
}
