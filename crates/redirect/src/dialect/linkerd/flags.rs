//! The flags of `linkerd2-proxy-init` (`newRootOptions` and `NewRootCmd` in proxy-init/cmd/root.go). It reads no
//! environment. Ports and user have no default in the program itself; the ones here are what Linkerd's chart always
//! passes.

use crate::dialect::flags::Flag;

const HOW: &str = "how rules are put in force is up to meshward program";
const LOGGING: &str = "logging of Linkerd's own program";

/// Every flag, in the order of Linkerd's own program.
pub static FLAGS: &[Flag] = &[
    Flag::value("incoming-proxy-port", "PORT", "Port of the proxy for inbound connections")
        .short('p')
        .default("4143"),
    Flag::value("outgoing-proxy-port", "PORT", "Port of the proxy for outbound connections")
        .short('o')
        .default("4140"),
    Flag::value("proxy-uid", "UID", "User whose traffic is the proxy's own").short('u').default("2102"),
    Flag::value("proxy-gid", "GID", "Group whose traffic is the proxy's own; -1: none")
        .short('g')
        .default("-1"),
    Flag::list("ports-to-redirect", "PORTS", "Inbound ports to capture; none given: all").short('r'),
    Flag::list("inbound-ports-to-ignore", "PORTS", "Inbound ports and ranges (80-90) not to capture"),
    Flag::list("outbound-ports-to-ignore", "PORTS", "Outbound ports and ranges (80-90) not to capture"),
    Flag::list("subnets-to-ignore", "CIDRS", "Sources whose inbound connections are not captured"),
    Flag::switch("simulate", "Change nothing").no_effect(HOW),
    Flag::value("netns", "PATH", "Namespace to work in")
        .no_effect("a namespace is chosen by meshward program's own --netns or --pid"),
    Flag::switch("use-wait-flag", "Wait for the lock of iptables").short('w').no_effect(HOW),
    Flag::value(
        "timeout-close-wait-secs",
        "SECONDS",
        "Value of nf_conntrack_tcp_timeout_close_wait; 0: untouched",
    )
    .default("0")
    .no_effect("a sysctl, not a rule"),
    Flag::value("log-format", "FORMAT", "plain or json").default("plain").no_effect(LOGGING),
    Flag::value("log-level", "LEVEL", "Log level").default("info").no_effect(LOGGING),
    Flag::value("iptables-mode", "MODE", "legacy, nft or plain").no_effect(HOW),
    Flag::switch("ipv6", "Capture IPv6 too").default("true"),
    Flag::value("firewall-bin-path", "PATH", "iptables binary").no_effect(HOW),
    Flag::value("firewall-save-bin-path", "PATH", "iptables-save binary").no_effect(HOW),
];
