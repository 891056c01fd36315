//! Segments that belong to no connection. An ordinary socket never sends one, so they are made by hand and sent
//! through a raw socket of the peer, which also hears whether the pod's TCP answers them.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol as Number, Socket, Type};

use crate::{Bed, Error};

/// How long an answer may take on a busy machine, and how long silence is listened to.
const PATIENCE: Duration = Duration::from_millis(300);

const SYN_ACK: u8 = 0x12;
const RESET: u8 = 0x04;

/// A SYN-ACK that nobody asked for: connection tracking finds it invalid, and the pod's TCP resets it wherever it
/// gets to, listener or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// Port it comes from, at the peer's own address.
    pub source_port: u16,
    /// An address and port of the pod.
    pub destination: SocketAddr,
}

impl Bed {
    /// Sends stray segments from the peer and says of each whether the pod answered it with a reset.
    ///
    /// # Errors
    /// [`Error::Socket`] when there can be no raw socket; [`Error::Namespace`].
    pub fn stray(&self, segments: &[Stray]) -> Result<Vec<bool>, Error> {
        let link = &self.layout.links[0];
        let own4 = IpAddr::V4(link.ipv4(1));
        let own6 = IpAddr::V6(link.ipv6(1).unwrap_or(Ipv6Addr::UNSPECIFIED));
        self.peer.run(|| {
            let mut answered = vec![false; segments.len()];
            for (own, ipv4) in [(own4, true), (own6, false)] {
                let of_family = |stray: &&Stray| stray.destination.is_ipv4() == ipv4;
                if segments.iter().any(|stray| of_family(&stray)) {
                    send_all(segments, own, &mut answered).map_err(|source| Error::Socket {
                        action: "send stray segments",
                        what: own.to_string(),
                        source,
                    })?;
                }
            }
            Ok(answered)
        })?
    }
}

fn send_all(segments: &[Stray], own: IpAddr, answered: &mut [bool]) -> io::Result<()> {
    let domain = Domain::for_address(SocketAddr::new(own, 0));
    let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Number::TCP))?;
    socket.bind(&SocketAddr::new(own, 0).into())?;
    let mine = |stray: &Stray| stray.destination.is_ipv4() == own.is_ipv4();
    for stray in segments.iter().filter(|stray| mine(stray)) {
        let bytes = segment(own, stray);
        // The port of a raw socket's destination must be zero in IPv6.
        socket.send_to(&bytes, &SocketAddr::new(stray.destination.ip(), 0).into())?;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let open = segments.iter().zip(&*answered).any(|(stray, answered)| mine(stray) && !answered);
        let left = until.saturating_duration_since(Instant::now());
        if !open || left.is_zero() {
            return Ok(());
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&wait))?;
        let mut buffer = [0; 256];
        while let Ok(length) = (&socket).read(&mut buffer) {
            let Some((from, to)) = reset(&buffer[..length], own.is_ipv4()) else { continue };
            for (stray, answered) in segments.iter().zip(&mut *answered) {
                *answered |= (stray.destination.port(), stray.source_port) == (from, to);
            }
        }
    }
}

/// A SYN-ACK with its checksum, which connection tracking looks at.
fn segment(own: IpAddr, stray: &Stray) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[0..2].copy_from_slice(&stray.source_port.to_be_bytes());
    bytes[2..4].copy_from_slice(&stray.destination.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&1u32.to_be_bytes());
    bytes[8..12].copy_from_slice(&1u32.to_be_bytes());
    bytes[12] = 5 << 4;
    bytes[13] = SYN_ACK;
    bytes[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    let sum = checksum(own, stray.destination.ip(), &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The checksum of TCP over pseudo header and segment (RFC 9293 section 3.1, RFC 8200 section 8.1).
fn checksum(source: IpAddr, destination: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = Vec::with_capacity(60);
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend([0, 6]);
    bytes.extend((segment.len() as u16).to_be_bytes());
    bytes.extend(segment);
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Source and destination port of a reset. Raw sockets of IPv4 hear the IP header too, those of IPv6 do not.
fn reset(bytes: &[u8], ipv4: bool) -> Option<(u16, u16)> {
    let header = if ipv4 { usize::from(bytes.first()? & 0xf) * 4 } else { 0 };
    let tcp = bytes.get(header..)?.first_chunk::<14>()?;
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    (tcp[13] & RESET != 0).then(|| (port(0), port(2)))
}
