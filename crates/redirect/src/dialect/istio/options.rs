//! Istio's options as types. Each field is one flag; what only several of them decide together (which DNS is captured,
//! whether IPv6 is) is a method. Text that Istio would hand to iptables unread is read here, and refused when wrong.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Serialize, Serializer};

use crate::dialect::settings::{InvalidOption, Settings};
use crate::dialect::{Lint, Surroundings};
use crate::net::{
    InterfaceName, InvalidValue, parse_cidr, parse_decimal, parse_id, parse_listening_port, parse_port,
};

/// The mark of connections that the proxy makes to its own pod (`OutboundMark` in Istio's constants.go).
pub(super) const SELF_CALL_MARK: u32 = 1338;

/// The user of the proxy in Istio's images (`DefaultProxyUID` in Istio's constants.go).
const PROXY_UID: u32 = 1337;

/// `maxOwnerGroupsInclude` in Istio's validation.go.
const MOST_OWNER_GROUPS: usize = 64;

const MOST_INTERFACES: usize = 64;

/// Virtual interfaces multiply with destinations in rules.
const MOST_VIRTUAL_RULES: usize = 4096;

/// What `istio-iptables` is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Port of the proxy for outbound connections.
    pub envoy_port: u16,
    /// Port of the proxy for inbound connections.
    pub inbound_capture_port: u16,
    /// Port of the proxy's own tunnel, never redirected.
    pub inbound_tunnel_port: u16,
    /// Users whose traffic is the proxy's own; at least one.
    pub proxy_uid: Vec<u32>,
    /// Groups whose traffic is the proxy's own; at least one.
    pub proxy_gid: Vec<u32>,
    /// How inbound connections are captured.
    pub interception: Interception,
    /// Inbound ports to capture.
    pub inbound_ports: Selection<u16>,
    /// Inbound ports not to capture; Istio reads them only when all ports are captured.
    pub inbound_exclude_ports: Vec<u16>,
    /// Interfaces whose traffic is left alone.
    pub exclude_interfaces: Vec<InterfaceName>,
    /// Outbound destinations to capture, as they were written (host bits included).
    pub outbound_cidr: Selection<IpNet>,
    /// Outbound destinations not to capture, as they were written.
    pub outbound_exclude_cidr: Vec<IpNet>,
    /// Outbound ports to capture whatever the destination.
    pub outbound_ports: Vec<u16>,
    /// Outbound ports not to capture.
    pub outbound_exclude_ports: Vec<u16>,
    /// Interfaces whose inbound traffic counts as outbound.
    pub virtual_interfaces: Vec<InterfaceName>,
    /// Packet mark of captured connections in TPROXY mode.
    pub tproxy_mark: u32,
    /// Routing table of captured connections in TPROXY mode.
    pub tproxy_route_table: u32,
    /// Whether DNS is captured at all.
    pub redirect_dns: bool,
    /// Whether DNS to any server is captured.
    pub capture_all_dns: bool,
    /// DNS servers to capture; none given means every server, because nobody outside the pod knows its resolv.conf.
    pub dns_servers: Option<Vec<IpAddr>>,
    /// Whether packets that connection tracking finds invalid are dropped.
    pub drop_invalid: bool,
    /// Whether IPv6 is captured.
    pub ipv6: Ipv6,
    /// Whether the proxy listens on both families where the pod has both.
    pub dual_stack: bool,
    /// Groups whose outbound traffic is captured; an empty selection captures nobody's.
    pub owner_groups: Selection<u32>,
    /// Groups whose outbound traffic is not captured; Istio reads them only when all groups are captured.
    pub owner_groups_exclude: Vec<u32>,
    /// IPv4 loopback destinations that stay uncaptured.
    pub loopback_cidr: Ipv4Net,
}

/// How inbound connections are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Interception {
    /// By destination NAT
    Redirect,
    /// By a transparent socket, which keeps the source address
    Tproxy,
    /// Not at all: no rules, neither inbound nor outbound
    None,
}

/// Whether IPv6 is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6 {
    /// As Istio decides: see [`Options::settle_ipv6`]
    Auto,
    /// Yes
    On,
    /// No; its packets pass as if there were no rules
    Off,
}

/// Everything, or what is listed (nothing, when the list is empty).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection<T> {
    /// `*`
    All,
    /// These
    Only(Vec<T>),
}

impl<T> Selection<T> {
    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        matches!(self, Selection::Only(list) if list.is_empty())
    }

    /// The listed elements; none when everything is selected.
    pub fn listed(&self) -> &[T] {
        match self {
            Selection::All => &[],
            Selection::Only(list) => list,
        }
    }
}

impl<T: Serialize> Serialize for Selection<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Selection::All => serializer.serialize_str("*"),
            Selection::Only(list) => list.serialize(serializer),
        }
    }
}

/// Which DNS is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns<'a> {
    /// None
    Off,
    /// Queries to any server
    All,
    /// Queries to these servers, at least one
    Servers(&'a [IpAddr]),
}

