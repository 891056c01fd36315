//! The keys themselves. Sources: istio/api annotation/annotations.yaml and label/labels.yaml; linkerd2
//! pkg/k8s/labels.go and its proxy configuration reference; kuma pkg/plugins/runtime/k8s/metadata/annotations.go and
//! mesh/v1alpha1 tags; consul-k8s connect-inject/constants/annotations_and_labels.go; releases back to those that
//! clusters still run.

use meshward_redirect::Mesh;

/// One prefix with its names.
pub(super) struct Prefix {
    /// The mesh it belongs to; None for our own.
    pub(super) mesh: Option<Mesh>,
    /// The prefix with its slash.
    pub(super) prefix: &'static str,
    /// Whether the table knows every name there is.
    pub(super) complete: bool,
    /// Names that decide rules.
    pub(super) rules: &'static [&'static str],
    /// Names that do not.
    pub(super) others: &'static [&'static str],
    /// Beginnings under which the user chooses the rest.
    pub(super) families: &'static [&'static str],
    /// All names with their prefix, in the order of `rules` and then `others`.
    keys: &'static [&'static str],
}

impl Prefix {
    /// Each name with its whole key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.rules.iter().chain(self.others).copied().zip(self.keys.iter().copied())
    }
}

macro_rules! prefix {
    ($mesh:expr, $prefix:literal, complete: $complete:literal,
     rules: [$($rule:literal),* $(,)?], others: [$($other:literal),* $(,)?], families: [$($family:literal),*]) => {
        Prefix {
            mesh: $mesh,
            prefix: $prefix,
            complete: $complete,
            rules: &[$($rule),*],
            others: &[$($other),*],
            families: &[$($family),*],
            keys: &[$(concat!($prefix, $rule),)* $(concat!($prefix, $other),)*],
        }
    };
}

