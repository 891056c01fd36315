//! What kumactl (v3) writes for one family, line by line as its source says, without any of our code for rules: the
//! oracle for everything that no golden shows.

use std::collections::BTreeMap;
use std::fmt::Write;

use meshward_redirect::dialect::kuma::Options;
use meshward_redirect::net::{Family, PortRange};

/// A table's text; inserted rules are numbered per chain.
#[derive(Default)]
struct Text {
    text: String,
    inserted: BTreeMap<&'static str, usize>,
}

impl Text {
    fn table(&mut self, name: &str) {
        writeln!(self.text, "* {name}").expect("text");
        self.inserted.clear();
    }

    fn append(&mut self, chain: &'static str, rule: impl AsRef<str>) {
        writeln!(self.text, "-A {chain} {}", rule.as_ref()).expect("text");
    }

    fn insert(&mut self, chain: &'static str, rule: impl AsRef<str>) {
        let position = self.inserted.entry(chain).or_default();
        *position += 1;
        writeln!(self.text, "-I {chain} {position} {}", rule.as_ref()).expect("text");
    }

    fn insert_if(&mut self, insert: bool, chain: &'static str, rule: &str) {
        if insert { self.insert(chain, rule) } else { self.append(chain, rule) }
    }
}

pub(crate) fn text(options: &Options, family: Family) -> String {
    let (localhost, passthrough) = match family {
        Family::Ipv4 => ("127.0.0.1/32", "127.0.0.6/32"),
        Family::Ipv6 => ("::1/128", "::6/128"),
    };
    let uid = options.kuma_dp_user;
    let all = options.dns.capture_all || options.dns.servers.is_none();
    let servers: Vec<_> =
        options.dns.servers.iter().flatten().filter(|ip| Family::of(**ip) == family).collect();
    let dns = options.dns.enabled && (all || !servers.is_empty());
    let port = options.dns.port;
    let mut text = Text::default();

    text.table("raw");
    if dns && options.dns.zone_split {
        text.append("OUTPUT", format!("-p udp --dport 53 -m owner --uid-owner {uid} -j CT --zone 1"));
        text.append("OUTPUT", format!("-p udp --sport {port} -m owner --uid-owner {uid} -j CT --zone 2"));
        if all {
            text.append("OUTPUT", "-p udp --dport 53 -j CT --zone 2");
            text.append("PREROUTING", "-p udp --sport 53 -j CT --zone 1");
        } else {
            for ip in &servers {
                text.append("OUTPUT", format!("-d {ip} -p udp --dport 53 -j CT --zone 2"));
                if ip.is_loopback() {
                    text.append("OUTPUT", format!("-s {ip} -d {localhost} -p udp -j CT --zone 1"));
                }
                text.append("PREROUTING", format!("-s {ip} -p udp --sport 53 -j CT --zone 1"));
            }
        }
    }

    text.table("nat");
    for name in ["INBOUND", "OUTBOUND", "INBOUND_REDIRECT", "OUTBOUND_REDIRECT"] {
        writeln!(text.text, "-N KUMA_MESH_{name}").expect("text");
    }
    output(&mut text, options, family, dns, all.then_some(()).map_or(Some(servers), |()| None));
    prerouting(&mut text, options, family);
    inbound(&mut text, options, family);
    outbound(&mut text, options, localhost, passthrough);
    text.append(
        "KUMA_MESH_INBOUND_REDIRECT",
        format!("-p tcp -j REDIRECT --to-ports {}", options.inbound.port),
    );
    text.append(
        "KUMA_MESH_OUTBOUND_REDIRECT",
        format!("-p tcp -j REDIRECT --to-ports {}", options.outbound.port),
    );

    text.table("mangle");
    if options.drop_invalid_packets {
        text.append("PREROUTING", "-m conntrack --ctstate INVALID -j DROP");
    }
    text.text
}

