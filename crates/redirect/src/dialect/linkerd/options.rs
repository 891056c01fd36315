//! Linkerd's options as types. Linkerd logs and skips a port that does not parse; here it is an error, because a port
//! somebody wanted uncaptured would be captured.

use ipnet::IpNet;
use serde::Serialize;

use crate::dialect::settings::{InvalidOption, Settings};
use crate::net::{InvalidValue, PortRange, parse_cidr, parse_id, parse_listening_port, parse_port};

/// What `linkerd2-proxy-init` is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Port of the proxy for inbound connections.
    pub incoming_proxy_port: u16,
    /// Port of the proxy for outbound connections.
    pub outgoing_proxy_port: u16,
    /// User whose traffic is the proxy's own.
    pub proxy_uid: u32,
    /// Group whose traffic is the proxy's own.
    pub proxy_gid: Option<u32>,
    /// Inbound ports to capture; empty means all.
    pub ports_to_redirect: Vec<u16>,
    /// Inbound ports not to capture.
    pub inbound_ports_to_ignore: Vec<PortRange>,
    /// Outbound ports not to capture.
    pub outbound_ports_to_ignore: Vec<PortRange>,
    /// Sources whose inbound connections are not captured.
    pub subnets_to_ignore: Vec<IpNet>,
    /// Whether IPv6 is captured.
    pub ipv6: bool,
}

impl Options {
    /// Reads the settings of this dialect's flags.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first value that is not accepted, with where it came from.
    pub fn from_settings(settings: &Settings) -> Result<Self, InvalidOption> {
        settings.check_switches()?;
        let range = |text: &str| PortRange::parse(text, '-');
        Ok(Self {
            incoming_proxy_port: settings.parse("incoming-proxy-port", parse_listening_port)?,
            outgoing_proxy_port: settings.parse("outgoing-proxy-port", parse_listening_port)?,
            proxy_uid: settings.parse("proxy-uid", proxy_uid)?,
            proxy_gid: settings.parse("proxy-gid", proxy_gid)?,
            ports_to_redirect: settings.parse_distinct("ports-to-redirect", parse_port)?,
            inbound_ports_to_ignore: settings.parse_distinct("inbound-ports-to-ignore", range)?,
            outbound_ports_to_ignore: settings.parse_distinct("outbound-ports-to-ignore", range)?,
            subnets_to_ignore: settings
                .parse_distinct("subnets-to-ignore", |text| Ok(parse_cidr(text)?.trunc()))?,
            ipv6: settings.switch("ipv6")?,
        })
    }
}

/// Linkerd writes no rule for user 0 or -1, and the proxy's own connections would come back to it without end.
fn proxy_uid(text: &str) -> Result<u32, InvalidValue> {
    parse_id(text).ok().filter(|uid| *uid != 0).ok_or(InvalidValue::new(
        text,
        "the proxy's numeric user id, 1 to 4294967294 (names are not looked up; a proxy of root would be captured itself)",
    ))
}

/// Linkerd writes no rule for group 0 or -1.
fn proxy_gid(text: &str) -> Result<Option<u32>, InvalidValue> {
    match text.trim() {
        "" | "-1" | "0" => Ok(None),
        gid => parse_id(gid).map(Some),
    }
}
