//! What has to hold before anything is written in a namespace. Rules in the wrong network cut off a node or somebody
//! else's pod, so the namespace must not be the node's or our own, and must hold the pod's address when that is known.

use std::net::IpAddr;

use super::{EnterNetNs, NetNs, NetNsId, identity};
use crate::rtnl::{RouteError, RouteSocket};

/// Why a namespace must not be written to.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The node's namespace, or the one this program runs in.
    #[error(
        "refused: {namespace} is the network namespace of {whose}, not a pod's (does the pod use hostNetwork?)"
    )]
    HostNamespace {
        /// Path and identity.
        namespace: String,
        /// Whose it is.
        whose: &'static str,
    },
    /// Not the expected pod's.
    #[error(
        "refused: {namespace} holds none of the pod's addresses {}: found {}",
        list(expected),
        list(found)
    )]
    OtherPod {
        /// Path and identity.
        namespace: String,
        /// The pod's addresses.
        expected: Vec<IpAddr>,
        /// The addresses that are there, loopback and link-local ones left out.
        found: Vec<IpAddr>,
    },
    /// The namespace could not be looked at.
    #[error(transparent)]
    Enter(#[from] EnterNetNs),
    /// Its addresses could not be read.
    #[error(transparent)]
    Addresses(#[from] RouteError),
}

/// Refuses the node's namespace and our own; with `expected` addresses also every namespace that holds none of them.
/// Where `/proc/1` is not readable (another user's), only our own namespace is compared.
pub fn guard(namespace: &NetNs, expected: &[IpAddr]) -> Result<(), GuardError> {
    if expected.is_empty() { refuse_own(namespace) } else { guard_and(namespace, expected, || ()).map(drop) }
}

/// The same, and `open` runs in the namespace, which is entered once for both. What `open` did there has to be undone by
/// dropping its result, since the guard may still refuse. With it comes the routing socket that the guard has used.
///
/// # Errors
/// As [`guard`].
pub fn guard_and<T: Send>(
    namespace: &NetNs,
    expected: &[IpAddr],
    open: impl FnOnce() -> T + Send,
) -> Result<(RouteSocket, T), GuardError> {
    refuse_own(namespace)?;
    let (socket, opened) = namespace.run(|| (RouteSocket::open(), open()))?;
    let mut socket = socket?;
    expect_addresses(namespace, &mut socket, expected)?;
    Ok((socket, opened))
}

/// Refuses the node's namespace and our own.
pub(crate) fn refuse_own(namespace: &NetNs) -> Result<(), GuardError> {
    let known = [("/proc/1/ns/net", "the host (process 1)"), ("/proc/self/ns/net", "this program")];
    for (path, whose) in known {
        if id_of(path) == Some(namespace.id()) {
            return Err(GuardError::HostNamespace { namespace: namespace.to_string(), whose });
        }
    }
    Ok(())
}

/// Refuses a namespace, whose socket this is, that holds none of the `expected` addresses.
pub(crate) fn expect_addresses(
    namespace: &NetNs,
    socket: &mut RouteSocket,
    expected: &[IpAddr],
) -> Result<(), GuardError> {
    if expected.is_empty() {
        return Ok(());
    }
    let all = socket.addresses()?;
    if all.iter().any(|own| expected.contains(&own.address)) {
        return Ok(());
    }
    let found = all.iter().filter(|own| own.is_global()).map(|own| own.address).collect();
    Err(GuardError::OtherPod { namespace: namespace.to_string(), expected: expected.to_vec(), found })
}

fn id_of(path: &str) -> Option<NetNsId> {
    rustix::fs::stat(path).ok().as_ref().map(identity)
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}
