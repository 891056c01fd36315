//! The privileged containers of the meshes in the exact shapes in which their injectors write them, for clusters that
//! keep them. Each preset is one entry of an exemption: a row of this table and the images of the cluster.
//!
//! The environment and the mounts are part of the shape: whoever may add a variable of the loader's, or lay a file where
//! the program reads one, runs something else with the container's privileges. Where a mesh lets its users name variables
//! themselves (Istio's proxyMetadata), all are allowed but those that choose what is loaded or run.

use super::spec::{Allow, Containers, Entry};

/// A built-in entry.
#[derive(Debug)]
pub struct Preset {
    /// Its name in `spec.preset`.
    pub name: &'static str,
    /// The mesh.
    pub mesh: &'static str,
    /// What the container does, and when the mesh writes it in this shape.
    pub about: &'static str,
    /// Where the shape is from.
    pub source: &'static str,
    /// The public images; a cluster with a mirror names its own instead.
    pub images: &'static [&'static str],
    /// The container's names.
    pub names: &'static [&'static str],
    /// `init`, `sidecar`, `regular`.
    pub kinds: &'static [&'static str],
    /// Its command; empty for that of the image.
    pub command: &'static [&'static str],
    /// Its arguments.
    pub args: &'static [&'static str],
    /// The variables that it may have, and with `!` those it may not.
    pub env: &'static [&'static str],
    /// Where something may be mounted in it.
    pub mounts: &'static [&'static str],
    /// What its probes and lifecycle hooks may run.
    pub hooks: &'static [&'static str],
    /// What it needs.
    pub allow: &'static [PresetAllow],
}

/// One thing that a preset allows.
#[derive(Debug, Clone, Copy)]
pub struct PresetAllow {
    /// The control.
    pub control: &'static str,
    /// The field inside of the container.
    pub field: &'static str,
    /// The values; none for a field that has none to choose from.
    pub values: &'static [&'static str],
    /// Why the container needs it.
    pub why: &'static str,
}

const fn allow(
    control: &'static str,
    field: &'static str,
    values: &'static [&'static str],
    why: &'static str,
) -> PresetAllow {
    PresetAllow { control, field, values, why }
}

const ADD: &str = "securityContext.capabilities.add";
const BOTH: PresetAllow = allow(
    "Capabilities",
    ADD,
    &["NET_ADMIN", "NET_RAW"],
    "writes rules of netfilter; iptables opens raw sockets",
);
const ADMIN: PresetAllow = allow("Capabilities", ADD, &["NET_ADMIN"], "writes rules of netfilter");
const KEPT: PresetAllow = allow(
    "Capabilities",
    "securityContext.capabilities.drop",
    &[],
    "drops no capabilities of its own accord",
);
const ROOT: PresetAllow = allow(
    "Running as Non-root user",
    "securityContext.runAsUser",
    &["0"],
    "netfilter's lock file belongs to root",
);
const AS_ROOT: PresetAllow =
    allow("Running as Non-root", "securityContext.runAsNonRoot", &["false"], "says so itself");
const MAYBE_ROOT: PresetAllow = allow(
    "Running as Non-root",
    "securityContext.runAsNonRoot",
    &["false", "unset"],
    "leaves the field out and runs as user 0",
);
const NO_SECCOMP: PresetAllow =
    allow("Seccomp", "securityContext.seccompProfile.type", &["unset"], "names no profile of its own");
const ESCALATION_UNSET: PresetAllow = allow(
    "Privilege Escalation",
    "securityContext.allowPrivilegeEscalation",
    &["unset"],
    "leaves the field out",
);
const ESCALATION: PresetAllow = allow(
    "Privilege Escalation",
    "securityContext.allowPrivilegeEscalation",
    &["true", "unset"],
    "a privileged container cannot rule it out",
);
const PRIVILEGED: PresetAllow = allow(
    "Privileged Containers",
    "securityContext.privileged",
    &["true"],
    "the cluster asked the mesh for it",
);

const ISTIO_IMAGES: &[&str] =
    &["docker.io/istio/proxyv2", "gcr.io/istio-release/proxyv2", "registry.istio.io/release/proxyv2"];
const ISTIO_TEMPLATE: &str =
    "istio/istio manifests/charts/istio-control/istio-discovery/files/injection-template.yaml";
