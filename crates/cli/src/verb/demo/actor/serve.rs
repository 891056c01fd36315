//! Listening, and a plain server that tells whom it sees.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::Served;
use super::fetch::{answer, limited, read_request};

const BACKLOG: i32 = 64;

/// Answers requests at `address` as `name`.
pub(super) fn plain(name: &str, address: SocketAddr) -> io::Result<()> {
    let by = name.to_string();
    each_connection(address, move |mut stream, client| {
        let at = stream.local_addr()?;
        read_request(&mut stream)?;
        answer(&mut stream, "", &Served { by: by.clone(), at, client })
    })
}

/// Runs `handle` for each connection to `address`, each on a thread of its own. A connection that fails is its
/// client's to tell.
pub(super) fn each_connection(
    address: SocketAddr,
    handle: impl Fn(TcpStream, SocketAddr) -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<()> {
    let listener = listen(address)?;
    thread::Builder::new().name(format!("accept-{}", address.port())).spawn(move || {
        thread::scope(|scope| {
            while let Ok((stream, client)) = listener.accept() {
                let handle = &handle;
                scope.spawn(move || limited(&stream).map(|_| ()).and_then(|()| handle(stream, client)));
            }
        });
    })?;
    Ok(())
}

/// A listener that takes one family only, as the two families have addresses of their own here.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    let told = |error: rustix::io::Errno| io::Error::other(format!("cannot listen on {address}: {error}"));
    rustix::net::bind(&socket, &address).map_err(told)?;
    rustix::net::listen(&socket, BACKLOG).map_err(told)?;
    Ok(socket.into())
}
