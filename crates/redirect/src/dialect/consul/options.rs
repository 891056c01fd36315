//! Consul's settings, understood: typed, with contradictions refused and questionable combinations pointed out.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::dialect::settings::{InvalidOption, Settings};
use crate::net::{Family, InvalidValue, PortRange, parse_id, parse_net, parse_port};

/// What Consul is asked to do in one network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Options {
    /// User id of the proxy, whose own traffic passes.
    pub proxy_uid: u32,
    /// Where the proxy takes inbound connections.
    pub proxy_inbound_port: u16,
    /// Where the proxy takes outbound connections.
    pub proxy_outbound_port: u16,
    /// Where DNS queries go.
    pub dns: Dns,
    /// Inbound ports that are not redirected.
    pub exclude_inbound_ports: Vec<PortRange>,
    /// Outbound ports that are not redirected.
    pub exclude_outbound_ports: Vec<PortRange>,
    /// Destinations that are not redirected.
    pub exclude_outbound_cidrs: Vec<IpNet>,
    /// Other users whose traffic is not redirected.
    pub exclude_uids: Vec<u32>,
    /// Whether IPv6 is captured too.
    pub dual_stack: bool,
}

/// Where Consul's DNS listens; nothing is redirected without either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// Its address: of IPv6 in dual stack, else of IPv4.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
}

impl Options {
    /// Parses the settings.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first value that is not accepted, and for values that contradict each other.
    pub fn from_settings(settings: &Settings) -> Result<Self, InvalidOption> {
        let proxy_id = settings.get("proxy-id");
        if !proxy_id.value.is_empty() {
            let problem = format!(
                "found {:?}, accepted: nothing (no Consul agent is asked; give proxy-inbound-port and what is excluded)",
                InvalidValue::new(&proxy_id.value, "").found
            );
            return Err(proxy_id.invalid(problem));
        }
        let options = Self {
            proxy_uid: settings.parse("proxy-uid", parse_id)?,
            proxy_inbound_port: settings.parse("proxy-inbound-port", some_port)?,
            proxy_outbound_port: settings.parse("proxy-outbound-port", |text| match text.trim() {
                "" | "0" => Ok(DEFAULT_OUTBOUND_PORT),
                text => some_port(text),
            })?,
            dns: Dns {
                address: settings.parse("consul-dns-ip", address)?,
                port: settings.parse("consul-dns-port", |text| match text.trim() {
                    "" => Ok(None),
                    text => parse_port(text).map(|port| Some(port).filter(|port| *port != 0)),
                })?,
            },
            exclude_inbound_ports: settings.parse_list("exclude-inbound-port", port_range)?,
            exclude_outbound_ports: settings.parse_list("exclude-outbound-port", port_range)?,
            exclude_outbound_cidrs: settings.parse_list("exclude-outbound-cidr", parse_net)?,
            exclude_uids: settings.parse_list("exclude-uid", parse_id)?,
            dual_stack: settings.switch("dual-stack")?,
        };
        options.check_dns(settings)?;
        Ok(options)
    }

    /// `verifyDualStackConfig` of Consul.
    fn check_dns(&self, settings: &Settings) -> Result<(), InvalidOption> {
        let accepted = match (self.dns.address.map(Family::of), self.dual_stack) {
            (Some(Family::Ipv4), true) => "an IPv6 address (dual-stack is on)",
            (Some(Family::Ipv6), false) => "an IPv4 address (dual-stack is off)",
            _ => return Ok(()),
        };
        let setting = settings.get("consul-dns-ip");
        let problem = InvalidValue::new(&setting.value, accepted).to_string();
        Err(setting.invalid(problem))
    }
}

/// `DefaultTProxyOutboundPort` of Consul.
const DEFAULT_OUTBOUND_PORT: u16 = 15001;

fn some_port(text: &str) -> Result<u16, InvalidValue> {
    parse_port(text)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| InvalidValue::new(text, "a port, 1 to 65535"))
}

fn address(text: &str) -> Result<Option<IpAddr>, InvalidValue> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| InvalidValue::new(text, "an IPv4 or IPv6 address, without a port")),
    }
}

/// `80`, `8080:9000`, `1024:`, `:1023` or `8080-9000` (`normalizePortRange` of Consul, without names).
fn port_range(text: &str) -> Result<PortRange, InvalidValue> {
    let invalid = || {
        InvalidValue::new(
            text,
            "a port or a range such as 8080:9000, 1024: or :1023, lowest first, 0 to 65535 (names are not looked up)",
        )
    };
    let range = match text.split_once(':') {
        None => PortRange::parse(text, '-').ok(),
        Some((start, end)) => {
            let bound = |text: &str, open: u16| match text.trim() {
                "" => Ok(open),
                text => parse_port(text).map_err(|_| invalid()),
            };
            PortRange::new(bound(start, 0)?, bound(end, u16::MAX)?)
        }
    };
    range.ok_or_else(invalid)
}
