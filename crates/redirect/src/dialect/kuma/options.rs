//! Kuma's settings, understood: typed, with contradictions refused and questionable combinations pointed out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::dialect::settings::{InvalidOption, Origin, Settings};
use crate::net::{
    Family, IdRange, InterfaceName, InvalidValue, PortRange, Protocol, parse_id, parse_net, parse_port,
};

const MOST_ITEMS: usize = 1024;

/// The most ports and ranges in all exclusions by user together; each is multiplied by the protocols beside it.
const MOST_EXCLUDED_PORTS: usize = 4096;

/// What Kuma is asked to do in one network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Options {
    /// User id of kuma-dp, whose own traffic passes.
    pub kuma_dp_user: u32,
    /// The address families that are captured.
    pub ip_family_mode: IpFamilyMode,
    /// Connections that arrive.
    pub inbound: Inbound,
    /// Connections that processes of the pod open.
    pub outbound: Outbound,
    /// DNS queries over UDP.
    pub dns: Dns,
    /// Networks behind interfaces of the pod whose traffic counts as outbound.
    pub virtual_networks: Vec<VirtualNetwork>,
    /// Whether packets that fit no connection are dropped.
    pub drop_invalid_packets: bool,
    /// Syslog level of the log rules; none for no log rules.
    pub log_level: Option<u8>,
}

/// `dualstack` or `ipv4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFamilyMode {
    /// Both families
    DualStack,
    /// IPv4 only; IPv6 is left alone
    Ipv4,
}

/// How inbound connections are redirected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inbound {
    /// Whether they are at all.
    pub enabled: bool,
    /// Where the proxy takes them.
    pub port: u16,
    /// Only these ports; empty for all.
    pub include_ports: Vec<u16>,
    /// Not these; ignored when some are included.
    pub exclude_ports: Vec<u16>,
    /// Not from these sources.
    pub exclude_ips: Vec<IpNet>,
    /// Whether the redirection stands before the log rule.
    pub insert: bool,
}

/// How outbound connections are redirected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outbound {
    /// Whether they are at all.
    pub enabled: bool,
    /// Where the proxy takes them.
    pub port: u16,
    /// Only these ports; empty for all.
    pub include_ports: Vec<u16>,
    /// Not these; ignored when some are included.
    pub exclude_ports: Vec<u16>,
    /// Not these ports of these users.
    pub exclude_for_uids: Vec<UidExclusion>,
    /// Not to these destinations.
    pub exclude_ips: Vec<IpNet>,
    /// Whether the redirection stands before the rule that lets DNS over TCP pass.
    pub insert: bool,
}

/// Traffic of some users that is not redirected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UidExclusion {
    /// Of this protocol.
    pub protocol: Protocol,
    /// To these ports.
    pub ports: Vec<PortRange>,
    /// Of these users.
    pub uids: IdRange,
}

/// How DNS queries are redirected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// Whether they are at all.
    pub enabled: bool,
    /// Whether all of them are, whichever server they go to.
    pub capture_all: bool,
    /// The servers that count without `capture_all`; none when they are not known, which captures all.
    pub servers: Option<Vec<IpAddr>>,
    /// Where kuma-dp takes them; 0 only where nothing is redirected there.
    pub port: u16,
    /// Whether captured and forwarded queries are tracked in zones of their own.
    pub zone_split: bool,
}

/// `docker0:172.17.0.0/16`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VirtualNetwork {
    /// The interface, or with `+` the prefix of several.
    pub interface: InterfaceName,
    /// The network behind it, to which connections are not redirected.
    pub network: IpNet,
}

