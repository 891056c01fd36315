//! The small transparent proxy: takes connections that rules redirected to it, asks the kernel where they were meant
//! to go, and passes them on there.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::fetch::{answer, limited, read_answer, read_request};
use super::play::Captures;
use super::serve::each_connection;
use super::{Capture, ProxyPart, Served};

/// More captures than this mean that the proxy catches its own connections.
const MOST_CAPTURES: usize = 64;

/// Which way a connection goes.
#[derive(Debug, Clone, Copy)]
enum Direction {
    /// Nowhere: the proxy answers itself.
    Here,
    /// Out.
    Out,
    /// To the application, from this address.
    In(IpAddr),
}

/// Listens on all of the proxy's addresses.
pub(super) fn start(part: &ProxyPart, captures: &Captures) -> io::Result<()> {
    let outbound = if part.forwards { Direction::Out } else { Direction::Here };
    let inbound = Direction::In(part.inbound_source);
    let of = |addresses: &[SocketAddr], direction| {
        addresses.iter().map(move |one| (*one, direction)).collect::<Vec<_>>()
    };
    for (address, direction) in of(&part.outbound, outbound).into_iter().chain(of(&part.inbound, inbound)) {
        let captures = Arc::clone(captures);
        each_connection(address, move |stream, client| {
            relay(stream, client, address.port(), direction, &captures)
        })?;
    }
    Ok(())
}

fn relay(
    mut stream: TcpStream,
    client: SocketAddr,
    port: u16,
    direction: Direction,
    captures: &Captures,
) -> io::Result<()> {
    let original: SocketAddr = match client {
        SocketAddr::V4(_) => sockopt::ip_original_dst(&stream)?.into(),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(&stream)?.into(),
    };
    let request = read_request(&mut stream)?;
    let capture = |onward| {
        let mut captures = captures.lock().map_err(|_| io::Error::other("a thread panicked"))?;
        if captures.len() >= MOST_CAPTURES {
            return Err(io::Error::other("the proxy catches its own connections"));
        }
        captures.push(Capture { port, original, client, onward });
        Ok(())
    };
    let source = match direction {
        Direction::Here => {
            capture(None)?;
            let served = Served { by: "proxy".into(), at: original, client };
            return answer(&mut stream, &via(port), &served);
        }
        Direction::Out => None,
        // The rules know only the family's own address for this.
        Direction::In(source) => Some(source).filter(|source| source.is_ipv4() == original.is_ipv4()),
    };
    let mut onward = connect(original, source)?;
    capture(Some(onward.local_addr()?))?;
    limited(&onward)?;
    onward.write_all(&request)?;
    let answer = read_answer(&mut onward)?;
    let (status, rest) = answer.split_once("\r\n").ok_or(io::ErrorKind::InvalidData)?;
    write!(stream, "{status}\r\n{}{rest}", via(port))
}

fn via(port: u16) -> String {
    format!("Via: 1.1 proxy:{port}\r\n")
}

/// A connection to `to`, from `source` where one is given.
fn connect(to: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let family = if to.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if let Some(source) = source {
        rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    }
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(super::fetch::PATIENCE))?;
    rustix::net::connect(&socket, &to)?;
    Ok(socket.into())
}