const ISTIO_ARGS: &[&str] = &["istio-iptables", "..."];
const LINKERD_IMAGES: &[&str] = &["cr.l5d.io/linkerd/proxy", "ghcr.io/linkerd/proxy"];
const LINKERD_COMMAND: &[&str] = &["/usr/lib/linkerd/linkerd2-proxy-init"];
const LINKERD_TEMPLATE: &str = "linkerd/linkerd2 charts/partials/templates/_proxy-init.tpl";
/// Which iptables it runs may be chosen, a program elsewhere than on its path may not.
const LINKERD_ARGS: &[&str] = &["...", "!--firewall-*bin-path */*", "!--firewall-*bin-path=*/*"];
const CONSUL_IMAGES: &[&str] = &[
    "docker.io/hashicorp/consul-k8s-control-plane",
    "registry.connect.redhat.com/hashicorp/consul-k8s-control-plane",
];
const CONSUL_NAMES: &[&str] = &["consul-connect-inject-init", "consul-connect-inject-init-*"];
const CONSUL_COMMAND: &[&str] = &["/bin/sh", "-ec", "consul-k8s-control-plane connect-init *"];
const CONSUL_SOURCE: &str = "hashicorp/consul-k8s control-plane/connect-inject/webhook/container_init.go";

/// Where admission mounts what it issues: the token of the service account, and those of clouds.
const TOKENS: &str = "/var/run/secrets/*";
/// Any variable but those that choose which program or library is loaded: of the dynamic loader and the C library, of
/// iptables and of the shell.
const ISTIO_ENV: &[&str] = &[
    "*",
    "!LD_*",
    "!GLIBC_*",
    "!GCONV_PATH",
    "!LOCPATH",
    "!PATH",
    "!HOME",
    "!ENV",
    "!BASH_ENV",
    "!XTABLES_LIBDIR",
    "!IPTABLES_LIB_DIR",
    "!IP6TABLES_LIB_DIR",
];
const ISTIO_PROXY_MOUNTS: &[&str] = &[TOKENS, "/etc/istio/*", "/etc/certs", "/var/lib/istio/*"];
/// Variables that clouds add to every container for their own clients.
const AWS: &str = "AWS_*";
const AZURE: &str = "AZURE_*";

/// An init container of istio.
const ISTIO: Preset = Preset {
    name: "istio-init",
    mesh: "istio",
    about: "istio-init, which writes the rules with iptables or, with --native-nftables, with nft",
    source: ISTIO_TEMPLATE,
    images: ISTIO_IMAGES,
    names: &["istio-init"],
    kinds: &["init"],
    command: &[],
    args: ISTIO_ARGS,
    env: ISTIO_ENV,
    mounts: &[TOKENS],
    hooks: &[],
    allow: &[BOTH, AS_ROOT, ROOT, NO_SECCOMP],
};

/// An init container of linkerd.
const LINKERD: Preset = Preset {
    name: "linkerd-init",
    mesh: "linkerd",
    about: "linkerd-init since the proxy's image holds it (edge-25.11.3), as user 65534",
    source: LINKERD_TEMPLATE,
    images: LINKERD_IMAGES,
    names: &["linkerd-init"],
    kinds: &["init"],
    command: LINKERD_COMMAND,
    args: LINKERD_ARGS,
    env: &[AWS, AZURE],
    mounts: &["/run", TOKENS],
    hooks: &[],
    allow: &[BOTH, KEPT],
};

/// An init container of consul.
const CONSUL: Preset = Preset {
    name: "consul-connect-inject-init",
    mesh: "consul",
    about: "consul-connect-inject-init with transparent proxying and without the CNI plugin",
    source: CONSUL_SOURCE,
    images: CONSUL_IMAGES,
    names: CONSUL_NAMES,
    kinds: &["init"],
    command: CONSUL_COMMAND,
    args: &[],
    env: &[
        "CONSUL_*",
        "POD_NAME",
        "POD_NAMESPACE",
        "NODE_NAME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        AWS,
        AZURE,
    ],
    mounts: &["/consul/connect-inject", "/consul/userconfig/*", TOKENS],
    hooks: &[],
    allow: &[ADMIN, KEPT, AS_ROOT, ROOT, NO_SECCOMP, ESCALATION_UNSET],
};

