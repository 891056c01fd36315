//! The stand-in for a mesh's proxy: passes on what was redirected to it, and leaves a line in the head of the answer
//! that says in which direction it was captured and where it was meant to go.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, socket, sockopt,
};

use crate::http;

#[derive(Clone, Copy)]
enum Direction {
    Outbound,
    Inbound { from: Option<Ipv4Addr> },
}

/// Proxies at both ports, for ever.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let (outbound, inbound, from) = match arguments {
        [outbound, inbound] => (outbound, inbound, None),
        [outbound, inbound, from] => (outbound, inbound, Some(from)),
        _ => return Err(crate::USAGE.into()),
    };
    let from = from.map(|from| from.parse().map_err(|_| format!("{from} is no IPv4 address"))).transpose()?;
    let ends = [(outbound, Direction::Outbound), (inbound, Direction::Inbound { from })]
        .into_iter()
        .map(|(port, direction)| Ok((listen(port)?, direction)))
        .collect::<Result<Vec<_>, String>>()?;
    thread::scope(|scope| {
        for (listener, direction) in &ends {
            scope.spawn(move || {
                for stream in listener.incoming().flatten() {
                    let direction = *direction;
                    thread::spawn(move || {
                        if let Err(problem) = pass_on(stream, direction) {
                            eprintln!("{problem}");
                        }
                    });
                }
            });
        }
    });
    Ok(())
}

fn listen(port: &str) -> Result<TcpListener, String> {
    let number: u16 = port.parse().map_err(|_| format!("{port} is no port"))?;
    TcpListener::bind(("0.0.0.0", number)).map_err(|error| format!("cannot listen at port {number}: {error}"))
}

fn pass_on(mut downstream: TcpStream, direction: Direction) -> Result<(), String> {
    let meant = original_destination(&downstream)?;
    let own = downstream.local_addr().map_err(|error| error.to_string())?;
    if meant == own {
        return Err(format!("{own} was called itself; nothing redirected that"));
    }
    // First of all: a caller may take its time, and the workload should not have to.
    let request = http::head(&downstream)?;
    let (name, mut upstream) = match direction {
        Direction::Outbound => ("outbound", TcpStream::connect(meant).map_err(|error| error.to_string())?),
        Direction::Inbound { from: None } => {
            ("inbound", TcpStream::connect(meant).map_err(|error| error.to_string())?)
        }
        Direction::Inbound { from: Some(from) } => ("inbound", connect_from(from, meant)?),
    };
    let failed = |error: std::io::Error| format!("cannot pass on to {meant}: {error}");
    write!(upstream, "{}\r\n\r\n", request.join("\r\n")).map_err(failed)?;
    let mut head = http::head(&upstream)?;
    head.insert(1, format!("x-captured-{name}: {meant}"));
    write!(downstream, "{}\r\n\r\n", head.join("\r\n")).map_err(failed)?;
    let mut rest = Vec::new();
    upstream.read_to_end(&mut rest).map_err(failed)?;
    downstream.write_all(&rest).map_err(failed)?;
    downstream.shutdown(Shutdown::Write).map_err(failed)?;
    eprintln!("{name} {meant}");
    Ok(())
}

fn original_destination(stream: &TcpStream) -> Result<SocketAddr, String> {
    let found = getsockopt(stream, sockopt::OriginalDst)
        .map_err(|error| format!("cannot tell where a connection was meant to go: {error}"))?;
    let address = IpAddr::V4(u32::from_be(found.sin_addr.s_addr).into());
    Ok(SocketAddr::new(address, u16::from_be(found.sin_port)))
}

/// As Istio's Envoy does: from 127.0.0.6, which its rules leave alone on the way to the workload.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, String> {
    let failed = |error: nix::Error| format!("cannot call {to} from {from}: {error}");
    let socket =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let raw = std::os::fd::AsRawFd::as_raw_fd(&socket);
    bind(raw, &SockaddrStorage::from(SocketAddr::from((from, 0)))).map_err(failed)?;
    connect(raw, &SockaddrStorage::from(to)).map_err(failed)?;
    Ok(TcpStream::from(socket))
}
