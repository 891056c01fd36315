//! What to write instead: the accepted values of a field in the version that was asked for, and a short piece of YAML
//! for each check. The checks' own sentences say what is forbidden; a developer needs to know what to type.

use meshward_policy::pss::{CheckId, CheckResult, Finding, Predicate};
use serde_json::Value;

/// What is wrong with one value, for the line it stands on: short, because several may share a line.
pub(crate) fn remark(result: &CheckResult<'_>, finding: &Finding<'_>) -> String {
    let accepted = accepted(result, finding);
    match (finding.value, missing(result.check.id)) {
        (None, Some(line)) => format!("add {line}"),
        (None, None) => format!("{} is missing, accepted: {accepted}", finding.field.path),
        (Some(_), _) if finding.field.path.is_empty() => {
            format!("a volume of an unknown type, accepted: {accepted}")
        }
        (Some(value), _) => format!("{}, accepted: {accepted}", shortened(value)),
    }
}

/// What to add where a check wants a field set.
fn missing(check: CheckId) -> Option<&'static str> {
    Some(match check {
        CheckId::AllowPrivilegeEscalation => "allowPrivilegeEscalation: false",
        CheckId::CapabilitiesRestricted => "capabilities.drop: [ALL]",
        CheckId::RunAsNonRoot => "runAsNonRoot: true",
        CheckId::SeccompProfileRestricted => "seccompProfile.type: RuntimeDefault",
        _ => return None,
    })
}

/// A value that may be anybody's text, cut to what a line can hold.
pub(crate) fn shortened(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a field may hold in the version that ran. The table of fields leaves lists that changed to the revisions.
pub(crate) fn accepted(result: &CheckResult<'_>, finding: &Finding<'_>) -> String {
    let path = finding.field.path;
    let list = match result.revision.predicate {
        Predicate::Capabilities { addable, .. } if path.ends_with(".add") => addable,
        Predicate::Sysctls { allowed } => allowed,
        Predicate::SeLinux { types } if path.ends_with(".type") => types,
        _ => return finding.field.allowed.to_owned(),
    };
    match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    }
}

/// A piece of YAML that satisfies a check, for a container or the pod as its first line says.
pub(crate) fn example(check: CheckId) -> &'static str {
    match check {
        CheckId::AppArmorProfile => {
            "# container or pod\nsecurityContext:\n  appArmorProfile:\n    type: RuntimeDefault   # or remove it"
        }
        CheckId::CapabilitiesBaseline => {
            "# container: keep only what the accepted list has\nsecurityContext:\n  capabilities:\n    add: []"
        }
        CheckId::CapabilitiesRestricted => {
            "# every container\nsecurityContext:\n  capabilities:\n    drop: [ALL]\n    add: [NET_BIND_SERVICE]   # only if it listens below 1024 as a user"
        }
        CheckId::HostNamespaces => {
            "# pod: remove these\nspec:\n  hostNetwork: false\n  hostPID: false\n  hostIPC: false"
        }
        CheckId::HostPathVolumes | CheckId::RestrictedVolumes => {
            "# pod: another source for the volume\nvolumes:\n- name: data\n  emptyDir: {}   # or persistentVolumeClaim, configMap, secret, csi, …"
        }
        CheckId::HostPorts => {
            "# container: remove hostPort; a Service reaches the pod\nports:\n- containerPort: 8080"
        }
        CheckId::HostProbesAndHostLifecycle => {
            "# container: remove host; probes go to the pod's own address\nlivenessProbe:\n  httpGet:\n    port: 8080"
        }
        CheckId::Privileged => "# container\nsecurityContext:\n  privileged: false",
        CheckId::ProcMount | CheckId::ProcMountRestricted => {
            "# container: remove it, or\nsecurityContext:\n  procMount: Default"
        }
        CheckId::SeLinuxOptions => {
            "# container or pod: no user, no role, and at most\nsecurityContext:\n  seLinuxOptions:\n    type: container_t"
        }
        CheckId::SeccompProfileBaseline | CheckId::SeccompProfileRestricted => {
            "# pod (for all containers)\nsecurityContext:\n  seccompProfile:\n    type: RuntimeDefault"
        }
        CheckId::Sysctls => "# pod: remove the sysctl, or set it on the node",
        CheckId::WindowsHostProcess => {
            "# container or pod\nsecurityContext:\n  windowsOptions:\n    hostProcess: false"
        }
        CheckId::AllowPrivilegeEscalation => {
            "# every container\nsecurityContext:\n  allowPrivilegeEscalation: false"
        }
        CheckId::RunAsNonRoot => {
            "# pod (for all containers that do not say false)\nsecurityContext:\n  runAsNonRoot: true"
        }
        CheckId::RunAsUser => {
            "# pod or container: any user but 0, or none\nsecurityContext:\n  runAsUser: 1000"
        }
    }
}