/// Every preset. Those with `root` or `privileged` in their names allow more than the mesh needs by default and are only
/// for clusters that asked their mesh for it.
pub static PRESETS: [Preset; 11] = [
    ISTIO,
    Preset {
        name: "istio-init-privileged",
        about: "istio-init where global.proxy.privileged is set",
        allow: &[BOTH, AS_ROOT, ROOT, NO_SECCOMP, PRIVILEGED, ESCALATION],
        ..ISTIO
    },
    Preset {
        name: "istio-validation",
        about: "istio-validation, which takes the place of istio-init where the CNI plugin writes the rules",
        names: &["istio-validation"],
        allow: &[NO_SECCOMP],
        ..ISTIO
    },
    Preset {
        name: "istio-proxy-tproxy",
        about: "istio-proxy where sidecar.istio.io/interceptionMode is TPROXY: it marks packets and binds to foreign \
                addresses",
        names: &["istio-proxy"],
        kinds: &["sidecar", "regular"],
        args: &["proxy", "sidecar", "..."],
        mounts: ISTIO_PROXY_MOUNTS,
        hooks: &["pilot-agent wait", "pilot-agent request --debug-port=* POST drain"],
        allow: &[ADMIN, AS_ROOT, ROOT, NO_SECCOMP],
        ..ISTIO
    },
    LINKERD,
    Preset {
        name: "linkerd-init-separate",
        about: "linkerd-init in an image of its own, before edge-25.11.3",
        images: &["cr.l5d.io/linkerd/proxy-init", "ghcr.io/linkerd/proxy-init"],
        command: &[],
        ..LINKERD
    },
    Preset {
        name: "linkerd-init-root",
        about: "linkerd-init where proxyInit.runAsRoot is set, which iptables in legacy mode needs",
        allow: &[BOTH, KEPT, AS_ROOT, ROOT],
        ..LINKERD
    },
    Preset {
        name: "linkerd-init-privileged",
        about: "linkerd-init where proxyInit.privileged or proxyInit.closeWaitTimeoutSecs is set",
        allow: &[BOTH, KEPT, AS_ROOT, ROOT, PRIVILEGED, ESCALATION],
        ..LINKERD
    },
    Preset {
        name: "kuma-init",
        mesh: "kuma",
        about: "kuma-init, which runs kumactl install transparent-proxy. It reads an annotation of the pod, which may name \
                the programs that it runs: whoever writes pods in these namespaces can make it run theirs",
        source: "kumahq/kuma pkg/plugins/runtime/k8s/webhooks/injector/injector.go",
        images: &["docker.io/kumahq/kuma-init", "docker.io/kong/kuma-init"],
        names: &["kuma-init"],
        kinds: &["init"],
        command: &["/usr/bin/kumactl", "install", "transparent-proxy"],
        args: &["..."],
        env: &["XTABLES_LOCKFILE", AWS, AZURE],
        mounts: &["/tmp", "/tmp/transparent-proxy/base", TOKENS],
        hooks: &[],
        allow: &[BOTH, MAYBE_ROOT, ROOT, NO_SECCOMP, ESCALATION_UNSET],
    },
    CONSUL,
    Preset {
        name: "consul-connect-inject-init-privileged",
        about: "consul-connect-inject-init on OpenShift without the CNI plugin",
        allow: &[ADMIN, KEPT, AS_ROOT, ROOT, NO_SECCOMP, PRIVILEGED, ESCALATION],
        ..CONSUL
    },
];

impl Preset {
    /// The preset with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// The preset as the entry that it stands for, with the images of the cluster or the public ones.
    #[must_use]
    pub fn entry(&self, images: Option<&[String]>) -> Entry {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let images = images.map_or_else(|| texts(self.images), <[String]>::to_vec);
        let mut lists: Vec<&str> = self.kinds.iter().map(|kind| list_of(kind)).collect();
        lists.dedup();
        let allow = self.allow.iter().flat_map(|allow| {
            lists.iter().map(|list| Allow {
                control: allow.control.to_owned(),
                field: Some(format!("spec.{list}[*].{}", allow.field)),
                values: (!allow.values.is_empty()).then(|| texts(allow.values)),
            })
        });
        Entry {
            allow: allow.collect(),
            containers: Some(Containers {
                names: Some(texts(self.names)),
                kinds: Some(texts(self.kinds)),
                images: Some(images),
                command: Some(texts(self.command)),
                args: Some(texts(self.args)),
                env: Some(texts(self.env)),
                mounts: Some(texts(self.mounts)),
                hooks: Some(texts(self.hooks)),
            }),
        }
    }
}

fn list_of(kind: &str) -> &'static str {
    match kind {
        "regular" => "containers",
        _ => "initContainers",
    }
}