/// Every prefix; none is the beginning of another.
pub(super) const PREFIXES: &[Prefix] = &[
    prefix!(Some(Mesh::Istio), "traffic.sidecar.istio.io/", complete: true,
        rules: ["includeInboundPorts", "excludeInboundPorts", "includeOutboundIPRanges", "excludeOutboundIPRanges",
            "includeOutboundPorts", "excludeOutboundPorts", "excludeInterfaces", "kubevirtInterfaces"],
        others: [], families: []),
    prefix!(Some(Mesh::Istio), "sidecar.istio.io/", complete: true,
        rules: ["inject", "status", "interceptionMode"],
        others: ["agentLogLevel", "bootstrapOverride", "componentLogLevel", "controlPlaneAuthPolicy", "discoveryAddress",
            "enableCoreDump", "extraStatTags", "logLevel", "nativeSidecar", "proxyCPU", "proxyCPULimit", "proxyImage",
            "proxyImageType", "proxyMemory", "proxyMemoryLimit", "rewriteAppHTTPProbers", "statsCompression",
            "statsEvictionInterval", "statsFlushInterval", "statsHistogramBuckets", "statsInclusionPrefixes",
            "statsInclusionRegexps", "statsInclusionSuffixes", "userVolume", "userVolumeMount",
            "proxyEphemeralStorage", "proxyEphemeralStorageLimit"],
        families: []),
    prefix!(Some(Mesh::Istio), "status.sidecar.istio.io/", complete: true,
        rules: ["port"], others: [], families: []),
    prefix!(Some(Mesh::Istio), "proxy.istio.io/", complete: true,
        rules: ["config"], others: ["overrides"], families: []),
    prefix!(Some(Mesh::Istio), "ambient.istio.io/", complete: true,
        rules: [],
        others: ["redirection", "bypass-inbound-capture", "dns-capture", "waypoint-inbound-binding"],
        families: []),
    prefix!(Some(Mesh::Istio), "istio.io/", complete: false,
        rules: ["reroute-virtual-interfaces", "dataplane-mode"],
        others: ["rev", "tag", "dry-run", "autoRegistrationGroup", "connectedAt", "disconnectedAt", "workloadController",
            "use-waypoint", "use-waypoint-namespace", "waypoint-for", "ingress-use-waypoint"],
        families: []),
    prefix!(Some(Mesh::Istio), "pod-network-controller.istio.io/", complete: true,
        rules: ["envoy-port", "envoy-userid", "envoy-groupid"], others: ["status"], families: []),
    prefix!(Some(Mesh::Istio), "istio-pod-network-controller/", complete: true,
        rules: ["initialize"], others: [], families: []),
    prefix!(Some(Mesh::Linkerd), "config.linkerd.io/", complete: true,
        rules: ["skip-inbound-ports", "skip-outbound-ports", "skip-subnets", "inbound-port", "outbound-port",
            "control-port", "admin-port", "proxy-uid", "proxy-gid"],
        others: ["access-log", "admission-webhooks", "close-wait-timeout", "debug-image", "debug-image-pull-policy",
            "debug-image-version", "default-inbound-policy", "disable-identity", "disable-tap", "enable-debug-sidecar",
            "enable-external-profiles", "enable-gateway", "image-pull-policy", "init-image", "init-image-version",
            "opaque-ports", "pod-inbound-ports", "proxy-admin-shutdown", "proxy-await", "proxy-cpu-limit",
            "proxy-cpu-ratio-limit", "proxy-cpu-request", "proxy-disable-inbound-protocol-detection-timeout",
            "proxy-disable-outbound-protocol-detection-timeout", "proxy-enable-native-sidecar",
            "proxy-ephemeral-storage-limit", "proxy-ephemeral-storage-request", "proxy-image",
            "proxy-inbound-connect-timeout", "proxy-inbound-discovery-cache-unused-timeout", "proxy-log-format",
            "proxy-log-http-headers", "proxy-log-level", "proxy-memory-limit", "proxy-memory-request",
            "proxy-metrics-hostname-labels", "proxy-outbound-connect-timeout",
            "proxy-outbound-discovery-cache-unused-timeout", "proxy-outbound-transport-mode",
            "proxy-require-identity-inbound-ports", "proxy-version", "proxy-wait-before-exit-seconds",
            "shutdown-grace-period", "trace-collector", "trace-collector-service-account", "tracing-enabled",
            "tracing-protocol", "tracing-service-name"],
        families: ["resource.opentelemetry.io"]),
    prefix!(Some(Mesh::Linkerd), "linkerd.io/", complete: true,
        rules: ["inject"],
        others: ["created-by", "proxy-version", "trust-root-sha256", "identity-mode", "identity-issuer-expiry",
            "helm-release-version", "control-plane-component", "control-plane-ns", "is-control-plane", "workload-ns",
            "proxy-deployment", "proxy-replicationcontroller", "proxy-replicaset", "proxy-job", "proxy-daemonset",
            "proxy-statefulset", "proxy-cronjob", "cni-resource", "extension", "multicluster", "service-mirror",
            "debug-sidecar", "hotfix"],
        families: []),
    prefix!(Some(Mesh::Kuma), "traffic.kuma.io/", complete: true,
        rules: ["transparent-proxy-config", "transparent-proxy-configmap-name", "exclude-inbound-ports",
            "exclude-outbound-ports", "exclude-outbound-ports-for-uids", "exclude-outbound-tcp-ports-for-uids",
            "exclude-outbound-udp-ports-for-uids", "exclude-inbound-ips", "exclude-outbound-ips",
            "drop-invalid-packets", "iptables-logs"],
        others: [], families: []),
    prefix!(Some(Mesh::Kuma), "kuma.io/", complete: true,
        rules: ["sidecar-injection", "sidecar-injected", "gateway", "sidecar-uid", "transparent-proxying",
            "transparent-proxying-ip-family-mode", "transparent-proxying-inbound-port",
            "transparent-proxying-outbound-port", "builtin-dns", "builtin-dns-port", "virtual-probes",
            "virtual-probes-port", "application-probe-proxy-port", "envoy-admin-port"],
        others: ["mesh", "tags", "direct-access-services", "sidecar-env-vars", "sidecar-proxy-concurrency",
            "service-account-token-volume", "sidecar-drain-time", "container-patches", "envoy-log-level",
            "envoy-component-log-level", "init-first", "wait-for-dataplane-ready", "workload", "ignore",
            "reachable-backends", "transparent-proxying-reachable-services", "transparent-proxying-inbound-v6-port",
            "transparent-proxying-ebpf", "transparent-proxying-ebpf-bpf-fs-path", "transparent-proxying-ebpf-cgroup-path",
            "transparent-proxying-ebpf-tc-attach-iface", "transparent-proxying-ebpf-instance-ip-env-var-name",
            "transparent-proxying-ebpf-programs-source-path", "transparent-proxying-experimental-engine",
            "builtindns", "builtindnsport", "ingress", "ingress-public-address", "ingress-public-port", "egress",
            "service", "service-name", "protocol", "zone", "instance", "origin", "display-name", "env", "effect",
            "policy-role", "proxy-type", "system-namespace", "xds-transport-protocol-variant", "listener-zone-ingress",
            "listener-zone-egress", "managed-by"],
        families: []),
    prefix!(Some(Mesh::Consul), "consul.hashicorp.com/", complete: true,
        rules: ["connect-inject", "connect-inject-status", "transparent-proxy", "transparent-proxy-status",
            "transparent-proxy-exclude-inbound-ports", "transparent-proxy-exclude-outbound-ports",
            "transparent-proxy-exclude-outbound-cidrs", "transparent-proxy-exclude-uids",
            "transparent-proxy-overwrite-probes", "redirect-traffic-config", "consul-dns", "gateway-kind",
            "use-proxy-health-check", "enable-metrics", "prometheus-scrape-port"],
        others: ["connect-inject-managed-by", "connect-inject-mount-volume", "connect-service", "connect-service-port",
            "connect-service-upstreams", "connect-service-protocol", "connect-k8s-version", "consul-k8s-version",
            "kubernetes-service", "gateway-consul-service-name", "gateway-namespace", "gateway-wan-address-source",
            "gateway-wan-address-static", "gateway-wan-port", "mesh-gateway-container-port", "proxy-config-map",
            "service-tags", "service-ignore", "service-sync", "service-port", "sidecar-proxy-cpu-limit",
            "sidecar-proxy-cpu-request", "sidecar-proxy-memory-limit", "sidecar-proxy-memory-request",
            "sidecar-proxy-startup-failure-seconds", "sidecar-proxy-liveness-failure-seconds",
            "enable-sidecar-proxy-lifecycle", "enable-sidecar-proxy-lifecycle-shutdown-drain-listeners",
            "sidecar-proxy-lifecycle-shutdown-grace-period-seconds",
            "sidecar-proxy-lifecycle-startup-grace-period-seconds", "sidecar-proxy-lifecycle-graceful-port",
            "sidecar-proxy-lifecycle-graceful-shutdown-path", "sidecar-proxy-lifecycle-graceful-startup-path",
            "consul-sidecar-user-volume", "consul-sidecar-user-volume-mount", "consul-envoy-proxy-concurrency",
            "enable-metrics-merging", "merged-metrics-port", "prometheus-scrape-path", "service-metrics-port",
            "service-metrics-path", "prometheus-ca-file", "prometheus-ca-path", "prometheus-cert-file",
            "prometheus-key-file", "envoy-extra-args", "consul-namespace", "original-pod", "peering-version",
            "peering-token", "telemetry-collector", "enable-consul-dataplane-as-sidecar", "multiport"],
        families: ["service-meta-"]),
    prefix!(None, "meshward.dev/", complete: true,
        rules: ["redirect"], others: ["swap", "status", "not-ready"],
        families: ["enforce", "audit", "warn"]),
];
