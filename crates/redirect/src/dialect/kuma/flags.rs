//! Every flag of `kumactl install transparent-proxy`, the settings that Kuma only takes from its configuration or the
//! environment (under names in the style of its flags), and `--dns-servers`, which is ours.
//!
//! The list keeps the flags that Kuma 2.x had and 3.0 dropped, because init containers of running pods still use them.

use crate::dialect::flags::{Effect, Flag, FlagKind};

const ONE_BATCH: Effect =
    Effect::None("rules are put in force in one netlink batch, without binaries or locks");
const NO_EBPF: Effect =
    Effect::None("Kuma dropped its eBPF mode; the same rules are put in force by nftables");

const fn flag(
    long: &'static str,
    environment: &'static [&'static str],
    kind: FlagKind,
    default: &'static str,
    help: &'static str,
) -> Flag {
    Flag::new(long, kind, help).env(environment).default(default)
}

const fn inert(
    long: &'static str,
    environment: &'static [&'static str],
    kind: FlagKind,
    default: &'static str,
    effect: Effect,
) -> Flag {
    Flag { effect, ..flag(long, environment, kind, default, "accepted as Kuma's") }
}

/// The whole table.
pub const FLAGS: &[Flag] = &[
    Flag {
        aliases: &["config-file", "transparent-proxy-config"],
        ..flag(
            "config",
            &[],
            FlagKind::List("FILE"),
            "",
            "Configuration files in Kuma's format (YAML or JSON); later ones win, flags win over all",
        )
    },
    Flag {
        aliases: &["kuma-dp-uid"],
        ..flag(
            "kuma-dp-user",
            &["KUMA_TRANSPARENT_PROXY_KUMA_DP_USER"],
            FlagKind::Value("UID"),
            "5678",
            "Numeric id of the user that kuma-dp runs as",
        )
    },
    flag(
        "ip-family-mode",
        &["KUMA_TRANSPARENT_PROXY_IP_FAMILY_MODE"],
        FlagKind::Value("MODE"),
        "dualstack",
        "Address families to capture: dualstack or ipv4",
    ),
    flag(
        "redirect-inbound",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_ENABLED"],
        FlagKind::Switch,
        "true",
        "Redirect inbound TCP to the proxy (off for gateways)",
    ),
    flag(
        "redirect-inbound-port",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_PORT"],
        FlagKind::Value("PORT"),
        "15006",
        "Port where the proxy takes inbound connections",
    ),
    flag(
        "include-inbound-ports",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_INCLUDE_PORTS"],
        FlagKind::List("PORTS"),
        "",
        "Redirect only these inbound ports (Kuma: configuration only)",
    ),
    flag(
        "exclude-inbound-ports",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS"],
        FlagKind::List("PORTS"),
        "",
        "Inbound ports that pass by the proxy; ignored when inbound ports are included",
    ),
    flag(
        "exclude-inbound-ips",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_IPS"],
        FlagKind::List("NETWORKS"),
        "",
        "Sources (addresses or CIDRs of either family) whose inbound traffic passes by the proxy",
    ),
    inert(
        "exclude-inbound-ports-for-uids",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_EXCLUDE_PORTS_FOR_UIDS"],
        FlagKind::Items("RULE"),
        "",
        Effect::None(
            "a packet from outside has no user id; Kuma only has the key because both directions share a type",
        ),
    ),
    flag(
        "redirect-inbound-insert-instead-of-append",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND"],
        FlagKind::Switch,
        "false",
        "Put the inbound redirection before the inbound log rule (our table has no rules of others)",
    ),
    flag(
        "redirect-outbound",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_ENABLED"],
        FlagKind::Switch,
        "true",
        "Redirect outbound TCP to the proxy (Kuma: configuration only)",
    ),
    flag(
        "redirect-outbound-port",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_PORT"],
        FlagKind::Value("PORT"),
        "15001",
        "Port where the proxy takes outbound connections",
    ),
    flag(
        "include-outbound-ports",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_INCLUDE_PORTS"],
        FlagKind::List("PORTS"),
        "",
        "Redirect only these outbound ports (Kuma: configuration only)",
    ),
    flag(
        "exclude-outbound-ports",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS"],
        FlagKind::List("PORTS"),
        "",
        "Outbound ports that pass by the proxy; ignored when outbound ports are included",
    ),
    flag(
        "exclude-outbound-ports-for-uids",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_UIDS"],
        FlagKind::Items("RULE"),
        "",
        "What passes by the proxy for a user, as [PROTOCOLS:][PORTS:]UIDS: tcp:22,8000-9000:1000-2000; semicolons or the flag again for more",
    ),
    flag(
        "exclude-outbound-ips",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_EXCLUDE_PORTS_FOR_IPS"],
        FlagKind::List("NETWORKS"),
        "",
        "Destinations (addresses or CIDRs of either family) that pass by the proxy",
    ),
    flag(
        "redirect-outbound-insert-instead-of-append",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_OUTBOUND_INSERT_REDIRECT_INSTEAD_OF_APPEND"],
        FlagKind::Switch,
        "false",
        "Put the outbound redirection before the rule that lets DNS over TCP pass",
    ),
    flag(
        "redirect-dns",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_ENABLED"],
        FlagKind::Switch,
        "false",
        "Redirect DNS queries over UDP to the servers of --dns-servers, or to all where that is absent",
    ),
    flag(
        "redirect-all-dns-traffic",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_CAPTURE_ALL"],
        FlagKind::Switch,
        "false",
        "Redirect every DNS query over UDP",
    ),
    flag(
        "redirect-dns-port",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_PORT"],
        FlagKind::Value("PORT"),
        "15053",
        "Port where kuma-dp takes DNS queries",
    ),
    flag(
        "dns-servers",
        &[],
        FlagKind::List("ADDRESSES"),
        "",
        "Servers for --redirect-dns (Kuma reads the pod's resolv.conf); given and empty: capture none",
    ),
    inert(
        "redirect-dns-resolv-config-path",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_RESOLV_CONFIG_PATH"],
        FlagKind::Value("FILE"),
        "/etc/resolv.conf",
        Effect::None("the pod's files cannot be seen from outside; give --dns-servers"),
    ),
    flag(
        "skip-dns-conntrack-zone-split",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_SKIP_CONNTRACK_ZONE_SPLIT"],
        FlagKind::Switch,
        "false",
        "Keep captured and forwarded DNS queries in one conntrack zone",
    ),
    flag(
        "vnet",
        &["KUMA_TRANSPARENT_PROXY_REDIRECT_VNET_NETWORKS"],
        FlagKind::List("INTERFACE:CIDR"),
        "",
        "Virtual networks whose traffic is taken for outbound: docker0:172.17.0.0/16, br+:172.18.0.0/16",
    ),
    flag(
        "drop-invalid-packets",
        &["KUMA_TRANSPARENT_PROXY_DROP_INVALID_PACKETS"],
        FlagKind::Switch,
        "false",
        "Drop packets that belong to no known connection",
    ),
    flag(
        "iptables-logs",
        &["KUMA_TRANSPARENT_PROXY_LOG_ENABLED"],
        FlagKind::Switch,
        "false",
        "Log the packets that meet the rules to the kernel log",
    ),
    flag(
        "iptables-log-level",
        &["KUMA_TRANSPARENT_PROXY_LOG_LEVEL"],
        FlagKind::Value("LEVEL"),
        "7",
        "Syslog level of those lines, 0 to 7 (Kuma: configuration only)",
    ),
    inert(
        "disable-comments",
        &["KUMA_TRANSPARENT_PROXY_COMMENTS_DISABLED"],
        FlagKind::Switch,
        "false",
        Effect::None("every rule carries its name"),
    ),
    inert(
        "store-firewalld",
        &["KUMA_TRANSPARENT_PROXY_STORE_FIREWALLD"],
        FlagKind::Switch,
        "false",
        Effect::None("the node's firewalld has no part in a pod's namespace"),
    ),
    inert("wait", &["KUMA_TRANSPARENT_PROXY_WAIT"], FlagKind::Value("SECONDS"), "5", ONE_BATCH),
    inert(
        "wait-interval",
        &["KUMA_TRANSPARENT_PROXY_WAIT_INTERVAL"],
        FlagKind::Value("MICROSECONDS"),
        "0",
        ONE_BATCH,
    ),
    inert(
        "max-retries",
        &["KUMA_TRANSPARENT_PROXY_RETRY_MAX_RETRIES"],
        FlagKind::Value("NUMBER"),
        "4",
        ONE_BATCH,
    ),
    inert(
        "sleep-between-retries",
        &["KUMA_TRANSPARENT_PROXY_RETRY_SLEEP_BETWEEN_RETRIES"],
        FlagKind::Value("DURATION"),
        "2s",
        ONE_BATCH,
    ),
    inert(
        "iptables-executables",
        &["KUMA_TRANSPARENT_PROXY_IPTABLES_EXECUTABLES"],
        FlagKind::List("NAME:PATH"),
        "",
        ONE_BATCH,
    ),
    inert(
        "dry-run",
        &["KUMA_TRANSPARENT_PROXY_DRY_RUN"],
        FlagKind::Switch,
        "false",
        Effect::None("printing and programming are verbs of their own"),
    ),
    inert(
        "verbose",
        &["KUMA_TRANSPARENT_PROXY_VERBOSE"],
        FlagKind::Switch,
        "false",
        Effect::None("it chooses long option names in Kuma's iptables text"),
    ),
    inert(
        "cni-mode",
        &["KUMA_TRANSPARENT_PROXY_CNI_MODE"],
        FlagKind::Switch,
        "false",
        Effect::None("it skips a lookup of the user's name, and names are never looked up"),
    ),
    inert(
        "redirect-dns-upstream-target-chain",
        &[],
        FlagKind::Value("CHAIN"),
        "",
        Effect::None("Kuma ignores it since 2.9"),
    ),
    inert("ebpf-enabled", &["KUMA_TRANSPARENT_PROXY_EBPF_ENABLED"], FlagKind::Switch, "false", NO_EBPF),
    inert("ebpf-instance-ip", &[], FlagKind::Value("IP"), "", NO_EBPF),
    inert("ebpf-bpffs-path", &[], FlagKind::Value("DIRECTORY"), "/run/kuma/bpf", NO_EBPF),
    inert("ebpf-cgroup-path", &[], FlagKind::Value("DIRECTORY"), "/sys/fs/cgroup", NO_EBPF),
    inert("ebpf-programs-source-path", &[], FlagKind::Value("DIRECTORY"), "/tmp/kuma-ebpf", NO_EBPF),
    inert("ebpf-tc-attach-iface", &[], FlagKind::Value("INTERFACE"), "", NO_EBPF),
];
