//! Network namespaces as pods have them, without names: they go with the process that holds them, whatever happens.

use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use meshward_redirect::net::InterfaceName;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::NfSocket;
use meshward_redirect::rtnl::RouteSocket;

/// How long the kernel may take to clear namespaces away.
const CLEARED_WITHIN: Duration = Duration::from_secs(30);

/// A namespace that nobody has touched, its loopback interface up as a runtime leaves it.
pub(crate) struct Pod {
    /// Where it can be opened like a file of /run/netns.
    path: PathBuf,
    namespace: NetNs,
    /// The lock on our rules, where there is one.
    socket: Option<NfSocket>,
}

impl Pod {
    pub(crate) fn new() -> Result<Self> {
        let namespace = NetNs::create().context("these measures need root")?;
        let mut route = namespace.run(RouteSocket::open)??;
        let loopback = route.link("lo")?;
        let _ = route.link_up(&loopback)?;
        let path = format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()).into();
        Ok(Self { path, namespace, socket: None })
    }

    pub(crate) fn many(count: usize) -> Result<Vec<Self>> {
        (0..count).map(|_| Self::new()).collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// Keeps a socket as long as the namespace.
    pub(crate) fn keep(&mut self, socket: Option<NfSocket>) {
        self.socket = socket;
    }

    pub(crate) fn socket(&self) -> Option<&NfSocket> {
        self.socket.as_ref()
    }
}

/// Gives namespaces back and waits until the kernel has cleared them away, which it does in the background and would
/// do during the next measure.
pub(crate) fn clear(pods: Vec<Pod>) -> Result<()> {
    let (here, last) = (NetNs::create()?, NetNs::create()?);
    let mut route = here.run(RouteSocket::open)??;
    let name = |text: &str| text.parse::<InterfaceName>().context("interface name");
    route.add_veth(&name("here")?, &name("last")?, &last)?;
    drop(pods);
    drop(last);
    let deadline = Instant::now() + CLEARED_WITHIN;
    // The other end of a pair goes when its namespace does, and namespaces go in the order they were given back.
    while route.link("here").is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
