//! Every flag of `consul connect redirect-traffic`, and `--dual-stack`, which is ours.

use crate::dialect::flags::{Effect, Flag, FlagKind};

const NO_AGENT: Effect = Effect::None("no Consul agent is asked");

const fn flag(long: &'static str, kind: FlagKind, default: &'static str, help: &'static str) -> Flag {
    Flag::new(long, kind, help).default(default)
}

const fn client(long: &'static str, environment: &'static [&'static str], value: &'static str) -> Flag {
    let kind = FlagKind::Value(value);
    Flag { environment, effect: NO_AGENT, ..flag(long, kind, "", "accepted as Consul's") }
}

/// The whole table.
pub const FLAGS: &[Flag] = &[
    flag("proxy-uid", FlagKind::Value("UID"), "5995", "Numeric id of the user that the proxy runs as"),
    flag(
        "proxy-id",
        FlagKind::Value("ID"),
        "",
        "Refused: Consul's command asks its agent for this service; give --proxy-inbound-port instead",
    ),
    client("node-name", &[], "NAME"),
    flag(
        "proxy-inbound-port",
        FlagKind::Value("PORT"),
        "20000",
        "Port where the proxy takes inbound connections",
    ),
    flag(
        "proxy-outbound-port",
        FlagKind::Value("PORT"),
        "15001",
        "Port where the proxy takes outbound connections",
    ),
    flag(
        "consul-dns-ip",
        FlagKind::Value("ADDRESS"),
        "",
        "Where DNS queries go; with a port, only those to this address are taken",
    ),
    flag(
        "consul-dns-port",
        FlagKind::Value("PORT"),
        "",
        "Port of Consul's DNS; without an address, queries to the loopback address are taken",
    ),
    flag(
        "exclude-inbound-port",
        FlagKind::List("PORT"),
        "",
        "Inbound port or range such as 8080:9000 that passes by the proxy; repeatable",
    ),
    flag(
        "exclude-outbound-port",
        FlagKind::List("PORT"),
        "",
        "Outbound port or range such as 8080:9000 that passes by the proxy; repeatable",
    ),
    flag(
        "exclude-outbound-cidr",
        FlagKind::List("CIDR"),
        "",
        "Destination address or CIDR that passes by the proxy; repeatable",
    ),
    flag(
        "exclude-uid",
        FlagKind::List("UID"),
        "",
        "Other user whose traffic passes by the proxy; repeatable",
    ),
    Flag {
        environment: &["CONSUL_DUAL_STACK"],
        ..flag(
            "dual-stack",
            FlagKind::Switch,
            "false",
            "Capture IPv6 too; Consul's DNS then needs an IPv6 address",
        )
    },
    Flag {
        effect: Effect::None("the verb that programs chooses the namespace"),
        ..flag("netns", FlagKind::Value("PATH"), "", "accepted as Consul's")
    },
    client("http-addr", &["CONSUL_HTTP_ADDR"], "ADDRESS"),
    client("token", &["CONSUL_HTTP_TOKEN"], "TOKEN"),
    client("token-file", &["CONSUL_HTTP_TOKEN_FILE"], "FILE"),
    client("ca-file", &["CONSUL_CACERT"], "FILE"),
    client("ca-path", &["CONSUL_CAPATH"], "DIRECTORY"),
    client("client-cert", &["CONSUL_CLIENT_CERT"], "FILE"),
    client("client-key", &["CONSUL_CLIENT_KEY"], "FILE"),
    client("tls-server-name", &["CONSUL_TLS_SERVER_NAME"], "NAME"),
    client("namespace", &["CONSUL_NAMESPACE"], "NAME"),
    client("partition", &["CONSUL_PARTITION"], "NAME"),
];
