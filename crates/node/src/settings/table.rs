//! The table of settings. Help, reference page, environment, file and checks all come from it.

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The flag without its dashes, and the key in the file.
    pub name: &'static str,
    /// What kind of value, for help texts.
    pub value: &'static str,
    /// The value when nobody gives one; none: it has to be given or is empty.
    pub default: Option<&'static str>,
    /// Whether a change of the file applies without a restart.
    pub reloadable: bool,
    /// The section of the help.
    pub section: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Setting {
    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("MESHWARD_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Whether it is on or off, so that the flag alone means on.
    pub fn is_switch(&self) -> bool {
        self.value == ON_OFF
    }
}

pub(super) const ON_OFF: &str = "on|off";
const AUTO: &str = "auto|on|off";
const DURATION: &str = "DURATION";
const PATH: &str = "PATH";

const GENERAL: &str = "General";
const NRI: &str = "Finding pods: NRI (the runtime asks before a pod's containers start)";
const CRI: &str = "Finding pods: CRI (the agent asks the runtime)";
const CNI: &str = "Finding pods: CNI (a chained plugin on the node)";
const PROC: &str = "Finding pods: /proc (last resort, needs hostPID)";
const RULES: &str = "Rules";
const TELL: &str = "Telling";

const fn row(
    section: &'static str,
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, value, default: Some(default), reloadable: false, section, help }
}

const fn open(section: &'static str, name: &'static str, value: &'static str, help: &'static str) -> Setting {
    Setting { name, value, default: None, reloadable: false, section, help }
}

const fn reloadable(setting: Setting) -> Setting {
    Setting { reloadable: true, ..setting }
}

/// Every setting, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    open(
        GENERAL,
        "node-name",
        "NAME",
        "The node whose pods are looked after. Required; NODE_NAME is read too, as the downward API sets it",
    ),
    open(GENERAL, "kubeconfig", PATH, "Kubeconfig in place of KUBECONFIG or the pod's service account"),
    row(GENERAL, "log-format", "auto|text|json", "auto", "Form of the log; auto is text on a terminal"),
    reloadable(row(
        GENERAL,
        "log-level",
        "LEVEL",
        "info",
        "error, warn, info, debug, trace, or directives such as info,kube=debug",
    )),
    row(
        GENERAL,
        "admin-address",
        "IP:PORT",
        "[::]:9901",
        "Where /healthz, /readyz and /metrics are served; [::] is every address, on IPv4-only nodes too",
    ),
    row(
        GENERAL,
        "socket",
        PATH,
        "/run/meshward/admin.sock",
        "Unix socket of `meshward status`, open to root only",
    ),
    row(GENERAL, "shutdown-timeout", DURATION, "10s", "How long open work may take to end after SIGTERM"),
    row(NRI, "nri", AUTO, "auto", "Register with the runtime's NRI; auto: where its socket is"),
    row(NRI, "nri-socket", PATH, "/var/run/nri/nri.sock", "The runtime's NRI socket"),
    row(NRI, "nri-index", "00-99", "50", "Place among the node's NRI plugins; lower ones are asked first"),
    row(
        NRI,
        "nri-deadline",
        DURATION,
        "500ms",
        "How long a sandbox is held for its rules, at most 1s: the runtime drops plugins that are slower than 2s",
    ),
    row(
        NRI,
        "nri-fail-closed",
        ON_OFF,
        "off",
        "Make a sandbox fail to start when its rules are not in force in time; off: it starts, and its wait container guards it",
    ),
    row(CRI, "cri", AUTO, "auto", "Ask the runtime over CRI; auto: where a socket is found"),
    row(
        CRI,
        "cri-socket",
        "PATH|auto",
        "auto",
        "The runtime's CRI socket; auto: the usual places of containerd and CRI-O",
    ),
    row(CRI, "cri-events", ON_OFF, "on", "Listen to the runtime's container events where it has them"),
    row(CRI, "cri-poll", DURATION, "5s", "How often to ask while nothing tells of new pods"),
    row(CNI, "cni", ON_OFF, "off", "Install the chained CNI plugin on the node and answer it"),
    row(CNI, "cni-conf-dir", PATH, "/etc/cni/net.d", "The node's CNI configuration, as the agent sees it"),
    row(CNI, "cni-bin-dir", PATH, "/opt/cni/bin", "The node's CNI executables, as the agent sees them"),
    row(CNI, "cni-socket", PATH, "/run/meshward/cni.sock", "Socket between plugin and agent, on the node"),
    row(CNI, "cni-timeout", DURATION, "5s", "How long the plugin waits for the agent"),
    row(
        CNI,
        "cni-fail-closed",
        ON_OFF,
        "off",
        "Make a pod fail to start when the agent does not answer in time",
    ),
    row(PROC, "proc", ON_OFF, "off", "Look for pods among the node's processes"),
    row(PROC, "proc-root", PATH, "/proc", "Where the node's proc file system is"),
    row(PROC, "proc-interval", DURATION, "10s", "How often to look"),
    row(
        RULES,
        "backend",
        "BACKEND",
        "auto",
        "Which way into the kernel: nft, iptables-nft, iptables-legacy; auto: the first that works in the pod",
    ),
    row(
        RULES,
        "lock",
        AUTO,
        "auto",
        "Lock our tables against everybody else in the pod (Linux 6.9); auto: where the kernel can",
    ),
    row(
        RULES,
        "remove-older",
        ON_OFF,
        "on",
        "Remove the rules that the mesh's own set-up left in a pod, once ours are in force",
    ),
    reloadable(row(
        RULES,
        "recheck-interval",
        "DURATION|off",
        "1m",
        "How often rules are compared without having been told of a change; what the kernel tells is repaired at once",
    )),
    reloadable(row(
        RULES,
        "exclude-namespaces",
        "NAMES",
        "kube-system",
        "Namespaces whose pods are never touched, separated by commas",
    )),
    reloadable(row(
        TELL,
        "status",
        ON_OFF,
        "on",
        "Write each pod's annotation meshward.dev/status and condition meshward.dev/Redirected",
    )),
    reloadable(row(TELL, "events", ON_OFF, "on", "Write Events on pods")),
    reloadable(row(
        TELL,
        "seed-compatibility",
        ON_OFF,
        "off",
        "Write pod-network-controller.istio.io/status: initialized on redirected pods, for what waits for istio-pod-network-controller",
    )),
    row(
        TELL,
        "taint",
        ON_OFF,
        "off",
        "Take the taint off the node when the agent is ready, and put it on when the agent ends",
    ),
    row(TELL, "taint-key", "KEY", "meshward.dev/not-ready", "The taint; its effect is NoSchedule"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_uniform() {
        let names: std::collections::BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert!(
                setting.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                setting.name
            );
            assert!(!setting.help.ends_with('.'), "{}", setting.name);
        }
    }
}
