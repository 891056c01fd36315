//! The flags of `istio-iptables` (`tools/istio-iptables/pkg/cmd/root.go`), those it only takes from its environment
//! (`tools/istio-iptables/pkg/constants/constants.go`), those of its logger, and ours. `flag.BindEnv` makes a
//! variable of every flag but `--envoy-port`; `flag.AdditionalEnv` adds a stronger one to three of them.

use crate::dialect::flags::Flag;

const LOGGING: &str = "logging of Istio's own program";
const HOW: &str = "how rules are put in force is up to meshward program";
const VALIDATION: &str = "checks of Istio's own program";
const ELSEWHERE: &str = "a namespace is chosen with --netns or --pid";

/// Every flag, in the order of Istio's own help.
pub static FLAGS: &[Flag] = &[
    Flag::value("envoy-port", "PORT", "Port of the proxy for outbound connections")
        .short('p')
        .default("15001"),
    Flag::value("inbound-capture-port", "PORT", "Port of the proxy for inbound connections")
        .short('z')
        .env(&["INBOUND_CAPTURE_PORT"])
        .default("15006"),
    Flag::value("inbound-tunnel-port", "PORT", "Port of the proxy's own tunnel (HBONE), never redirected")
        .short('e')
        .env(&["INBOUND_TUNNEL_PORT"])
        .default("15008"),
    Flag::value("proxy-uid", "UIDS", "Users whose traffic is the proxy's own, numbers with commas")
        .short('u')
        .env(&["PROXY_UID"])
        .default("1337"),
    Flag::value(
        "proxy-gid",
        "GIDS",
        "Groups whose traffic is the proxy's own; empty: the numbers of --proxy-uid",
    )
    .short('g')
    .env(&["PROXY_GID"]),
    Flag::value(
        "istio-inbound-interception-mode",
        "MODE",
        "REDIRECT, TPROXY or NONE (no rules); empty: REDIRECT",
    )
    .short('m')
    .env(&["ISTIO_INBOUND_INTERCEPTION_MODE"]),
    Flag::value(
        "istio-inbound-ports",
        "PORTS",
        "Inbound ports to capture: numbers with commas, or *; empty: none",
    )
    .short('b')
    .env(&["ISTIO_INBOUND_PORTS"]),
    Flag::value(
        "istio-local-exclude-ports",
        "PORTS",
        "Inbound ports not to capture; only with all ports (*)",
    )
    .short('d')
    .env(&["ISTIO_LOCAL_EXCLUDE_PORTS"]),
    Flag::value(
        "istio-exclude-interfaces",
        "NAMES",
        "Interfaces whose traffic is not captured in any direction",
    )
    .short('c')
    .env(&["ISTIO_EXCLUDE_INTERFACES"]),
    Flag::value("istio-service-cidr", "CIDRS", "Outbound destinations to capture: CIDRs, or *; empty: none")
        .short('i')
        .env(&["ISTIO_SERVICE_CIDR"]),
    Flag::value("istio-service-exclude-cidr", "CIDRS", "Outbound destinations not to capture")
        .short('x')
        .env(&["ISTIO_SERVICE_EXCLUDE_CIDR"]),
    Flag::value("istio-outbound-ports", "PORTS", "Outbound ports to capture whatever the destination")
        .short('q')
        .env(&["ISTIO_OUTBOUND_PORTS"]),
    Flag::value("istio-local-outbound-ports-exclude", "PORTS", "Outbound ports not to capture, TCP and UDP")
        .short('o')
        .env(&["ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"]),
    Flag::value("kube-virt-interfaces", "NAMES", "Interfaces whose inbound traffic counts as outbound (VMs)")
        .short('k')
        .env(&["KUBE_VIRT_INTERFACES"]),
    Flag::value("istio-inbound-tproxy-mark", "MARK", "Packet mark of captured connections in TPROXY mode")
        .short('t')
        .env(&["ISTIO_INBOUND_TPROXY_MARK"])
        .default("1337"),
    Flag::value(
        "istio-inbound-tproxy-route-table",
        "TABLE",
        "Routing table of captured connections in TPROXY mode",
    )
    .short('r')
    .env(&["ISTIO_INBOUND_TPROXY_ROUTE_TABLE"])
    .default("133"),
    Flag::switch("dry-run", "Change nothing").short('n').env(&["DRY_RUN"]).no_effect(HOW),
    Flag::value("iptables-probe-port", "PORT", "Port for validation")
        .env(&["IPTABLES_PROBE_PORT"])
        .default("15002")
        .no_effect(VALIDATION),
    Flag::value("probe-timeout", "DURATION", "Time limit of validation")
        .env(&["PROBE_TIMEOUT"])
        .default("5s")
        .no_effect(VALIDATION),
    Flag::switch("skip-rule-apply", "Only validate").env(&["SKIP_RULE_APPLY"]).no_effect(VALIDATION),
    Flag::switch("run-validation", "Validate the rules").env(&["RUN_VALIDATION"]).no_effect(VALIDATION),
    Flag::switch("redirect-dns", "Capture DNS (port 53) to the agent's port 15053")
        .env(&["ISTIO_META_DNS_CAPTURE", "REDIRECT_DNS"]),
    Flag::switch("drop-invalid", "Drop packets that connection tracking finds invalid")
        .env(&["INVALID_DROP", "DROP_INVALID"]),
    Flag::switch("dual-stack", "The proxy listens on both families; where it says auto, --ipv6 needs it")
        .env(&["ISTIO_DUAL_STACK", "DUAL_STACK"]),
    Flag::switch("capture-all-dns", "Capture DNS to any server, not only to those of --dns-servers")
        .env(&["CAPTURE_ALL_DNS"]),
    Flag::value("network-namespace", "PATH", "Namespace to work in")
        .env(&["NETWORK_NAMESPACE"])
        .no_effect(ELSEWHERE),
    Flag::switch("cni-mode", "Work with the host's files").env(&["CNI_MODE"]).no_effect(HOW),
    Flag::switch("reconcile", "Repair rules that differ").env(&["RECONCILE"]).no_effect(HOW),
    Flag::switch("cleanup-only", "Only remove rules").env(&["CLEANUP_ONLY"]).no_effect(HOW),
    Flag::switch("force-apply", "Apply over rules that exist").env(&["FORCE_APPLY"]).no_effect(HOW),
    Flag::switch("native-nftables", "Use nftables").env(&["NATIVE_NFTABLES"]).no_effect(HOW),
    Flag::value("force-iptables-binary", "VARIANT", "legacy or nft")
        .env(&["FORCE_IPTABLES_BINARY"])
        .no_effect(HOW),
    Flag::value(
        "outbound-owner-groups",
        "GIDS",
        "Groups whose outbound traffic is captured: at most 64, or *",
    )
    .env(&["ISTIO_OUTBOUND_OWNER_GROUPS"])
    .default("*"),
    Flag::value(
        "outbound-owner-groups-exclude",
        "GIDS",
        "Groups whose outbound traffic is not captured; only with *",
    )
    .env(&["ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"]),
    Flag::value("outbound-ipv4-loopback-cidr", "CIDR", "IPv4 loopback destinations that stay uncaptured")
        .env(&["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"])
        .default("127.0.0.1/32"),
    Flag::value(
        "envoy-user",
        "NAME",
        "User of the proxy where --proxy-uid is not given; only istio-proxy is known",
    )
    .env(&["ENVOY_USER"])
    .default("istio-proxy"),
    Flag::value("ipv6", "MODE", "Capture IPv6: on, off, or auto (where the proxy listens on it)")
        .default("auto"),
    Flag::switch("enable-inbound-ipv6", "A flag of istio-pod-network-controller")
        .env(&["ENABLE_INBOUND_IPV6"])
        .no_effect("IPv6 that is not captured is left alone; --ipv6 captures it"),
    Flag::value("dns-servers", "ADDRESSES", "DNS servers to capture; empty: none; not given: every server"),
    Flag::value("log_output_level", "LEVELS", "Log level").default("default:info").no_effect(LOGGING),
    Flag::value("log_stacktrace_level", "LEVELS", "Log level of stack traces")
        .default("default:none")
        .no_effect(LOGGING),
    Flag::value("log_caller", "SCOPES", "Scopes that log their caller").no_effect(LOGGING),
    Flag::list("log_target", "PATHS", "Where logs go").default("stdout").no_effect(LOGGING),
    Flag::switch("log_as_json", "Log as JSON").no_effect(LOGGING),
    Flag::value("log_rotate", "PATH", "Rotating log file").no_effect(LOGGING),
    Flag::value("log_rotate_max_age", "DAYS", "Age of log files").default("30").no_effect(LOGGING),
    Flag::value("log_rotate_max_size", "MEGABYTES", "Size of log files")
        .default("104857600")
        .no_effect(LOGGING),
    Flag::value("log_rotate_max_backups", "NUMBER", "Log files kept").default("1000").no_effect(LOGGING),
    Flag::value("vklog", "LEVEL", "Log level of Kubernetes code").default("0").no_effect(LOGGING),
];
