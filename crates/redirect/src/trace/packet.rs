//! The packet a trace is about, and what the rules cannot know of the pod it meets.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use crate::net::{Family, Protocol};
use crate::ruleset::CtState;

/// Which way the packet starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A process of the pod sends it.
    Out,
    /// It arrives at one of the pod's interfaces.
    In,
}

/// Who made the sending socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// One packet as it enters the pod's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Which way.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port, of the source's family.
    pub destination: SocketAddr,
    /// The owner of the sending socket; none for packets that arrive, and for the few that the kernel sends without
    /// a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The interface it arrives by, or is first routed to. None means what [`Environment`] makes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its mark (`SO_MARK`, for one that is sent).
    pub mark: u32,
    /// The mark of its connection.
    pub connection_mark: u32,
    /// The state of its connection.
    pub state: CtState,
}

impl Packet {
    /// The packet's address family.
    pub fn family(&self) -> Family {
        Family::of(self.destination.ip())
    }
}

/// What a packet finds in the pod besides the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Environment {
    /// The pod's own addresses, without loopback.
    pub addresses: Vec<IpAddr>,
    /// The interface of the default route.
    pub interface: String,
    /// Whether the proxy's transparent socket listens on the ports that TPROXY rules name.
    pub transparent_listener: bool,
}

impl Default for Environment {
    fn default() -> Self {
        Self { addresses: Vec::new(), interface: "eth0".into(), transparent_listener: true }
    }
}

impl Environment {
    /// The pod's first address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|own| Family::of(*own) == family)
    }
}
