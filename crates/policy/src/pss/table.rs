//! The table of checks: one row a check, one revision a version that changed it. Facts are those of
//! k8s.io/pod-security-admission v0.37 `policy/check_*.go`; control names are those of the Pod Security Standards page.

use super::{
    Field, Level, Predicate, Relaxation, Revision,
    check::{Check, CheckId},
    fields,
};

/// The newest minor release of Kubernetes 1 whose rules are known.
pub const NEWEST: u64 = 37;

const BASELINE_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// In the order in which releases added them, so that each release's list is a beginning of this one.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

/// In the order in which releases added them.
const SELINUX_TYPES: &[&str] = &["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

const RESTRICTED_CAPABILITIES: Predicate =
    Predicate::Capabilities { addable: &["NET_BIND_SERVICE"], drop_all: true };

type Fields = &'static [&'static Field];

const CAPABILITIES_FIELDS: Fields = &[&fields::CAPABILITIES_DROP, &fields::CAPABILITIES_ADD];
const PROC_MOUNT_FIELDS: Fields = &[&fields::PROC_MOUNT];
const SECCOMP_FIELDS: Fields = &[&fields::SECCOMP_TYPE_POD, &fields::SECCOMP_TYPE];
const SYSCTL_FIELDS: Fields = &[&fields::SYSCTL_NAME];
const SELINUX_FIELDS: Fields = &[
    &fields::SELINUX_TYPE_POD,
    &fields::SELINUX_TYPE,
    &fields::SELINUX_USER_POD,
    &fields::SELINUX_USER,
    &fields::SELINUX_ROLE_POD,
    &fields::SELINUX_ROLE,
];
const NON_ROOT_FIELDS: Fields = &[&fields::NON_ROOT_POD, &fields::NON_ROOT];
const USER_FIELDS: Fields = &[&fields::USER_POD, &fields::USER];
const ESCALATION_FIELDS: Fields = &[&fields::ESCALATION];

static HANDLER_FIELDS: [&Field; 10] = {
    let mut all = [&fields::HANDLER_HOSTS[0].field; 10];
    let mut next = 1;
    while next < all.len() {
        all[next] = &fields::HANDLER_HOSTS[next].field;
        next += 1;
    }
    all
};

static VOLUME_FIELDS: [&Field; 22] = {
    let mut all = [&fields::UNKNOWN_VOLUME; 22];
    let mut next = 0;
    while next < fields::VOLUME_TYPES.len() {
        all[next] = &fields::VOLUME_TYPES[next].field;
        next += 1;
    }
    all
};

const fn since(minimum: u64, predicate: Predicate, fields: Fields) -> Revision {
    Revision { minimum, predicate, relaxation: None, overrides: &[], fields }
}

const fn relaxed(relaxation: Relaxation, mut revision: Revision) -> Revision {
    revision.relaxation = Some(relaxation);
    revision
}

const fn overriding(overrides: &'static [CheckId], mut revision: Revision) -> Revision {
    revision.overrides = overrides;
    revision
}

const fn sysctls(minimum: u64, count: usize) -> Revision {
    since(minimum, Predicate::Sysctls { allowed: SYSCTLS.split_at(count).0 }, SYSCTL_FIELDS)
}

const fn selinux(minimum: u64, count: usize) -> Revision {
    since(minimum, Predicate::SeLinux { types: SELINUX_TYPES.split_at(count).0 }, SELINUX_FIELDS)
}

const fn baseline(id: CheckId, control: &'static str, revisions: &'static [Revision]) -> Check {
    Check { id, level: Level::Baseline, control, revisions }
}

const fn restricted(id: CheckId, control: &'static str, revisions: &'static [Revision]) -> Check {
    Check { id, level: Level::Restricted, control, revisions }
}

const OVER_CAPABILITIES: &[CheckId] = &[CheckId::CapabilitiesBaseline];
const OVER_SECCOMP: &[CheckId] = &[CheckId::SeccompProfileBaseline];
const SECCOMP_REQUIRED: Predicate = Predicate::Seccomp { required: true };

