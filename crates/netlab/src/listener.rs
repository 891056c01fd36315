//! Sockets that packets end at, each knowing where it is.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{Error, Place, Protocol};

/// A packet or connection that got somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// In which namespace.
    pub place: Place,
    /// The port the listener is bound to; with TPROXY not the port the packet was sent to.
    pub port: u16,
    /// The connection's local address as the listener sees it (TCP only).
    pub local: Option<SocketAddr>,
    /// Where the connection was meant to go before rules rewrote it (`SO_ORIGINAL_DST`, TCP only; none where the
    /// namespace does not track connections).
    pub original: Option<SocketAddr>,
    /// Where it came from.
    pub source: SocketAddr,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) place: Place,
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
    pub(crate) socket: Socket,
}

impl Listener {
    /// A non-blocking listener in the namespace of the calling thread.
    pub(crate) fn open(
        place: Place,
        protocol: Protocol,
        address: SocketAddr,
        transparent: bool,
    ) -> Result<Self, Error> {
        let failed = |action| {
            move |source| Error::Socket {
                action,
                what: format!("{protocol:?} {address} in {place:?}"),
                source,
            }
        };
        let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let socket =
            Socket::new(Domain::for_address(address), kind.nonblocking(), None).map_err(failed("open"))?;
        if address.is_ipv6() {
            socket.set_only_v6(true).map_err(failed("set IPV6_V6ONLY"))?;
        }
        if transparent {
            set_transparent(&socket, address).map_err(failed("set IP_TRANSPARENT"))?;
        }
        // Probes may send from a port that is listened on.
        socket.set_reuse_address(true).map_err(failed("set SO_REUSEADDR"))?;
        socket.bind(&address.into()).map_err(failed("bind"))?;
        if protocol == Protocol::Tcp {
            socket.listen(512).map_err(failed("listen"))?;
        }
        Ok(Self { place, protocol, address, socket })
    }

    /// The next arrival, if one waits.
    pub(crate) fn next(&self) -> io::Result<Option<Arrival>> {
        let arrival = match self.protocol {
            Protocol::Tcp => self.accept(),
            Protocol::Udp => self.receive(),
        };
        match arrival {
            Ok(arrival) => Ok(Some(arrival)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn accept(&self) -> io::Result<Arrival> {
        let (connection, source) = self.socket.accept()?;
        // A reset instead of a farewell: no TIME_WAIT is left over, and no packet of this connection comes later.
        connection.set_linger(Some(std::time::Duration::ZERO))?;
        let original =
            if self.address.is_ipv4() { connection.original_dst_v4() } else { connection.original_dst_v6() };
        Ok(Arrival {
            place: self.place,
            port: self.address.port(),
            local: connection.local_addr()?.as_socket(),
            original: original.ok().and_then(|address| address.as_socket()),
            source: ip_address(&source)?,
        })
    }

    fn receive(&self) -> io::Result<Arrival> {
        let mut buffer = [MaybeUninit::uninit(); 64];
        let (_, source) = self.socket.recv_from(&mut buffer)?;
        Ok(Arrival {
            place: self.place,
            port: self.address.port(),
            local: None,
            original: None,
            source: ip_address(&source)?,
        })
    }
}

fn ip_address(address: &SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

pub(crate) fn set_transparent(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() { socket.set_ip_transparent_v4(true) } else { socket.set_ip_transparent_v6(true) }
}
