//! The fields the checks read. A finding points at one of these, and `restrictedField` in exemptions names one.

use super::{
    Field,
    finding::Scope::{self, Annotation, Container, Pod, Volume},
};

const fn field(scope: Scope, path: &'static str, allowed: &'static str) -> Field {
    Field { scope, path, allowed }
}

const PROFILE: &str = "RuntimeDefault, Localhost, unset";
const FALSE: &str = "false, unset";
const EMPTY: &str = "empty, unset";
const UNSET: &str = "unset";
const NAME: &str = "the revision's list";

/// The prefix of AppArmor's beta annotations; the container's name follows.
pub(super) const APPARMOR_PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
/// The pod's alpha seccomp annotation.
pub(super) const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
/// The prefix of the containers' alpha seccomp annotations; the container's name follows.
pub(super) const SECCOMP_PREFIX: &str = "container.seccomp.security.alpha.kubernetes.io/";

pub(super) static APPARMOR_ANNOTATION: Field = field(
    Annotation,
    "container.apparmor.security.beta.kubernetes.io/*",
    "runtime/default, localhost/*, empty, unset",
);
pub(super) static APPARMOR_POD: Field = field(Pod, "securityContext.appArmorProfile.type", PROFILE);
pub(super) static APPARMOR_CONTAINER: Field =
    field(Container, "securityContext.appArmorProfile.type", PROFILE);
pub(super) static CAPABILITIES_ADD: Field = field(Container, "securityContext.capabilities.add", NAME);
pub(super) static CAPABILITIES_DROP: Field =
    field(Container, "securityContext.capabilities.drop", "a list that contains ALL");
pub(super) static HOST_NETWORK: Field = field(Pod, "hostNetwork", FALSE);
pub(super) static HOST_PID: Field = field(Pod, "hostPID", FALSE);
pub(super) static HOST_IPC: Field = field(Pod, "hostIPC", FALSE);
pub(super) static HOST_PORT: Field = field(Container, "ports[*].hostPort", "0, unset");
pub(super) static PRIVILEGED: Field = field(Container, "securityContext.privileged", FALSE);
pub(super) static PROC_MOUNT: Field = field(Container, "securityContext.procMount", "Default, unset");
pub(super) static SELINUX_TYPE_POD: Field = field(Pod, "securityContext.seLinuxOptions.type", NAME);
pub(super) static SELINUX_USER_POD: Field = field(Pod, "securityContext.seLinuxOptions.user", EMPTY);
pub(super) static SELINUX_ROLE_POD: Field = field(Pod, "securityContext.seLinuxOptions.role", EMPTY);
pub(super) static SELINUX_TYPE: Field = field(Container, "securityContext.seLinuxOptions.type", NAME);
pub(super) static SELINUX_USER: Field = field(Container, "securityContext.seLinuxOptions.user", EMPTY);
pub(super) static SELINUX_ROLE: Field = field(Container, "securityContext.seLinuxOptions.role", EMPTY);
pub(super) static SECCOMP_ANNOTATION_POD: Field =
    field(Annotation, SECCOMP_POD, "runtime/default, docker/default, localhost/*, unset");
pub(super) static SECCOMP_ANNOTATION: Field = field(
    Annotation,
    "container.seccomp.security.alpha.kubernetes.io/*",
    "runtime/default, docker/default, localhost/*, unset",
);
pub(super) static SECCOMP_TYPE_POD: Field = field(Pod, "securityContext.seccompProfile.type", PROFILE);
pub(super) static SECCOMP_TYPE: Field = field(Container, "securityContext.seccompProfile.type", PROFILE);
pub(super) static SYSCTL_NAME: Field = field(Pod, "securityContext.sysctls[*].name", NAME);
pub(super) static HOST_PROCESS_POD: Field = field(Pod, "securityContext.windowsOptions.hostProcess", FALSE);
pub(super) static HOST_PROCESS: Field = field(Container, "securityContext.windowsOptions.hostProcess", FALSE);
pub(super) static ESCALATION: Field = field(Container, "securityContext.allowPrivilegeEscalation", "false");
pub(super) static NON_ROOT_POD: Field = field(Pod, "securityContext.runAsNonRoot", "true");
pub(super) static NON_ROOT: Field =
    field(Container, "securityContext.runAsNonRoot", "true, or unset where the pod says true");
pub(super) static USER_POD: Field = field(Pod, "securityContext.runAsUser", "any but 0, unset");
pub(super) static USER: Field = field(Container, "securityContext.runAsUser", "any but 0, unset");
pub(super) static UNKNOWN_VOLUME: Field = field(
    Volume,
    "",
    "configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, secret",
);

/// One handler that can name a host: the container's key, the key inside it (lifecycle only), the action, its field.
pub(super) struct HandlerHost {
    pub(super) steps: &'static [&'static str],
    pub(super) action: &'static str,
    pub(super) field: Field,
}

const fn handler(steps: &'static [&'static str], action: &'static str, path: &'static str) -> HandlerHost {
    HandlerHost { steps, action, field: field(Container, path, EMPTY) }
}

pub(super) static HANDLER_HOSTS: [HandlerHost; 10] = [
    handler(&["livenessProbe"], "httpGet", "livenessProbe.httpGet.host"),
    handler(&["livenessProbe"], "tcpSocket", "livenessProbe.tcpSocket.host"),
    handler(&["readinessProbe"], "httpGet", "readinessProbe.httpGet.host"),
    handler(&["readinessProbe"], "tcpSocket", "readinessProbe.tcpSocket.host"),
    handler(&["startupProbe"], "httpGet", "startupProbe.httpGet.host"),
    handler(&["startupProbe"], "tcpSocket", "startupProbe.tcpSocket.host"),
    handler(&["lifecycle", "postStart"], "httpGet", "lifecycle.postStart.httpGet.host"),
    handler(&["lifecycle", "postStart"], "tcpSocket", "lifecycle.postStart.tcpSocket.host"),
    handler(&["lifecycle", "preStop"], "httpGet", "lifecycle.preStop.httpGet.host"),
    handler(&["lifecycle", "preStop"], "tcpSocket", "lifecycle.preStop.tcpSocket.host"),
];

/// One restricted volume type with its field, in the order in which upstream looks for them.
pub(super) struct VolumeType {
    pub(super) name: &'static str,
    pub(super) field: Field,
}

const fn volume(name: &'static str) -> VolumeType {
    VolumeType { name, field: field(Volume, name, UNSET) }
}

/// Restricted volume types; `hostPath` comes first, which [`HOST_PATH`] relies on.
pub(super) static VOLUME_TYPES: [VolumeType; 21] = [
    volume("hostPath"),
    volume("gcePersistentDisk"),
    volume("awsElasticBlockStore"),
    volume("gitRepo"),
    volume("nfs"),
    volume("iscsi"),
    volume("glusterfs"),
    volume("rbd"),
    volume("flexVolume"),
    volume("cinder"),
    volume("cephfs"),
    volume("flocker"),
    volume("fc"),
    volume("azureFile"),
    volume("vsphereVolume"),
    volume("quobyte"),
    volume("azureDisk"),
    volume("photonPersistentDisk"),
    volume("portworxVolume"),
    volume("scaleIO"),
    volume("storageos"),
];

/// The field that both volume checks name.
pub(super) static HOST_PATH: &Field = &VOLUME_TYPES[0].field;

/// Volume types that restricted accepts.
pub(super) const ALLOWED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];
