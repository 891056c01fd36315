//! The two networks of the demonstration: the pod's, and the world it talks to, joined by a cable. Nothing but this
//! process holds them, so they are gone when it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use meshward_redirect::net::InterfaceName;
use meshward_redirect::netns::NetNs;
use meshward_redirect::rtnl::RouteSocket;

use super::standing::refused;
use super::with_causes;
use crate::exit::Failure;

/// Addresses that documentation may use (RFC 5737, RFC 3849), and private ones for the pod.
const POD: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 244, 1, 7), Ipv6Addr::new(0xfd00, 0x244, 0, 1, 0, 0, 0, 7));
const GATEWAY: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(10, 244, 1, 1), Ipv6Addr::new(0xfd00, 0x244, 0, 1, 0, 0, 0, 1));
const SERVER: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(203, 0, 113, 10), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10));

/// Both networks.
#[derive(Debug)]
pub(super) struct Network {
    /// The pod's.
    pub(super) pod: NetNs,
    /// Everything else.
    pub(super) peer: NetNs,
    /// Whether the pod has an IPv6 address; a kernel can do without.
    pub(super) ipv6: bool,
}

impl Network {
    /// Makes and joins them.
    pub(super) fn build() -> Result<Self, Failure> {
        let create = || NetNs::create().map_err(|error| refused("have its networks", with_causes(&error)));
        let (pod, peer) = (create()?, create()?);
        let ipv6 = join(&pod, &peer).map_err(|error| Failure::impossible(with_causes(error.as_ref())))?;
        Ok(Self { pod, peer, ipv6 })
    }

    /// The pod's IPv4 address.
    pub(super) fn pod_address(&self) -> IpAddr {
        POD.0.into()
    }

    /// The addresses of a server somewhere in the world, IPv4 first.
    pub(super) fn server_addresses(&self) -> Vec<IpAddr> {
        [Some(SERVER.0.into()), self.ipv6.then_some(SERVER.1.into())].into_iter().flatten().collect()
    }

    /// The unspecified address of each family.
    pub(super) fn any(&self) -> Vec<IpAddr> {
        let ipv6 = self.ipv6.then_some(Ipv6Addr::UNSPECIFIED.into());
        [Some(Ipv4Addr::UNSPECIFIED.into()), ipv6].into_iter().flatten().collect()
    }
}

/// Tells whether IPv6 works too.
fn join(pod: &NetNs, peer: &NetNs) -> Result<bool, Box<dyn std::error::Error>> {
    let mut inside = pod.run(RouteSocket::open)??;
    let mut outside = peer.run(RouteSocket::open)??;
    let (eth0, pod0) = ("eth0".parse::<InterfaceName>()?, "pod0".parse::<InterfaceName>()?);
    inside.add_veth(&eth0, &pod0, peer)?;
    let mut ipv6 = true;
    for (socket, name, (v4, v6)) in [(&mut inside, "eth0", POD), (&mut outside, "pod0", GATEWAY)] {
        let index = socket.link(name)?.index;
        let _ = socket.add_address(index, IpNet::new(v4.into(), 24)?)?;
        ipv6 &= socket.add_address(index, IpNet::new(v6.into(), 64)?).is_ok();
        for name in ["lo", name] {
            let link = socket.link(name)?;
            let _ = socket.link_up(&link)?;
        }
    }
    let index = outside.link("pod0")?.index;
    let _ = outside.add_address(index, IpNet::new(SERVER.0.into(), 32)?)?;
    let _ = inside.add_default_route(GATEWAY.0.into())?;
    if ipv6 {
        let _ = outside.add_address(index, IpNet::new(SERVER.1.into(), 128)?)?;
        let _ = inside.add_default_route(GATEWAY.1.into())?;
    }
    Ok(ipv6)
}
