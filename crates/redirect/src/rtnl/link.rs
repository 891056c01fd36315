//! Interfaces (linux/if_link.h), and what a test bed needs of them: veth pairs between namespaces and a default route.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

use super::message::{self, CREATE, EXCLUSIVE};
use super::{Change, Operation, RouteError, RouteSocket, change, family_number, octets};
use crate::net::{Family, InterfaceName};
use crate::netns::NetNs;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;
/// `sizeof(struct ifinfomsg)`
const HEADER: usize = 16;

const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
}

impl RouteSocket {
    /// Every interface.
    pub fn links(&mut self) -> Result<Vec<Link>, RouteError> {
        self.list("interfaces", RTM_GETLINK, &[0; HEADER], |kind, payload| {
            (kind == RTM_NEWLINK).then(|| read(payload)).flatten()
        })
    }

    /// The interface of this name.
    pub fn link(&mut self, name: &str) -> Result<Link, RouteError> {
        let found = self.links()?.into_iter().find(|link| link.name == name);
        found.ok_or_else(|| RouteError::NoInterface { name: name.into() })
    }

    /// Brings an interface up.
    pub fn link_up(&mut self, link: &Link) -> Result<Change, RouteError> {
        if link.up {
            return Ok(Change::None);
        }
        let mut header = header_of(link.index);
        header[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        header[12..].copy_from_slice(&IFF_UP.to_ne_bytes());
        self.request(Operation::LinkUp(link.name.clone()), &[], change(RTM_NEWLINK, 0, &header))
    }

    /// Makes a pair of connected virtual interfaces: `name` here and `peer` in `peer_namespace`, both down.
    pub fn add_veth(
        &mut self,
        name: &InterfaceName,
        peer: &InterfaceName,
        peer_namespace: &NetNs,
    ) -> Result<(), RouteError> {
        let target = peer_namespace.as_fd().as_raw_fd() as u32;
        let message = change(RTM_NEWLINK, CREATE | EXCLUSIVE, &[0; HEADER])
            .name(IFLA_IFNAME, name.name())
            .nest(IFLA_LINKINFO, &[], |info| {
                info.name(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, &[], |data| {
                    // The peer is described by a whole link message (veth_newlink, drivers/net/veth.c).
                    data.nest(VETH_INFO_PEER, &[0; HEADER], |other| {
                        other.name(IFLA_IFNAME, peer.name()).number(IFLA_NET_NS_FD, target)
                    })
                })
            });
        self.request(Operation::AddVeth(name.to_string()), &[], message).map(|_| ())
    }

    /// Removes an interface (of a veth pair: both ends).
    pub fn remove_link(&mut self, link: &Link) -> Result<Change, RouteError> {
        let operation = Operation::RemoveLink(link.name.clone());
        self.request(operation, &[Errno::NODEV], change(RTM_DELLINK, 0, &header_of(link.index)))
    }

    /// Adds a default route by `gateway` to the main table.
    pub fn add_default_route(&mut self, gateway: IpAddr) -> Result<Change, RouteError> {
        let family = family_number(Family::of(gateway));
        let mut header = [0; 12];
        (header[0], header[4], header[5], header[7]) = (family, RT_TABLE_MAIN, RTPROT_STATIC, RTN_UNICAST);
        let message =
            change(RTM_NEWROUTE, CREATE | EXCLUSIVE, &header).attribute(RTA_GATEWAY, &octets(gateway));
        self.request(Operation::AddDefaultRoute(gateway), &[Errno::EXIST], message)
    }
}

fn header_of(index: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

pub(super) fn read(payload: &[u8]) -> Option<Link> {
    let (header, rest) = payload.split_at_checked(HEADER)?;
    let (_, name) = message::attributes(rest).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    let name = name.strip_suffix(&[0]).unwrap_or(name);
    Some(Link {
        index: message::u32_at(header, 4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        up: message::u32_at(header, 8)? & IFF_UP != 0,
    })
}
