//! A packet as people write it: `--out tcp 10.0.0.7:443 --uid 1000`. What is not said gets a sensible value, and
//! every such value is reported, so that nobody reads a trace of a packet he did not mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::packet::{Direction, Environment, Owner, Packet};
use super::{Error, Trace, trace};
use crate::RuleSet;
use crate::net::{Family, InterfaceName, InvalidValue, Protocol, parse_decimal, parse_id, parse_port};
use crate::ruleset::CtState;

/// An application's user id, where none is given: any but the proxy's would do.
const APPLICATION: u32 = 1000;
/// An ephemeral port of the sender.
const EPHEMERAL: u16 = 40000;

/// A described packet that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPacket {
    /// One value does not parse.
    #[error("{what}: {problem}")]
    Value {
        /// Which: `destination`, `uid`…
        what: &'static str,
        /// Found and accepted.
        problem: InvalidValue,
    },
    /// Source and destination are of different families.
    #[error("source {from} and destination {to} are not of the same address family")]
    MixedFamilies {
        /// The source address.
        from: IpAddr,
        /// The destination.
        to: IpAddr,
    },
    /// Only a sending socket has an owner.
    #[error("{what} is known of packets that the pod sends (out), not of those that arrive (in)")]
    OwnerOfArrival {
        /// `uid` or `gid`
        what: &'static str,
    },
}

/// A packet as far as it was described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketSpec {
    direction: Direction,
    protocol: Protocol,
    destination: SocketAddr,
    source: Option<(IpAddr, Option<u16>)>,
    uid: Option<u32>,
    gid: Option<u32>,
    ownerless: bool,
    interface: Option<String>,
    mark: Option<u32>,
    connection_mark: Option<u32>,
    state: Option<CtState>,
}

fn invalid(what: &'static str) -> impl FnOnce(InvalidValue) -> InvalidPacket {
    move |problem| InvalidPacket::Value { what, problem }
}

impl PacketSpec {
    /// Starts from the two words after `--out` or `--in`: `tcp` or `udp` in any case, and `ADDRESS:PORT`.
    ///
    /// # Errors
    /// [`InvalidPacket::Value`]
    pub fn new(direction: Direction, protocol: &str, destination: &str) -> Result<Self, InvalidPacket> {
        Ok(Self {
            direction,
            protocol: protocol.parse().map_err(invalid("protocol"))?,
            destination: parse_socket(destination).map_err(invalid("destination"))?,
            source: None,
            uid: None,
            gid: None,
            ownerless: false,
            interface: None,
            mark: None,
            connection_mark: None,
            state: None,
        })
    }

    /// `--from ADDRESS` or `--from ADDRESS:PORT`.
    ///
    /// # Errors
    /// [`InvalidPacket::Value`], or [`InvalidPacket::MixedFamilies`] against the destination.
    pub fn from(mut self, source: &str) -> Result<Self, InvalidPacket> {
        let (address, port) = match parse_address(source) {
            Some(address) => (address, None),
            None => parse_socket(source).map(|s| (s.ip(), Some(s.port()))).map_err(invalid("source"))?,
        };
        let to = self.destination.ip();
        if Family::of(address) != Family::of(to) {
            return Err(InvalidPacket::MixedFamilies { from: address, to });
        }
        self.source = Some((address, port));
        Ok(self)
    }

    /// `--uid N`: the sending process's user; `none` for a packet that no process sent.
    ///
    /// # Errors
    /// [`InvalidPacket`] for a wrong id, or a packet that arrives.
    pub fn uid(mut self, uid: &str) -> Result<Self, InvalidPacket> {
        self.only_sent("uid")?;
        if uid == "none" {
            self.ownerless = true;
        } else {
            self.uid = Some(parse_id(uid).map_err(invalid("uid"))?);
        }
        Ok(self)
    }

    /// `--gid N`: the sending process's group.
    ///
    /// # Errors
    /// As [`PacketSpec::uid`].
    pub fn gid(mut self, gid: &str) -> Result<Self, InvalidPacket> {
        self.only_sent("gid")?;
        self.gid = Some(parse_id(gid).map_err(invalid("gid"))?);
        Ok(self)
    }

    fn only_sent(&self, what: &'static str) -> Result<(), InvalidPacket> {
        (self.direction == Direction::Out).then_some(()).ok_or(InvalidPacket::OwnerOfArrival { what })
    }

    /// `--interface NAME`: the interface it arrives by, or leaves by.
    ///
    /// # Errors
    /// [`InvalidPacket::Value`]
    pub fn interface(mut self, name: &str) -> Result<Self, InvalidPacket> {
        let parsed: InterfaceName = name.parse().map_err(invalid("interface"))?;
        if parsed.is_prefix() {
            let one = InvalidValue::new(name, "the name of one interface, such as eth0");
            return Err(invalid("interface")(one));
        }
        self.interface = Some(parsed.name().to_string());
        Ok(self)
    }

    /// `--mark N`, decimal or `0x` and hexadecimal.
    ///
    /// # Errors
    /// [`InvalidPacket::Value`]
    pub fn mark(mut self, mark: &str) -> Result<Self, InvalidPacket> {
        self.mark = Some(parse_mark(mark).map_err(invalid("mark"))?);
        Ok(self)
    }