impl Options {
    /// Parses the settings.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first value that is not accepted, and for values that contradict each other.
    pub fn from_settings(settings: &Settings) -> Result<Self, InvalidOption> {
        let options = Self {
            kuma_dp_user: settings.parse("kuma-dp-user", |text| match text.trim() {
                "" => Ok(DEFAULT_UID),
                text => parse_id(text),
            })?,
            ip_family_mode: settings.parse("ip-family-mode", ip_family_mode)?,
            inbound: Inbound {
                enabled: settings.switch("redirect-inbound")?,
                port: settings.parse("redirect-inbound-port", some_port)?,
                include_ports: settings.parse_list("include-inbound-ports", some_port)?,
                exclude_ports: settings.parse_list("exclude-inbound-ports", some_port)?,
                exclude_ips: settings.parse_list("exclude-inbound-ips", parse_net)?,
                insert: settings.switch("redirect-inbound-insert-instead-of-append")?,
            },
            outbound: Outbound {
                enabled: settings.switch("redirect-outbound")?,
                port: settings.parse("redirect-outbound-port", some_port)?,
                include_ports: settings.parse_list("include-outbound-ports", some_port)?,
                exclude_ports: settings.parse_list("exclude-outbound-ports", some_port)?,
                exclude_for_uids: uid_exclusions(settings)?,
                exclude_ips: settings.parse_list("exclude-outbound-ips", parse_net)?,
                insert: settings.switch("redirect-outbound-insert-instead-of-append")?,
            },
            dns: dns(settings)?,
            virtual_networks: settings.parse_list("vnet", virtual_network)?,
            drop_invalid_packets: settings.switch("drop-invalid-packets")?,
            log_level: log_level(settings)?,
        };
        options.check_dns_port(settings)?;
        Ok(options)
    }

    /// The families whose packets are captured.
    pub fn families(&self) -> &'static [Family] {
        match self.ip_family_mode {
            IpFamilyMode::DualStack => &Family::BOTH,
            IpFamilyMode::Ipv4 => &Family::BOTH[..1],
        }
    }

    /// Kuma's injector writes port 0 where DNS is off, so it is refused only where a rule would need it.
    fn check_dns_port(&self, settings: &Settings) -> Result<(), InvalidOption> {
        let unused = !self.dns.enabled && self.virtual_networks.is_empty();
        if self.dns.port != 0 || unused {
            return Ok(());
        }
        let problem = "found 0, accepted: a port, 1 to 65535 (0 only where no DNS is redirected)";
        Err(settings.get("redirect-dns-port").invalid(problem))
    }
}

/// `OwnerDefaultUID` in Kuma's consts.
const DEFAULT_UID: u32 = 5678;

fn some_port(text: &str) -> Result<u16, InvalidValue> {
    parse_port(text)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| InvalidValue::new(text, "a port, 1 to 65535"))
}

fn ip_family_mode(text: &str) -> Result<IpFamilyMode, InvalidValue> {
    match text.to_ascii_lowercase().as_str() {
        "" | "dualstack" => Ok(IpFamilyMode::DualStack),
        "ipv4" => Ok(IpFamilyMode::Ipv4),
        _ => Err(InvalidValue::new(text, "dualstack or ipv4")),
    }
}

/// Whether a value was typed on a command line.
fn typed(origin: &Origin) -> bool {
    matches!(origin, Origin::Flag { .. } | Origin::Argument { .. })
}

/// Puts into the values what so far only their origin says: on a command line `--redirect-all-dns-traffic` is enough by
/// itself, whatever a `--redirect-dns=false` beside it. Settings that are written down to be read somewhere else (where
/// nothing was typed) have to be settled first.
pub fn settle(settings: &mut Settings) {
    let all = settings.get("redirect-all-dns-traffic");
    if typed(&all.origin)
        && settings.switch(all.option) == Ok(true)
        && settings.switch("redirect-dns") == Ok(false)
    {
        settings.reset("redirect-dns");
    }
}

fn dns(settings: &Settings) -> Result<Dns, InvalidOption> {
    let (some, all) = (settings.get("redirect-dns"), settings.get("redirect-all-dns-traffic"));
    let (on, capture_all) = (settings.switch(some.option)?, settings.switch(all.option)?);
    if on && capture_all && typed(&some.origin) && typed(&all.origin) {
        return Err(
            all.invalid("redirect-dns and redirect-all-dns-traffic contradict each other: give one of them")
        );
    }
    // In a configuration `captureAll` only widens `enabled`; on the command line it stands for both.
    let enabled = on || capture_all && (typed(&all.origin) || !settings.is_set(some.option));
    let address = |text: &str| {
        text.parse::<IpAddr>().map_err(|_| InvalidValue::new(text, "an IPv4 or IPv6 address, without a port"))
    };
    let servers = settings.parse_list("dns-servers", address)?;
    Ok(Dns {
        enabled,
        capture_all,
        servers: settings.is_set("dns-servers").then_some(servers),
        port: settings.parse("redirect-dns-port", parse_port)?,
        zone_split: !settings.switch("skip-dns-conntrack-zone-split")?,
    })
}