impl Options {
    /// Reads the settings of this dialect's flags.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first value that is not accepted, with where it came from.
    pub fn from_settings(settings: &Settings) -> Result<Self, InvalidOption> {
        settings.check_switches()?;
        settings.parse("iptables-probe-port", parse_port)?;
        let proxy_uid = proxy_uid(settings)?;
        let options = Self {
            envoy_port: settings.parse("envoy-port", parse_listening_port)?,
            inbound_capture_port: settings.parse("inbound-capture-port", parse_listening_port)?,
            inbound_tunnel_port: settings.parse("inbound-tunnel-port", parse_listening_port)?,
            proxy_gid: if is_blank(settings, "proxy-gid") {
                proxy_uid.clone()
            } else {
                ids(settings, "proxy-gid")?
            },
            proxy_uid,
            interception: settings.parse("istio-inbound-interception-mode", interception)?,
            inbound_ports: selection(settings, "istio-inbound-ports", parse_port)?,
            inbound_exclude_ports: settings.parse_distinct("istio-local-exclude-ports", parse_port)?,
            exclude_interfaces: interfaces(settings, "istio-exclude-interfaces")?,
            outbound_cidr: selection(settings, "istio-service-cidr", parse_cidr)?,
            outbound_exclude_cidr: settings.parse_distinct("istio-service-exclude-cidr", excluded_cidr)?,
            outbound_ports: settings.parse_distinct("istio-outbound-ports", parse_port)?,
            outbound_exclude_ports: settings
                .parse_distinct("istio-local-outbound-ports-exclude", parse_port)?,
            virtual_interfaces: interfaces(settings, "kube-virt-interfaces")?,
            tproxy_mark: settings.parse("istio-inbound-tproxy-mark", tproxy_mark)?,
            tproxy_route_table: settings.parse("istio-inbound-tproxy-route-table", route_table)?,
            redirect_dns: settings.switch("redirect-dns")?,
            capture_all_dns: settings.switch("capture-all-dns")?,
            dns_servers: dns_servers(settings)?,
            drop_invalid: settings.switch("drop-invalid")?,
            ipv6: settings.parse("ipv6", ipv6)?,
            dual_stack: settings.switch("dual-stack")?,
            owner_groups: owner_groups(settings)?,
            owner_groups_exclude: settings.parse_distinct("outbound-owner-groups-exclude", parse_id)?,
            loopback_cidr: settings.parse("outbound-ipv4-loopback-cidr", loopback_cidr)?,
        };
        let virtual_rules = options.virtual_interfaces.len() * options.outbound_cidr.listed().len();
        if virtual_rules > MOST_VIRTUAL_RULES {
            let problem = format!(
                "found {virtual_rules} pairs of interface and istio-service-cidr, accepted: at most {MOST_VIRTUAL_RULES}"
            );
            return Err(settings.get("kube-virt-interfaces").invalid(problem));
        }
        Ok(options)
    }

    /// Settles [`Ipv6::Auto`] by what the namespace has; unknown leaves it. In a namespace with both families IPv6 is
    /// captured for a dual-stack proxy only: any other listens on IPv4 alone there, and what is captured would be
    /// refused. (`getLocalIP` in istio/istio tools/common/config asks the first address, which is an IPv4 one wherever
    /// there is any, because the kernel lists those first; with `DualStack` it asks them all.) Returns what to say of
    /// IPv6 that therefore passes by.
    pub fn settle_ipv6(&mut self, surroundings: Surroundings) -> Option<Lint> {
        let (Ipv6::Auto, Some(has)) = (self.ipv6, surroundings.global_ipv6) else { return None };
        let passes = has && !self.dual_stack && surroundings.global_ipv4 == Some(true);
        self.ipv6 = if has && !passes { Ipv6::On } else { Ipv6::Off };
        passes.then(|| {
            Lint::new(
                "ipv6",
                "the pod has IPv6 addresses too, but no dual-stack proxy (dual-stack): IPv6 passes by, as in Istio",
            )
        })
    }

    /// Whether IPv6 is captured, as far as the options alone say: without a namespace to look at, [`Ipv6::Auto`] means off.
    pub fn captures_ipv6(&self) -> bool {
        self.ipv6 == Ipv6::On
    }

    /// Which DNS is captured. Without servers there is nothing to capture, as in Istio.
    pub fn dns(&self) -> Dns<'_> {
        match &self.dns_servers {
            _ if !self.redirect_dns => Dns::Off,
            Some(servers) if !self.capture_all_dns && servers.is_empty() => Dns::Off,
            Some(servers) if !self.capture_all_dns => Dns::Servers(servers),
            _ => Dns::All,
        }
    }

    /// Whether a loopback address is among the destinations to capture (`HasLoopBackIP` in Istio's run.go): then
    /// applications reach each other over loopback through the proxy.
    pub fn captures_loopback(&self) -> bool {
        self.outbound_cidr.listed().iter().any(|net| net.addr().is_loopback())
    }
}

fn is_blank(settings: &Settings, option: &str) -> bool {
    settings.get(option).value.trim().is_empty()
}

