//! Routing netlink: the few requests that redirection needs (policy routing for TPROXY, the loopback address that
//! Istio's IPv6 rules name, the addresses a namespace holds) and those that a test bed needs (veth pairs, addresses,
//! a default route), so that nothing depends on the `ip` program.
//!
//! A [`RouteSocket`] is opened inside a namespace and keeps it: `ns.run(RouteSocket::open)??`.

mod address;
mod describe;
mod link;
mod message;
mod policy;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use ipnet::IpNet;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::net::Family;
use message::{ACK, Content, DUMP, DUMP_INTERRUPTED, Message};

pub use address::InterfaceAddress;
pub use describe::describe_answer;
pub use link::Link;
pub use policy::PROTOCOL;

/// The parts of a listing are at most 32 KiB (`netlink_recvmsg`, net/netlink/af_netlink.c).
const RECEIVE_BYTES: usize = 32 * 1024;
/// How often a listing is started again when its table changes meanwhile.
const LISTING_ATTEMPTS: usize = 16;

/// Whether a request found something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// It was done.
    Made,
    /// It was as asked already.
    None,
}

impl Change {
    /// Whether something was done.
    pub fn is_made(self) -> bool {
        self == Change::Made
    }
}

/// What was asked of the kernel, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Listing the objects of one kind
    List(&'static str),
    /// Adding an address to an interface
    AddAddress(IpNet),
    /// Removing an address from an interface
    RemoveAddress(IpNet),
    /// Adding a policy rule
    AddRule {
        /// Its family
        family: Family,
        /// The packet mark
        mark: u32,
        /// The routing table
        table: u32,
    },
    /// Removing a policy rule
    RemoveRule {
        /// Its family
        family: Family,
        /// The packet mark
        mark: u32,
        /// The routing table
        table: u32,
    },
    /// Adding the route that makes every address local
    AddLocalRoute {
        /// Its family
        family: Family,
        /// The routing table
        table: u32,
    },
    /// Removing that route
    RemoveLocalRoute {
        /// Its family
        family: Family,
        /// The routing table
        table: u32,
    },
    /// Adding a default route
    AddDefaultRoute(IpAddr),
    /// Making a pair of virtual interfaces
    AddVeth(String),
    /// Removing an interface
    RemoveLink(String),
    /// Bringing an interface up
    LinkUp(String),
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::List(what) => write!(f, "list {what}"),
            Operation::AddAddress(net) => write!(f, "add address {net}"),
            Operation::RemoveAddress(net) => write!(f, "remove address {net}"),
            Operation::AddRule { family, mark, table } => {
                write!(f, "add the {family} policy rule fwmark {mark:#x} lookup {table}")
            }
            Operation::RemoveRule { family, mark, table } => {
                write!(f, "remove the {family} policy rule fwmark {mark:#x} lookup {table}")
            }
            Operation::AddLocalRoute { family, table } => {
                write!(f, "add the {family} local default route of table {table}")
            }
            Operation::RemoveLocalRoute { family, table } => {
                write!(f, "remove the {family} local default route of table {table}")
            }
            Operation::AddDefaultRoute(gateway) => write!(f, "add the default route by {gateway}"),
            Operation::AddVeth(name) => write!(f, "make the veth pair {name}"),
            Operation::RemoveLink(name) => write!(f, "remove interface {name}"),
            Operation::LinkUp(name) => write!(f, "bring interface {name} up"),
        }
    }
}

/// Why a request about addresses, routes or interfaces failed.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// No socket of the routing family.
    #[error("cannot open a routing netlink socket")]
    Open(#[source] io::Error),
    /// The kernel refused.
    #[error("cannot {operation}{}", hint(source))]
    Refused {
        /// What was asked.
        operation: Operation,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer makes no sense.
    #[error("cannot {operation}: the kernel's answer is malformed")]
    Malformed {
        /// What was asked.
        operation: Operation,
    },
    /// There is no such interface.
    #[error("there is no network interface {name}")]
    NoInterface {
        /// Its name.
        name: String,
    },
}

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            " (is CAP_NET_ADMIN granted, and is IPv6 enabled where it is needed?)"
        }
        Some(Errno::AFNOSUPPORT | Errno::OPNOTSUPP) => " (the kernel lacks this family or policy routing)",
        _ => "",
    }
}