fn log_level(settings: &Settings) -> Result<Option<u8>, InvalidOption> {
    let level = settings.parse("iptables-log-level", |text| match text.trim().parse::<u8>() {
        Ok(level @ 0..=7) => Ok(level),
        _ => Err(InvalidValue::new(text, "a syslog level, 0 (emergency) to 7 (debug)")),
    })?;
    Ok(settings.switch("iptables-logs")?.then_some(level))
}

fn virtual_network(text: &str) -> Result<VirtualNetwork, InvalidValue> {
    let invalid =
        || InvalidValue::new(text, "INTERFACE:CIDR, such as docker0:172.17.0.0/16 or br+:fd00::/64");
    let (interface, network) = text.split_once(':').ok_or_else(invalid)?;
    if !network.contains('/') {
        return Err(invalid());
    }
    Ok(VirtualNetwork {
        interface: interface.parse().map_err(|_| invalid())?,
        network: parse_net(network).map_err(|_| invalid())?,
    })
}

fn uid_exclusions(settings: &Settings) -> Result<Vec<UidExclusion>, InvalidOption> {
    let setting = settings.get("exclude-outbound-ports-for-uids");
    let items: Vec<&str> = setting.value.split(';').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.len() > MOST_ITEMS {
        return Err(
            setting.invalid(format!("found {} elements, accepted: at most {MOST_ITEMS}", items.len()))
        );
    }
    let mut exclusions: Vec<UidExclusion> = Vec::new();
    let mut ports = 0;
    for item in items {
        let more = uid_exclusion(item).map_err(|problem| setting.invalid(problem.to_string()))?;
        ports += more.iter().map(|one| one.ports.len()).sum::<usize>();
        if ports > MOST_EXCLUDED_PORTS {
            let accepted = format!("at most {MOST_EXCLUDED_PORTS}, those of two protocols counted twice");
            return Err(setting.invalid(format!("found more ports, accepted: {accepted}")));
        }
        exclusions.extend(more);
    }
    Ok(exclusions)
}

/// `[protocols:][ports:]uids`, one exclusion for each protocol (`parseExcludePortsForUIDs` in Kuma).
fn uid_exclusion(text: &str) -> Result<Vec<UidExclusion>, InvalidValue> {
    let invalid = || {
        InvalidValue::new(
            text,
            "[PROTOCOLS:][PORTS:]UIDS with tcp, udp or *; ports and ranges such as 22,8000-9000 or *; one id or one range of ids such as 1000-2000",
        )
    };
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (protocols, ports, uids) = match parts.as_slice() {
        [uids] => ("*", "*", *uids),
        [ports, uids] => ("*", *ports, *uids),
        [protocols, ports, uids] => (*protocols, *ports, *uids),
        _ => return Err(invalid()),
    };
    let protocols = match protocols {
        "" | "*" => BTreeSet::from([Protocol::Tcp, Protocol::Udp]),
        list => list
            .split(',')
            .map(|name| name.trim().parse())
            .collect::<Result<BTreeSet<Protocol>, _>>()
            .map_err(|_| invalid())?,
    };
    let ports = match ports {
        "" | "*" => PortRange::new(1, u16::MAX).into_iter().collect(),
        list => list
            .split(',')
            .map(|range| PortRange::parse(range, '-'))
            .collect::<Result<Vec<PortRange>, _>>()
            .map_err(|_| invalid())?,
    };
    let (first, last) = uids.split_once('-').unwrap_or((uids, uids));
    let ends = (parse_id(first).map_err(|_| invalid())?, parse_id(last).map_err(|_| invalid())?);
    let uids = IdRange::new(ends.0, ends.1).ok_or_else(invalid)?;
    Ok(protocols.into_iter().map(|protocol| UidExclusion { protocol, ports: ports.clone(), uids }).collect())
}