fn output(
    text: &mut Text,
    options: &Options,
    family: Family,
    dns: bool,
    servers: Option<Vec<&std::net::IpAddr>>,
) {
    let uid = options.kuma_dp_user;
    let port = options.dns.port;
    if let Some(level) = options.log_level {
        text.insert("OUTPUT", format!("-j LOG --log-prefix OUTPUT: --log-level {level}"));
    }
    for exclusion in &options.outbound.exclude_for_uids {
        let ports: Vec<String> = exclusion.ports.iter().map(range).collect();
        let (first, last) = (exclusion.uids.start(), exclusion.uids.end());
        text.insert(
            "OUTPUT",
            format!(
                "-m multiport -p {} --dport {} -m owner --uid-owner {first}:{last} -j RETURN",
                exclusion.protocol,
                ports.join(",")
            ),
        );
    }
    for net in options.outbound.exclude_ips.iter().filter(|net| Family::of_net(net) == family) {
        text.insert("OUTPUT", format!("-d {net} -j RETURN"));
    }
    if dns {
        text.insert("OUTPUT", format!("-p udp --dport 53 -m owner --uid-owner {uid} -j RETURN"));
        text.append("OUTPUT", format!("-p tcp --dport 53 -m owner ! --uid-owner {uid} -j RETURN"));
        match servers {
            None => text.insert("OUTPUT", format!("-p udp --dport 53 -j REDIRECT --to-ports {port}")),
            Some(servers) => servers.iter().for_each(|ip| {
                text.insert("OUTPUT", format!("-d {ip} -p udp --dport 53 -j REDIRECT --to-ports {port}"));
            }),
        }
    }
    text.insert_if(options.outbound.insert, "OUTPUT", "-p tcp -j KUMA_MESH_OUTBOUND");
}

fn range(range: &PortRange) -> String {
    if range.is_single() { range.start().to_string() } else { format!("{}:{}", range.start(), range.end()) }
}

fn prerouting(text: &mut Text, options: &Options, family: Family) {
    if let Some(level) = options.log_level {
        text.append("PREROUTING", format!("-j LOG --log-prefix PREROUTING: --log-level {level}"));
    }
    let networks: BTreeMap<String, _> = options
        .virtual_networks
        .iter()
        .filter(|network| Family::of_net(&network.network) == family)
        .map(|network| (network.interface.to_string(), network.network))
        .collect();
    for (interface, net) in &networks {
        let (dns, out) = (options.dns.port, options.outbound.port);
        text.insert(
            "PREROUTING",
            format!("-i {interface} -m udp -p udp --dport 53 -j REDIRECT --to-ports {dns}"),
        );
        text.insert("PREROUTING", format!("! -d {net} -i {interface} -p tcp -j REDIRECT --to-ports {out}"));
    }
    text.insert_if(
        options.inbound.insert || !networks.is_empty(),
        "PREROUTING",
        "-p tcp -j KUMA_MESH_INBOUND",
    );
}

fn inbound(text: &mut Text, options: &Options, family: Family) {
    const CHAIN: &str = "KUMA_MESH_INBOUND";
    let inbound = &options.inbound;
    if !inbound.enabled {
        return text.append(CHAIN, "-p tcp -j RETURN");
    }
    for net in inbound.exclude_ips.iter().filter(|net| Family::of_net(net) == family) {
        text.append(CHAIN, format!("-s {net} -j RETURN"));
    }
    for port in &inbound.include_ports {
        text.append(CHAIN, format!("-p tcp --dport {port} -j KUMA_MESH_INBOUND_REDIRECT"));
    }
    if inbound.include_ports.is_empty() {
        for port in &inbound.exclude_ports {
            text.append(CHAIN, format!("-p tcp --dport {port} -j RETURN"));
        }
        text.append(CHAIN, "-p tcp -j KUMA_MESH_INBOUND_REDIRECT");
    }
}

fn outbound(text: &mut Text, options: &Options, localhost: &str, passthrough: &str) {
    const CHAIN: &str = "KUMA_MESH_OUTBOUND";
    let outbound = &options.outbound;
    let uid = options.kuma_dp_user;
    if !outbound.enabled {
        return text.append(CHAIN, "-p tcp -j RETURN");
    }
    if outbound.include_ports.is_empty() {
        for port in &outbound.exclude_ports {
            text.append(CHAIN, format!("-p tcp --dport {port} -j RETURN"));
        }
    }
    text.append(CHAIN, format!("-s {passthrough} -o lo -j RETURN"));
    text.append(
        CHAIN,
        format!("-p tcp -o lo ! -d {localhost} -m owner --uid-owner {uid} -j KUMA_MESH_INBOUND_REDIRECT"),
    );
    text.append(CHAIN, format!("-p tcp -o lo -m owner ! --uid-owner {uid} -j RETURN"));
    text.append(CHAIN, format!("-m owner --uid-owner {uid} -j RETURN"));
    text.append(CHAIN, format!("-d {localhost} -j RETURN"));
    for port in &outbound.include_ports {
        text.append(CHAIN, format!("-p tcp --dport {port} -j KUMA_MESH_OUTBOUND_REDIRECT"));
    }
    if outbound.include_ports.is_empty() {
        text.append(CHAIN, "-j KUMA_MESH_OUTBOUND_REDIRECT");
    }
}
