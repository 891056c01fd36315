//! The small values that rules are made of: ports, ids, interface names, families. Each is parsed from text that
//! a pod's author controls, so each has bounds, one canonical form, and an error that says what is accepted.

mod visible;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use visible::visible;

/// A value that does not parse: what was found and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}, accepted: {accepted}")]
pub struct InvalidValue {
    /// The text as it was given (cut to a bounded length).
    pub found: String,
    /// The accepted form, for people.
    pub accepted: &'static str,
}

impl InvalidValue {
    /// An error about `found`, of which at most 120 characters are kept.
    pub fn new(found: &str, accepted: &'static str) -> Self {
        let mut text: String = found.chars().take(120).collect();
        if text.len() < found.len() {
            text.push('…');
        }
        Self { found: text, accepted }
    }
}

/// Address family of a rule or packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const BOTH: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// The family an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The family a network belongs to.
    pub fn of_net(net: &IpNet) -> Self {
        Self::of(net.addr())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        })
    }
}

/// Transport protocol; the meshes redirect no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (6)
    Tcp,
    /// UDP (17)
    Udp,
}

impl Protocol {
    /// The protocol's number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

impl FromStr for Protocol {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(InvalidValue::new(text, "tcp or udp")),
        }
    }
}

/// Parses one port number as the peers do: decimal, 0 to 65535, surrounding space allowed, no sign.
pub fn parse_port(text: &str) -> Result<u16, InvalidValue> {
    parse_decimal(text)
        .and_then(|n| u16::try_from(n).ok())
        .ok_or(InvalidValue::new(text, "a port, 0 to 65535"))
}

/// Parses a port that something listens on: as [`parse_port`], but never 0, which is no port to redirect to.
pub fn parse_listening_port(text: &str) -> Result<u16, InvalidValue> {
    parse_port(text).ok().filter(|port| *port != 0).ok_or(InvalidValue::new(text, "a port, 1 to 65535"))
}

/// Decimal digits only: no sign, no separators, no other base.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Ports `start` to `end`, both included; `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    start: u16,
    end: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: PortRange = PortRange { start: 0, end: u16::MAX };

    /// A range, or nothing when it is upside down.
    pub fn new(start: u16, end: u16) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// One port.
    pub fn one(port: u16) -> Self {
        Self { start: port, end: port }
    }

    /// The lowest port.
    pub fn start(self) -> u16 {
        self.start
    }

    /// The highest port.
    pub fn end(self) -> u16 {
        self.end
    }

    /// Whether it holds just one port.
    pub fn is_single(self) -> bool {
        self.start == self.end
    }

    /// Whether `port` lies in it.
    pub fn contains(self, port: u16) -> bool {
        (self.start..=self.end).contains(&port)
    }

    /// Parses `80` or, with the peer's own separator (`-` for Linkerd, `:` for Consul), `80-90`.
    pub fn parse(text: &str, separator: char) -> Result<Self, InvalidValue> {
        const ACCEPTED: &str = "a port or a range of ports, lowest first, 0 to 65535";
        let invalid = || InvalidValue::new(text, ACCEPTED);
        let (start, end) = match text.split_once(separator) {
            Some((start, end)) => (parse_port(start), parse_port(end)),
            None => (parse_port(text), parse_port(text)),
        };
        Self::new(start.map_err(|_| invalid())?, end.map_err(|_| invalid())?).ok_or_else(invalid)
    }
}

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self::one(port)
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = &'static str;

    fn try_from((start, end): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(start, end).ok_or("a range of ports goes from the lowest to the highest")
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.start, range.end)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.start) } else { write!(f, "{}-{}", self.start, self.end) }
    }
}

/// User or group ids `start` to `end`, both included; `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct IdRange {
    start: u32,
    end: u32,
}

impl IdRange {
    /// A range, or nothing when it is upside down.
    pub fn new(start: u32, end: u32) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// One id.
    pub fn one(id: u32) -> Self {
        Self { start: id, end: id }
    }

    /// The lowest id.
    pub fn start(self) -> u32 {
        self.start
    }

    /// The highest id.
    pub fn end(self) -> u32 {
        self.end
    }