/// Every check, in the order of upstream's sentences: baseline by name, then restricted by name.
pub static CHECKS: [Check; 19] = [
    baseline(
        CheckId::AppArmorProfile,
        "AppArmor",
        &[since(
            0,
            Predicate::AppArmor,
            &[&fields::APPARMOR_POD, &fields::APPARMOR_CONTAINER, &fields::APPARMOR_ANNOTATION],
        )],
    ),
    baseline(
        CheckId::CapabilitiesBaseline,
        "Capabilities",
        &[since(
            0,
            Predicate::Capabilities { addable: BASELINE_CAPABILITIES, drop_all: false },
            &[&fields::CAPABILITIES_ADD],
        )],
    ),
    baseline(
        CheckId::HostNamespaces,
        "Host Namespaces",
        &[since(
            0,
            Predicate::HostNamespaces,
            &[&fields::HOST_NETWORK, &fields::HOST_PID, &fields::HOST_IPC],
        )],
    ),
    baseline(
        CheckId::HostPathVolumes,
        "HostPath Volumes",
        &[since(0, Predicate::HostPath, &[fields::HOST_PATH])],
    ),
    baseline(CheckId::HostPorts, "Host Ports", &[since(0, Predicate::HostPorts, &[&fields::HOST_PORT])]),
    baseline(
        CheckId::HostProbesAndHostLifecycle,
        "Host Probes / Lifecycle Hooks",
        &[since(34, Predicate::HandlerHosts, &HANDLER_FIELDS)],
    ),
    baseline(
        CheckId::Privileged,
        "Privileged Containers",
        &[since(0, Predicate::Privileged, &[&fields::PRIVILEGED])],
    ),
    baseline(
        CheckId::ProcMount,
        "/proc Mount Type",
        &[
            since(0, Predicate::ProcMount, PROC_MOUNT_FIELDS),
            relaxed(Relaxation::UserNamespace, since(35, Predicate::ProcMount, PROC_MOUNT_FIELDS)),
        ],
    ),
    baseline(CheckId::SeLinuxOptions, "SELinux", &[selinux(0, 3), selinux(31, 4)]),
    baseline(
        CheckId::SeccompProfileBaseline,
        "Seccomp",
        &[
            since(
                0,
                Predicate::SeccompAnnotations,
                &[&fields::SECCOMP_ANNOTATION_POD, &fields::SECCOMP_ANNOTATION],
            ),
            since(19, Predicate::Seccomp { required: false }, SECCOMP_FIELDS),
        ],
    ),
    baseline(
        CheckId::Sysctls,
        "Sysctls",
        &[sysctls(0, 5), sysctls(27, 6), sysctls(29, 10), sysctls(32, 12), sysctls(37, 14)],
    ),
    baseline(
        CheckId::WindowsHostProcess,
        "HostProcess",
        &[since(0, Predicate::WindowsHostProcess, &[&fields::HOST_PROCESS_POD, &fields::HOST_PROCESS])],
    ),
    restricted(
        CheckId::AllowPrivilegeEscalation,
        "Privilege Escalation",
        &[
            since(8, Predicate::PrivilegeEscalation, ESCALATION_FIELDS),
            relaxed(Relaxation::Windows, since(25, Predicate::PrivilegeEscalation, ESCALATION_FIELDS)),
        ],
    ),
    restricted(
        CheckId::CapabilitiesRestricted,
        "Capabilities",
        &[
            overriding(OVER_CAPABILITIES, since(22, RESTRICTED_CAPABILITIES, CAPABILITIES_FIELDS)),
            relaxed(
                Relaxation::Windows,
                overriding(OVER_CAPABILITIES, since(25, RESTRICTED_CAPABILITIES, CAPABILITIES_FIELDS)),
            ),
        ],
    ),
    restricted(
        CheckId::ProcMountRestricted,
        "/proc Mount Type",
        &[overriding(&[CheckId::ProcMount], since(35, Predicate::ProcMount, PROC_MOUNT_FIELDS))],
    ),
    restricted(
        CheckId::RestrictedVolumes,
        "Volume Types",
        &[overriding(&[CheckId::HostPathVolumes], since(0, Predicate::VolumeTypes, &VOLUME_FIELDS))],
    ),
    restricted(
        CheckId::RunAsNonRoot,
        "Running as Non-root",
        &[
            since(0, Predicate::NonRoot, NON_ROOT_FIELDS),
            relaxed(Relaxation::UserNamespace, since(35, Predicate::NonRoot, NON_ROOT_FIELDS)),
        ],
    ),
    restricted(
        CheckId::RunAsUser,
        "Running as Non-root user",
        &[
            since(23, Predicate::RootUser, USER_FIELDS),
            relaxed(Relaxation::UserNamespace, since(35, Predicate::RootUser, USER_FIELDS)),
        ],
    ),
    restricted(
        CheckId::SeccompProfileRestricted,
        "Seccomp",
        &[
            overriding(OVER_SECCOMP, since(19, SECCOMP_REQUIRED, SECCOMP_FIELDS)),
            relaxed(
                Relaxation::Windows,
                overriding(OVER_SECCOMP, since(25, SECCOMP_REQUIRED, SECCOMP_FIELDS)),
            ),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::{CHECKS, Level, NEWEST};

    /// What upstream's `validateChecks` demands of its registry, and the order its `populate` sorts into.
    #[test]
    fn rows_are_sorted_and_revisions_increase() {
        let order: Vec<(Level, &str)> = CHECKS.iter().map(|check| (check.level, check.id.as_str())).collect();
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        let newest = CHECKS.iter().flat_map(|check| check.revisions).map(|revision| revision.minimum).max();
        assert_eq!(newest, Some(NEWEST));
        for check in &CHECKS {
            assert_eq!(check.id.as_str().parse(), Ok(check.id));
            assert!(check.revisions.is_sorted_by(|a, b| a.minimum < b.minimum), "{}", check.id);
            for revision in check.revisions {
                assert!(!revision.fields.is_empty(), "{}", check.id);
                for overridden in revision.overrides {
                    assert_eq!(check.level, Level::Restricted, "{}", check.id);
                    assert_eq!(overridden.check().map(|check| check.level), Some(Level::Baseline));
                }
            }
        }
    }
}
