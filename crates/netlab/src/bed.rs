//! The two namespaces and what stands in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::AtomicU16;
use std::time::{Duration, Instant};

use crate::listener::Listener;
use crate::{Error, Namespace, Place, Probe, Protocol, setup};

/// The port of the service that discards what it gets (RFC 863).
const DISCARD: u16 = 9;
/// How long a new cable may take on a busy machine.
const WARM_UP: Duration = Duration::from_secs(5);

/// One cable between pod and peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The interface's name in the pod.
    pub name: String,
    /// The /24 both ends are in: the peer is .1, the pod .2.
    pub ipv4: Ipv4Addr,
    /// The /64 both ends are in, or none: the peer is ::1, the pod ::2.
    pub ipv6: Option<Ipv6Addr>,
}

impl Link {
    /// The IPv4 address of host `host` on this cable (1 = the peer, 2 = the pod).
    pub fn ipv4(&self, host: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.ipv4.octets();
        Ipv4Addr::new(a, b, c, host)
    }

    /// The IPv6 address of host `host`, when the cable has IPv6.
    pub fn ipv6(&self, host: u8) -> Option<Ipv6Addr> {
        self.ipv6.map(|net| Ipv6Addr::from_bits(net.to_bits() | u128::from(host)))
    }

    pub(crate) fn ipv6_text(&self, host: u8) -> String {
        self.ipv6(host).map(|address| address.to_string()).unwrap_or_default()
    }
}

/// The cables of a bed; the default route of the pod goes by the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The cables, at least one.
    pub links: Vec<Link>,
}

impl Layout {
    /// `eth0` with IPv4: pod 10.77.0.2, peer 10.77.0.1.
    pub fn ipv4() -> Self {
        Self { links: vec![Link { name: "eth0".into(), ipv4: Ipv4Addr::new(10, 77, 0, 0), ipv6: None }] }
    }

    /// `eth0` with both families: also pod fd77::2, peer fd77::1.
    pub fn dual_stack() -> Self {
        let mut layout = Self::ipv4();
        layout.links[0].ipv6 = Some(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0));
        layout
    }

    /// One more cable, called `name` in the pod: 10.77.N.0/24 and, where the first has IPv6, fd77:N::/64.
    pub fn with_link(mut self, name: &str) -> Self {
        let number = u8::try_from(self.links.len()).unwrap_or(u8::MAX);
        let ipv6 = self.links.first().and_then(|first| first.ipv6);
        self.links.push(Link {
            name: name.into(),
            ipv4: Ipv4Addr::new(10, 77, number, 0),
            ipv6: ipv6.map(|_| Ipv6Addr::new(0xfd77, u16::from(number), 0, 0, 0, 0, 0, 0)),
        });
        self
    }
}

/// A pod and its peer.
#[derive(Debug)]
pub struct Bed {
    /// The namespace the rules are for.
    pub pod: Namespace,
    /// The rest of the world: whatever address the pod calls, it is here.
    pub peer: Namespace,
    /// How they are joined.
    pub layout: Layout,
    pub(crate) listeners: Vec<Listener>,
    // Every probe has a source port of its own: listeners know probes by it, and no probe meets the connection
    // tracking entry of an earlier one.
    pub(crate) next_port: AtomicU16,
}

impl Bed {
    /// A bed with IPv4 and IPv6 on one cable.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] where namespaces are not allowed; see [`Error`] for the rest.
    pub fn new() -> Result<Self, Error> {
        Self::with_layout(Layout::dual_stack())
    }

    /// A bed with cables of your choice.
    ///
    /// # Errors
    /// As [`Bed::new`].
    pub fn with_layout(layout: Layout) -> Result<Self, Error> {
        let (pod, peer) = (Namespace::new()?, Namespace::new()?);
        setup::cable(&pod, &peer, &layout)?;
        let mut bed = Self {
            pod,
            peer,
            layout,
            listeners: Vec::new(),
            next_port: AtomicU16::new(crate::probe::FIRST_PORT),
        };
        bed.warm_up()?;
        Ok(bed)
    }