    /// Whether it holds just one id.
    pub fn is_single(self) -> bool {
        self.start == self.end
    }

    /// Whether `id` lies in it.
    pub fn contains(self, id: u32) -> bool {
        (self.start..=self.end).contains(&id)
    }
}

impl TryFrom<(u32, u32)> for IdRange {
    type Error = &'static str;

    fn try_from((start, end): (u32, u32)) -> Result<Self, Self::Error> {
        Self::new(start, end).ok_or("a range of ids goes from the lowest to the highest")
    }
}

impl From<IdRange> for (u32, u32) {
    fn from(range: IdRange) -> Self {
        (range.start, range.end)
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() { write!(f, "{}", self.start) } else { write!(f, "{}-{}", self.start, self.end) }
    }
}

/// Parses a numeric user or group id. Names are not accepted: an agent outside the pod has no business in the
/// pod's (or the node's) user database, and lookups through NSS have hung the peers' setups.
pub fn parse_id(text: &str) -> Result<u32, InvalidValue> {
    // u32::MAX is "no id" (-1) to the kernel.
    parse_decimal(text).and_then(|n| u32::try_from(n).ok()).filter(|id| *id != u32::MAX).ok_or(
        InvalidValue::new(text, "a numeric user or group id, 0 to 4294967294 (names are not looked up)"),
    )
}

/// A network interface name, or with a trailing `+` the prefix of such names, as iptables writes it. The kernel takes
/// nearly any character (`dev_valid_name` in net/core/dev.c); only those that real interfaces have are taken here,
/// because the name ends up in texts of other programs: quotes, `;`, `$`, `*` and the like are in none of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceName(String);

impl InterfaceName {
    /// The loopback interface.
    pub fn loopback() -> Self {
        Self("lo".into())
    }

    /// The name, without the `+` of a prefix.
    pub fn name(&self) -> &str {
        self.0.trim_end_matches('+')
    }

    /// Whether it stands for every interface whose name starts with [`Self::name`].
    pub fn is_prefix(&self) -> bool {
        self.0.ends_with('+')
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, interface: &str) -> bool {
        if self.is_prefix() { interface.starts_with(self.name()) } else { interface == self.0 }
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('+').unwrap_or(text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
        let valid = !name.is_empty()
            && text.len() <= 15
            && name.bytes().all(plain)
            && !matches!(name, "." | "..")
            && !name.starts_with('-');
        valid.then(|| Self(text.to_string())).ok_or(InvalidValue::new(
            text,
            "an interface name of 1 to 15 ASCII letters, digits and - _ . @ (not first: -), or such a prefix with + at its end",
        ))
    }
}

impl TryFrom<String> for InterfaceName {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InterfaceName> for String {
    fn from(name: InterfaceName) -> Self {
        name.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses an address or CIDR of either family and clears its host bits, as iptables does.
pub fn parse_net(text: &str) -> Result<IpNet, InvalidValue> {
    let text = text.trim();
    let net = match text.parse::<IpNet>() {
        Ok(net) => Some(net),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    };
    net.map(|net| net.trunc())
        .ok_or(InvalidValue::new(text, "an IPv4 or IPv6 address or CIDR such as 10.0.0.0/8"))
}

/// Parses a CIDR of either family. The mask is required, as Go's `netip.ParsePrefix` and `net.ParseCIDR` (which the
/// peers use) require it; host bits stay, because Istio looks at the address before it is masked.
pub fn parse_cidr(text: &str) -> Result<IpNet, InvalidValue> {
    let text = text.trim();
    text.parse::<IpNet>().map_err(|_| {
        InvalidValue::new(text, "an IPv4 or IPv6 CIDR, mask included, such as 10.0.0.0/8 or fd00::/8")
    })
}

/// A packet or connection mark under a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedMark {
    /// The value compared with the masked mark.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl MaskedMark {
    /// The whole mark.
    pub fn exact(value: u32) -> Self {
        Self { value, mask: u32::MAX }
    }

    /// Whether `mark` fits.
    pub fn matches(self, mark: u32) -> bool {
        mark & self.mask == self.value
    }
}