    /// `--connection-mark N`, as [`PacketSpec::mark`].
    ///
    /// # Errors
    /// [`InvalidPacket::Value`]
    pub fn connection_mark(mut self, mark: &str) -> Result<Self, InvalidPacket> {
        self.connection_mark = Some(parse_mark(mark).map_err(invalid("connection mark"))?);
        Ok(self)
    }

    /// `--state new|established|related|invalid`.
    ///
    /// # Errors
    /// [`InvalidPacket::Value`]
    pub fn state(mut self, state: &str) -> Result<Self, InvalidPacket> {
        let parsed = match state.to_ascii_lowercase().as_str() {
            "new" => CtState::New,
            "established" => CtState::Established,
            "related" => CtState::Related,
            "invalid" => CtState::Invalid,
            _ => {
                let accepted = "new, established, related or invalid";
                return Err(invalid("state")(InvalidValue::new(state, accepted)));
            }
        };
        self.state = Some(parsed);
        Ok(self)
    }

    /// The whole packet, and what had to be assumed about it, in words.
    pub fn resolve(&self, environment: &Environment) -> (Packet, Vec<String>) {
        let mut assumed = Vec::new();
        let source = self.source_or_assumed(environment, &mut assumed);
        let owner = self.owner_or_assumed(&mut assumed);
        if self.state.is_none() {
            assumed.push("first packet of a connection (state new)".into());
        }
        if self.interface.is_none() && self.direction == Direction::In {
            assumed.push(format!("arrives by {}", environment.interface));
        }
        let packet = Packet {
            direction: self.direction,
            protocol: self.protocol,
            source,
            destination: self.destination,
            owner,
            interface: self.interface.clone(),
            mark: self.mark.unwrap_or_default(),
            connection_mark: self.connection_mark.unwrap_or_default(),
            state: self.state.unwrap_or(CtState::New),
        };
        (packet, assumed)
    }

    /// Traces the packet through `rules`, with what was assumed on record.
    ///
    /// # Errors
    /// As [`trace`].
    pub fn trace(&self, rules: &RuleSet, environment: &Environment) -> Result<Trace, Error> {
        let (packet, assumed) = self.resolve(environment);
        Ok(Trace { assumed, ..trace(rules, &packet, environment)? })
    }

    fn source_or_assumed(&self, environment: &Environment, assumed: &mut Vec<String>) -> SocketAddr {
        let to = self.destination.ip();
        let family = Family::of(to);
        let own = environment.address(family);
        let stands_for =
            |who: &str, address: IpAddr| (address, format!("source {address} (stands for {who})"));
        let (address, port) = match (self.source, self.direction) {
            (Some((address, port)), _) => (address, port),
            (None, Direction::In) => {
                let (address, note) = stands_for("any host", example(family, 1));
                assumed.push(note);
                (address, None)
            }
            // The kernel answers an address of its own from that address.
            (None, Direction::Out) if to.is_loopback() || environment.addresses.contains(&to) => {
                assumed.push(format!("source {to}"));
                (to, None)
            }
            (None, Direction::Out) => {
                let (address, note) = match own {
                    Some(own) => (own, format!("source {own} (the pod's address)")),
                    None => stands_for("the pod's address", example(family, 2)),
                };
                assumed.push(note);
                (address, None)
            }
        };
        SocketAddr::new(address, port.unwrap_or(EPHEMERAL))
    }

    fn owner_or_assumed(&self, assumed: &mut Vec<String>) -> Option<Owner> {
        if self.direction == Direction::In || self.ownerless {
            return None;
        }
        let uid = self.uid.unwrap_or_else(|| {
            assumed.push(format!("uid {APPLICATION} (an application)"));
            APPLICATION
        });
        let gid = self.gid.unwrap_or_else(|| {
            assumed.push(format!("gid {uid} (as the uid)"));
            uid
        });
        Some(Owner { uid, gid })
    }
}

/// Addresses set aside for documentation (RFC 5737, RFC 3849).
fn example(family: Family, host: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(192, 0, 2, host).into(),
        Family::Ipv6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)).into(),
    }
}

/// An address of either family, with or without brackets; an IPv4 address in IPv6 clothes is none of both.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok()?;
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    (!mapped && (bare == text || address.is_ipv6())).then_some(address)
}

fn parse_socket(text: &str) -> Result<SocketAddr, InvalidValue> {
    const ACCEPTED: &str = "ADDRESS:PORT such as 10.0.0.7:443 or [2001:db8::7]:443, no names";
    let invalid = || InvalidValue::new(text, ACCEPTED);
    let (address, port) = text.trim().rsplit_once(':').ok_or_else(invalid)?;
    if address.contains(':') && !address.starts_with('[') {
        return Err(InvalidValue::new(text, "[ADDRESS]:PORT for IPv6, such as [2001:db8::7]:443"));
    }
    let port = parse_port(port).ok().filter(|port| *port > 0).ok_or_else(invalid)?;
    Ok(SocketAddr::new(parse_address(address).ok_or_else(invalid)?, port))
}

fn parse_mark(text: &str) -> Result<u32, InvalidValue> {
    let parsed = match text.trim().strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => parse_decimal(text).and_then(|n| u32::try_from(n).ok()),
    };
    parsed.ok_or(InvalidValue::new(text, "a mark, 0 to 4294967295 or 0x0 to 0xffffffff"))
}