fn selection<T: PartialEq>(
    settings: &Settings,
    option: &str,
    parse: impl FnMut(&str) -> Result<T, InvalidValue>,
) -> Result<Selection<T>, InvalidOption> {
    let setting = settings.get(option);
    let stars = setting.elements().filter(|element| *element == "*").count();
    match (stars, setting.elements().count()) {
        (0, _) => settings.parse_distinct(option, parse).map(Selection::Only),
        (1, 1) => Ok(Selection::All),
        _ => Err(setting.invalid("found * beside other elements, accepted: * alone or a list without it")),
    }
}

fn ids(settings: &Settings, option: &str) -> Result<Vec<u32>, InvalidOption> {
    let ids = settings.parse_distinct(option, parse_id)?;
    if ids.is_empty() {
        return Err(settings.get(option).invalid("found no id, accepted: at least one"));
    }
    Ok(ids)
}

/// Without a number Istio looks up the user that `ENVOY_USER` names. Only the name its images have is known here.
fn proxy_uid(settings: &Settings) -> Result<Vec<u32>, InvalidOption> {
    if settings.is_set("proxy-uid") && !is_blank(settings, "proxy-uid") {
        return ids(settings, "proxy-uid");
    }
    settings.parse("envoy-user", |name| match name {
        "" | "istio-proxy" => Ok(vec![PROXY_UID]),
        _ => Err(InvalidValue::new(name, "istio-proxy; names are not looked up, give --proxy-uid instead")),
    })
}

fn interception(text: &str) -> Result<Interception, InvalidValue> {
    match text {
        "" | "REDIRECT" => Ok(Interception::Redirect),
        "TPROXY" => Ok(Interception::Tproxy),
        "NONE" => Ok(Interception::None),
        _ => Err(InvalidValue::new(text, "REDIRECT, TPROXY or NONE")),
    }
}

fn ipv6(text: &str) -> Result<Ipv6, InvalidValue> {
    match text {
        "auto" => Ok(Ipv6::Auto),
        "on" => Ok(Ipv6::On),
        "off" => Ok(Ipv6::Off),
        _ => Err(InvalidValue::new(text, "auto, on or off")),
    }
}

fn interfaces(settings: &Settings, option: &str) -> Result<Vec<InterfaceName>, InvalidOption> {
    let names = settings.parse_distinct(option, str::parse::<InterfaceName>)?;
    if names.len() > MOST_INTERFACES {
        let problem = format!("found {} interfaces, accepted: at most {MOST_INTERFACES}", names.len());
        return Err(settings.get(option).invalid(problem));
    }
    Ok(names)
}

fn excluded_cidr(text: &str) -> Result<IpNet, InvalidValue> {
    if text == "*" {
        return Err(InvalidValue::new(text, "CIDRs; to capture nothing leave istio-service-cidr empty"));
    }
    parse_cidr(text)
}

/// Zero is the mark of every other packet, and the proxy's own mark tells its calls to itself apart.
fn tproxy_mark(text: &str) -> Result<u32, InvalidValue> {
    parse_decimal(text)
        .and_then(|mark| u32::try_from(mark).ok())
        .filter(|mark| *mark != 0 && *mark != SELF_CALL_MARK)
        .ok_or(InvalidValue::new(text, "a mark, 1 to 4294967295, decimal, but not 1338"))
}

/// The tables default, main and local (253 to 255, linux/rtnetlink.h) route everything else in the namespace.
fn route_table(text: &str) -> Result<u32, InvalidValue> {
    parse_decimal(text)
        .and_then(|table| u32::try_from(table).ok())
        .filter(|table| !matches!(table, 0 | 253..=255))
        .ok_or(InvalidValue::new(text, "a routing table, 1 to 4294967295, but not 253, 254 or 255"))
}

fn dns_servers(settings: &Settings) -> Result<Option<Vec<IpAddr>>, InvalidOption> {
    if !settings.is_set("dns-servers") {
        return Ok(None);
    }
    let address = |text: &str| text.parse().map_err(|_| InvalidValue::new(text, "an IPv4 or IPv6 address"));
    settings.parse_distinct("dns-servers", address).map(Some)
}

fn owner_groups(settings: &Settings) -> Result<Selection<u32>, InvalidOption> {
    let groups = selection(settings, "outbound-owner-groups", parse_id)?;
    let count = groups.listed().len();
    if count > MOST_OWNER_GROUPS {
        let problem = format!("found {count} groups, accepted: at most {MOST_OWNER_GROUPS}");
        return Err(settings.get("outbound-owner-groups").invalid(problem));
    }
    Ok(groups)
}

/// The bounds of `ValidateIPv4LoopbackCidr` in Istio's validation.go.
fn loopback_cidr(text: &str) -> Result<Ipv4Net, InvalidValue> {
    text.trim()
        .parse::<Ipv4Net>()
        .ok()
        .filter(|net| net.addr().is_loopback() && net.prefix_len() >= 8)
        .ok_or(InvalidValue::new(text, "a CIDR within 127.0.0.0/8, mask 8 to 32"))
}
