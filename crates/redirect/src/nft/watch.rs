//! Tells of changes.

use std::os::fd::{AsFd, BorrowedFd};

use super::{NfSocket, NftError};
use crate::Mesh;

/// The process that changed something, as the kernel saw it when it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id, 0 where the kernel did not tell or the process is not in our process id namespace.
    pub pid: u32,
    /// Its name (`comm`).
    pub name: String,
}

/// A table that was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedTable {
    /// Its family as a `NFPROTO_*` number (1 inet, 2 ip, 10 ip6).
    pub family: u8,
    /// Its name.
    pub name: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One transaction was committed.
    Change {
        /// Whether it touched the watched mesh's table.
        ours: bool,
        /// Every table it touched.
        tables: Vec<ChangedTable>,
        /// Who did it.
        by: Process,
        /// Netlink port of the socket that did it: compare with [`NfSocket::port`].
        port: u32,
    },
    /// Changes came faster than they were read and some are lost: look again.
    Overflow,
}

/// A subscription to changes of nf_tables in one network namespace.
#[derive(Debug)]
pub struct Watch {
    socket: NfSocket,
    table: String,
}

impl Watch {
    /// Subscribes in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NftError::Open`].
    pub fn open(mesh: Mesh) -> Result<Self, NftError> {
        Ok(Self { socket: NfSocket::open()?, table: mesh.table_name() })
    }

    /// The next event, `None` when there is none yet: poll the descriptor for reading.
    ///
    /// # Errors
    /// [`NftError::Receive`].
    pub fn next_event(&mut self) -> Result<Option<Event>, NftError> {
        todo!("{}", self.table)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
