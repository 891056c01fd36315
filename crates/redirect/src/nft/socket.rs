//! The socket to nf_tables. It belongs to the network namespace it was opened in for as long as it lives, so the
//! thread that opens it can die and everything else is done from outside of that namespace.
//!
//! The kernel handles a netfilter message inside of the sender's `send` and has queued its answer when that returns
//! (nfnetlink_rcv in net/netfilter/nfnetlink.c; the parts of a dump follow from each `recv`, netlink_recvmsg in
//! net/netlink/af_netlink.c). So nothing here waits: an answer that is not there will not come.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::error::NftError;

/// Room for one datagram. The kernel makes the parts of a dump as large as the largest read it has seen, up to
/// 32 KiB (`netlink_recvmsg`), so no read may be smaller; and a refusal repeats the refused message, of which none of
/// ours is as long.
pub(super) const DATAGRAM: usize = 32 << 10;
/// Send buffers start at net.core.wmem_default, 208 KiB unless someone changed it; longer batches need a larger one.
const SMALL_BATCH: usize = 128 << 10;

/// A netfilter netlink socket. Use it from one thread at a time: answers are read by whoever asks.
#[derive(Debug)]
pub struct NfSocket {
    fd: OwnedFd,
    sequence: AtomicU32,
}

impl NfSocket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NftError::Open`] when the kernel has no nfnetlink or the process may not open sockets.
    pub fn open() -> Result<Self, NftError> {
        Self::with_groups(0)
    }

    /// The same, listening to multicast groups (bit n - 1 for group n).
    pub(super) fn with_groups(groups: u32) -> Result<Self, NftError> {
        let open = || {
            let fd = rustix::net::socket_with(
                AddressFamily::NETLINK,
                SocketType::RAW,
                SocketFlags::CLOEXEC,
                Some(netlink::NETFILTER),
            )?;
            rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
            Ok(fd)
        };
        let fd = open().map_err(|source| NftError::Open { source })?;
        Ok(Self { fd, sequence: AtomicU32::new(1) })
    }

    /// The number by which the kernel knows this socket: owner of a locked table, cause of a change.
    ///
    /// # Errors
    /// [`NftError::Open`] when the kernel does not tell.
    pub fn port(&self) -> Result<u32, NftError> {
        let address = rustix::net::getsockname(&self.fd)
            .and_then(SocketAddrNetlink::try_from)
            .map_err(|source| NftError::Open { source })?;
        Ok(address.pid())
    }

    /// Takes `count` sequence numbers, never 0, and returns the first.
    pub(crate) fn take_sequence(&self, count: u32) -> u32 {
        let first = self.sequence.fetch_add(count, Ordering::Relaxed);
        if first.checked_add(count).is_some_and(|end| end < u32::MAX) && first != 0 {
            return first;
        }
        self.sequence.store(1 + count, Ordering::Relaxed);
        1
    }

    /// Sends one datagram whole.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), NftError> {
        if message.len() > SMALL_BATCH {
            // Past wmem_max only CAP_NET_ADMIN helps; without either, the send below says what is wrong.
            let room = message.len() * 2;
            let _ = sockopt::set_socket_send_buffer_size_force(&self.fd, room)
                .or_else(|_| sockopt::set_socket_send_buffer_size(&self.fd, room));
        }
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, message, SendFlags::empty()))
            .map(|_| ())
            .map_err(|source| NftError::Send { bytes: message.len(), source })
    }

    /// Appends the next datagram of the kernel to `answer`, padded to the alignment of messages; `false` when there
    /// is none.
    pub(super) fn receive(&self, answer: &mut Vec<u8>) -> Result<bool, NftError> {
        loop {
            answer.reserve(DATAGRAM);
            let before = answer.len();
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            match rustix::net::recvfrom(&self.fd, spare_capacity(answer), flags) {
                Ok((_, length, from)) => {
                    let got = answer.len() - before;
                    // A process with NET_ADMIN in this namespace can send to our port too; the kernel is port 0.
                    let kernel = from
                        .and_then(|from| SocketAddrNetlink::try_from(from).ok())
                        .is_some_and(|from| from.pid() == 0);
                    if !kernel {
                        answer.truncate(before);
                        continue;
                    }
                    if length > got {
                        return Err(NftError::Receive { source: Errno::MSGSIZE });
                    }
                    answer.resize(answer.len().next_multiple_of(4), 0);
                    return Ok(true);
                }
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(source) => return Err(NftError::Receive { source }),
            }
        }
    }
}

impl AsFd for NfSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