    /// The kernel sets a cable's queues and IPv6 going some time after both of its ends are up, and drops what is
    /// sent before.
    fn warm_up(&mut self) -> Result<(), Error> {
        let mut probes = Vec::new();
        for link in &self.layout.links {
            let ends = [Some(IpAddr::V4(link.ipv4(1))), link.ipv6(1).map(IpAddr::V6)];
            let own = [Some(IpAddr::V4(link.ipv4(2))), link.ipv6(2).map(IpAddr::V6)];
            let to = |address: IpAddr| SocketAddr::new(address, DISCARD);
            probes.extend(ends.into_iter().flatten().map(|end| Probe::out(Protocol::Udp, to(end)).silent()));
            probes
                .extend(own.into_iter().flatten().map(|own| Probe::inbound(Protocol::Udp, to(own)).silent()));
        }
        self.listen(Place::Pod, Protocol::Udp, DISCARD)?;
        self.listen(Place::Peer, Protocol::Udp, DISCARD)?;
        let until = Instant::now() + WARM_UP;
        while !probes.is_empty() && Instant::now() < until {
            let outcomes = self.probe_all(&probes)?;
            let mut arrived = outcomes.iter().map(|outcome| outcome.reached().is_some());
            probes.retain(|_| !arrived.next().unwrap_or(true));
        }
        self.close(Place::Pod, Protocol::Udp, DISCARD);
        self.close(Place::Peer, Protocol::Udp, DISCARD);
        Ok(())
    }

    /// For tests: a bed, or nothing after printing why the test is skipped.
    ///
    /// # Errors
    /// Anything but a missing privilege.
    pub fn or_skip(layout: Layout) -> Result<Option<Self>, Error> {
        match Self::with_layout(layout) {
            Ok(bed) => Ok(Some(bed)),
            Err(Error::NotPermitted) => {
                crate::skipped("needs CAP_NET_ADMIN");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One of the namespaces.
    pub fn namespace(&self, place: Place) -> &Namespace {
        match place {
            Place::Pod => &self.pod,
            Place::Peer => &self.peer,
        }
    }

    /// The pod's IPv4 address on its first cable.
    pub fn pod_ipv4(&self) -> Ipv4Addr {
        self.layout.links.first().map_or(Ipv4Addr::LOCALHOST, |link| link.ipv4(2))
    }

    /// The pod's IPv6 address on its first cable, if it has one.
    pub fn pod_ipv6(&self) -> Option<Ipv6Addr> {
        self.layout.links.first().and_then(|link| link.ipv6(2))
    }

    /// Every address of the pod but loopback.
    pub fn pod_addresses(&self) -> Vec<IpAddr> {
        let links = self.layout.links.iter();
        links.flat_map(|l| [Some(IpAddr::V4(l.ipv4(2))), l.ipv6(2).map(IpAddr::V6)]).flatten().collect()
    }

    fn has_ipv6(&self) -> bool {
        self.layout.links.iter().any(|link| link.ipv6.is_some())
    }

    /// Listens on every address of `place`, in each family of the bed. Listening twice is no error.
    ///
    /// # Errors
    /// [`Error::Socket`]
    pub fn listen(&mut self, place: Place, protocol: Protocol, port: u16) -> Result<(), Error> {
        self.open(place, protocol, port, false)
    }

    /// The same with sockets that TPROXY can hand packets to (`IP_TRANSPARENT`).
    ///
    /// # Errors
    /// [`Error::Socket`]
    pub fn listen_transparent(&mut self, place: Place, protocol: Protocol, port: u16) -> Result<(), Error> {
        self.open(place, protocol, port, true)
    }

    fn open(&mut self, place: Place, protocol: Protocol, port: u16, transparent: bool) -> Result<(), Error> {
        let there = |l: &Listener| (l.place, l.protocol, l.address.port()) == (place, protocol, port);
        if self.listeners.iter().any(there) {
            return Ok(());
        }
        let ipv6 = self.has_ipv6();
        let opened = self.namespace(place).run(|| {
            let ipv6 = ipv6.then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            [Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), ipv6]
                .into_iter()
                .flatten()
                .map(|address| Listener::open(place, protocol, (address, port).into(), transparent))
                .collect::<Result<Vec<_>, _>>()
        })??;
        self.listeners.extend(opened);
        Ok(())
    }

    /// Stops listening on a port.
    pub fn close(&mut self, place: Place, protocol: Protocol, port: u16) {
        self.listeners.retain(|l| (l.place, l.protocol, l.address.port()) != (place, protocol, port));
    }
}