/// A routing netlink socket of one network namespace: that of the thread which opened it.
#[derive(Debug)]
pub struct RouteSocket {
    socket: OwnedFd,
    sequence: u32,
}

impl RouteSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, RouteError> {
        // Protocol 0 is NETLINK_ROUTE.
        let socket =
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(|errno| RouteError::Open(errno.into()))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends one request and waits for its acknowledgement. `done` is the errno that means "is so already".
    fn request(
        &mut self,
        operation: Operation,
        done: &[Errno],
        message: Message,
    ) -> Result<Change, RouteError> {
        match self.exchange(message, |_, _| ()) {
            Ok(()) => Ok(Change::Made),
            Err(Failure::Errno(errno)) if done.contains(&errno) => Ok(Change::None),
            Err(failure) => Err(failure.of(operation)),
        }
    }

    /// Lists objects: `read` sees type and payload of each. Starts again when the kernel says that the table changed
    /// under the listing.
    fn list<T>(
        &mut self,
        what: &'static str,
        kind: u16,
        header: &[u8],
        read: impl Fn(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, RouteError> {
        let operation = Operation::List(what);
        for _ in 0..LISTING_ATTEMPTS {
            let mut found = Vec::new();
            let listed = self.exchange(Message::new(kind, DUMP, header), |kind, payload| {
                found.extend(read(kind, payload));
            });
            match listed {
                Ok(()) => return Ok(found),
                Err(Failure::Interrupted) => continue,
                Err(failure) => return Err(failure.of(operation)),
            }
        }
        Err(Failure::Errno(Errno::AGAIN).of(operation))
    }

    fn exchange(&mut self, message: Message, mut object: impl FnMut(u16, &[u8])) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = message.finish(self.sequence);
        retry_on_intr(|| rustix::net::send(&self.socket, &request, SendFlags::empty()))?;
        let mut interrupted = false;
        // Not kept: whoever holds the socket asks rarely.
        let mut buffer = Vec::with_capacity(RECEIVE_BYTES);
        loop {
            buffer.clear();
            let (_, length, from) = retry_on_intr(|| {
                rustix::net::recvfrom(&self.socket, spare_capacity(&mut buffer), RecvFlags::TRUNC)
            })?;
            // A process with NET_ADMIN in this namespace can send to our port too; the kernel is port 0.
            if from.and_then(|from| SocketAddrNetlink::try_from(from).ok()).is_none_or(|from| from.pid() != 0)
            {
                continue;
            }
            let datagram = buffer.get(..length).ok_or(Failure::Malformed)?;
            for message in message::messages(datagram) {
                let message = message.map_err(|_| Failure::Malformed)?;
                // Left over from an earlier request that ended in an error.
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.content {
                    Content::Acknowledged => return Ok(()),
                    Content::Done if interrupted => return Err(Failure::Interrupted),
                    Content::Done => return Ok(()),
                    Content::Refused(code) => return Err(Failure::Errno(Errno::from_raw_os_error(code))),
                    Content::Object(kind, payload) => object(kind, payload),
                }
            }
        }
    }
}

/// A request that failed, before it is said what it was for.
enum Failure {
    Errno(Errno),
    Malformed,
    Interrupted,
}

impl Failure {
    fn of(self, operation: Operation) -> RouteError {
        match self {
            Failure::Errno(errno) => RouteError::Refused { operation, source: errno.into() },
            Failure::Malformed | Failure::Interrupted => RouteError::Malformed { operation },
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

/// A change request of this type.
fn change(kind: u16, flags: u16, header: &[u8]) -> Message {
    Message::new(kind, flags | ACK, header)
}

/// `AF_INET` or `AF_INET6`
fn family_number(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

/// An address as it stands in an attribute.
fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An address from an attribute, or nothing when its length fits neither family.
fn address_of(payload: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(payload)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(payload).map(IpAddr::from))
        .ok()
}
