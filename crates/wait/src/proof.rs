//! Rules are believed when packets obey them. No proxy runs yet, so its ports are free: we listen there ourselves, call
//! somewhere else, and see whether the call arrives here with the address that was called.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use crate::greeting::{Direction, Proof};

/// How long one call may take; redirected, it never leaves the pod.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was proved, in one line.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn all(proofs: &[Proof], deadline: Instant) -> Result<String, String> {
    let user = geteuid().as_raw();
    let of = |direction| match direction {
        Direction::Outbound => None,
        Direction::Inbound { user } => Some(user),
    };
    // What the proxy's own user sends is left alone but for its calls to itself, so there is a direction to try for
    // everybody, and nobody can try both.
    let proxy = proofs.iter().any(|proof| of(proof.direction) == Some(user));
    let mut held = Vec::new();
    let mut other = None;
    for proof in proofs {
        match of(proof.direction) {
            None if proxy => {
                other = Some("outbound as the node agent read it back (this is the proxy's user)".into())
            }
            Some(theirs) if theirs != user => {
                other = Some(format!(
                    "inbound as the node agent read it back (only user {theirs} can try it here)"
                ));
            }
            _ => held.push(one(proof, deadline)?),
        }
    }
    let text = match held.is_empty() {
        true => "the rules are in force (nothing of them can be tried from here)".to_string(),
        false => format!("redirected: {}", held.join(", ")),
    };
    Ok(other.map_or(text.clone(), |other: String| format!("{text}; {other}")))
}

fn one(proof: &Proof, deadline: Instant) -> Result<String, String> {
    let Proof { to, port, .. } = *proof;
    let own: IpAddr = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let listener = TcpListener::bind((own, port)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!("port {port} is taken by another process of the pod"),
        _ => format!("cannot listen at {}: {error}", SocketAddr::new(own, port)),
    })?;
    let failed = |error| format!("cannot try the rules at port {port}: {error}");
    listener.set_nonblocking(true).map_err(failed)?;
    let left = deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), PATIENCE);
    let until = Instant::now() + left;
    let call = TcpStream::connect_timeout(&to, left).map_err(|error| {
        let full = full_table().unwrap_or_default();
        format!("not redirected: a call to {to} did not arrive at port {port} ({error}){full}")
    })?;
    let from = call.local_addr().map_err(failed)?;
    let arrived = accept(&listener, from, until).ok_or_else(|| {
        format!("not redirected: a call to {to} arrived somewhere else than at port {port}")
    })?;
    let original = original_destination(&arrived);
    if original != Some(to) {
        let found = original.map_or_else(|| "nowhere".to_string(), |address| address.to_string());
        return Err(format!("a call to {to} arrived at port {port} as one to {found}"));
    }
    // Whoever closes first keeps the connection for a minute, and must not keep it at the proxy's port.
    drop(call);
    Ok(format!("{to} to {port}"))
}

/// The connection that came from `from`; others are turned away.
fn accept(listener: &TcpListener, from: SocketAddr, until: Instant) -> Option<TcpStream> {
    loop {
        match listener.accept() {
            Ok((arrived, source)) if source == from => return Some(arrived),
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is tried again, up to the deadline.
        let _ = poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], timeout);
    }
}

/// A new connection that cannot be tracked is dropped, whatever the rules say.
fn full_table() -> Option<String> {
    let read = |name: &str| -> Option<u64> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let (count, max) = (read("count")?, read("max")?);
    // No limit is 0.
    (max > 0 && count >= max).then(|| {
        format!(
            "; the table of tracked connections is full, {count} of {max} (net.netfilter.nf_conntrack_max on the node)"
        )
    })
}

/// Where the connection was meant to go (`SO_ORIGINAL_DST`, linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h).
fn original_destination(arrived: &TcpStream) -> Option<SocketAddr> {
    if arrived.local_addr().ok()?.is_ipv4() {
        let address = getsockopt(arrived, sockopt::OriginalDst).ok()?;
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        Some((ip, u16::from_be(address.sin_port)).into())
    } else {
        let address = getsockopt(arrived, sockopt::Ip6tOriginalDst).ok()?;
        let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
        Some((ip, u16::from_be(address.sin6_port)).into())
    }
}
