//! Addresses of interfaces (linux/if_addr.h).

use std::net::IpAddr;

use ipnet::IpNet;
use rustix::io::Errno;

use super::message::{self, CREATE, EXCLUSIVE};
use super::{
    Change, Operation, PROTOCOL, RouteError, RouteSocket, address_of, change, family_number, octets,
};
use crate::net::Family;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Who added the address (Linux 5.18; older kernels skip it)
const IFA_PROTO: u16 = 11;
/// No duplicate address detection: the address can be used at once.
const IFA_F_NODAD: u32 = 0x02;
/// `sizeof(struct ifaddrmsg)`
const HEADER: usize = 8;

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's index.
    pub interface: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix.
    pub prefix: u8,
    /// Whether our rules brought it (never known before Linux 5.18).
    pub ours: bool,
}

impl InterfaceAddress {
    /// Whether it can be reached from elsewhere: neither loopback nor link-local nor unspecified, nor an address
    /// that a mesh put on the loopback interface (`::6` and the like).
    pub fn is_global(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => {
                !address.is_loopback() && !address.is_link_local() && !address.is_unspecified()
            }
            // ::/96 is the deprecated IPv4-compatible range (RFC 4291 2.5.5.1), where ::1 and ::6 lie.
            IpAddr::V6(address) => {
                !address.is_unicast_link_local() && address.segments()[..6] != [0, 0, 0, 0, 0, 0]
            }
        }
    }
}

impl RouteSocket {
    /// Every address of every interface.
    pub fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, RouteError> {
        self.list_addresses([0; HEADER])
    }

    /// Every address of a family; of every family where the kernel lacks this one.
    pub(crate) fn addresses_of(&mut self, family: Family) -> Result<Vec<InterfaceAddress>, RouteError> {
        self.list_addresses([family_number(family), 0, 0, 0, 0, 0, 0, 0])
    }

    fn list_addresses(&mut self, header: [u8; HEADER]) -> Result<Vec<InterfaceAddress>, RouteError> {
        self.list("addresses", RTM_GETADDR, &header, |kind, payload| {
            (kind == RTM_NEWADDR).then(|| read(payload)).flatten()
        })
    }

    /// The global addresses of every interface: what [`crate::dialect::Surroundings`] are made of.
    pub fn global_addresses(&mut self) -> Result<Vec<IpAddr>, RouteError> {
        Ok(self.addresses()?.iter().filter(|own| own.is_global()).map(|own| own.address).collect())
    }

    /// Whether some interface has a global IPv6 address.
    pub fn has_global_ipv6(&mut self) -> Result<bool, RouteError> {
        Ok(self.global_addresses()?.iter().any(IpAddr::is_ipv6))
    }

    /// Adds `net` (its address with its prefix length) to an interface, usable at once.
    pub fn add_address(&mut self, interface: u32, net: IpNet) -> Result<Change, RouteError> {
        let operation = Operation::AddAddress(net);
        self.request(operation, &[Errno::EXIST], request(RTM_NEWADDR, CREATE | EXCLUSIVE, interface, net))
    }

    /// Removes an address from an interface.
    pub fn remove_address(&mut self, interface: u32, net: IpNet) -> Result<Change, RouteError> {
        let operation = Operation::RemoveAddress(net);
        self.request(operation, &[Errno::ADDRNOTAVAIL], request(RTM_DELADDR, 0, interface, net))
    }
}

fn request(kind: u16, flags: u16, interface: u32, net: IpNet) -> message::Message {
    let family = Family::of_net(&net);
    let mut header = [family_number(family), net.prefix_len(), 0, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&interface.to_ne_bytes());
    let address = octets(net.addr());
    let message =
        change(kind, flags, &header).attribute(IFA_LOCAL, &address).attribute(IFA_ADDRESS, &address);
    let message = message.attribute(IFA_PROTO, &[PROTOCOL]);
    if family == Family::Ipv6 { message.number(IFA_FLAGS, IFA_F_NODAD) } else { message }
}

pub(super) fn read(payload: &[u8]) -> Option<InterfaceAddress> {
    let (header, rest) = payload.split_at_checked(HEADER)?;
    let mut found = InterfaceAddress {
        interface: message::u32_at(header, 4)?,
        address: IpAddr::from([0; 4]),
        prefix: header[1],
        ours: false,
    };
    let (mut any, mut local) = (None, None);
    for (kind, payload) in message::attributes(rest) {
        match kind {
            IFA_ADDRESS => any = address_of(payload),
            IFA_LOCAL => local = address_of(payload),
            IFA_PROTO => found.ours = payload == [PROTOCOL],
            _ => {}
        }
    }
    // On point-to-point links IFA_ADDRESS is the other end; IPv6 has no IFA_LOCAL otherwise.
    found.address = local.or(any)?;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_addresses_are_those_others_can_reach() {
        let cases = [
            ("127.0.0.1", false),
            ("10.0.0.7", true),
            ("169.254.7.1", false),
            ("192.0.2.1", true),
            ("::1", false),
            ("::6", false),
            ("fe80::1", false),
            ("fd00::7", true),
            ("2001:db8::7", true),
        ];
        for (text, global) in cases {
            let address = text.parse().unwrap();
            let own = InterfaceAddress { interface: 1, address, prefix: 32, ours: false };
            assert_eq!(own.is_global(), global, "{text}");
        }
    }
}
