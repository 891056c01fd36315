//! Tells of changes as they happen: the kernel multicasts every object a transaction touched, and at its end who did
//! it. A repair follows within the time of one read; nothing polls.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::sockopt;

use super::uapi::{attr, family, msg, nfnl};
use super::wire::Messages;
use super::{NfSocket, NftError};
use crate::Mesh;

/// Room for the notes of a large transaction; where the kernel grants less, [`Event::Overflow`] tells of it.
const ROOM: usize = 1 << 20;
/// Tables named in one event; a transaction over more is told by these.
const MOST_TABLES: usize = 64;

/// The process that changed something, as the kernel saw it when it did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Its id in the host's process id namespace; 0 where the kernel did not tell.
    pub pid: u32,
    /// Its name (`comm`), which the process may have chosen itself.
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
        /// The tables it touched, each once.
        tables: Vec<ChangedTable>,
        /// Who did it.
        by: Process,
        /// Netlink port of the socket that did it: compare with [`NfSocket::port`] to know one's own changes.
        port: u32,
    },
    /// Changes came faster than they were read and some are lost: look again.
    Overflow,
}

/// A subscription to changes of nf_tables in one network namespace.
#[derive(Debug)]
pub struct Watch {
    socket: NfSocket,
    transactions: Transactions,
    buffer: Vec<u8>,
}

impl Watch {
    /// Subscribes in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`NftError::Open`], also without CAP_NET_ADMIN in the namespace.
    pub fn open(mesh: Mesh) -> Result<Self, NftError> {
        let socket = NfSocket::with_groups(1 << (nfnl::GROUP_NFTABLES - 1))?;
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, ROOM)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, ROOM));
        Ok(Self { socket, transactions: Transactions::new(mesh), buffer: Vec::new() })
    }

    /// From now on another mesh's table is ours.
    pub(crate) fn follow(&mut self, mesh: Mesh) {
        self.transactions.table = mesh.table_name();
    }

    /// The next event, `None` when there is none yet: poll the descriptor for reading, then read until `None`.
    ///
    /// # Errors
    /// [`NftError::Receive`].
    pub fn next_event(&mut self) -> Result<Option<Event>, NftError> {
        loop {
            if let Some(event) = self.transactions.events.pop_front() {
                return Ok(Some(event));
            }
            self.buffer.clear();
            match self.socket.receive(&mut self.buffer) {
                Ok(true) => self.transactions.hear(&self.buffer),
                Ok(false) => {
                    // Most watches hear nothing for days, and there is one for each pod.
                    self.buffer = Vec::new();
                    return Ok(None);
                }
                // Either the kernel had no room for a note, or one was larger than any it writes.
                Err(NftError::Receive { source: Errno::NOBUFS | Errno::MSGSIZE }) => {
                    self.transactions.open = Transaction::default();
                    return Ok(Some(Event::Overflow));
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Notes gathered into transactions.
#[derive(Debug)]
pub struct Transactions {
    table: String,
    open: Transaction,
    events: VecDeque<Event>,
}

#[derive(Debug, Default)]
struct Transaction {
    ours: bool,
    tables: Vec<ChangedTable>,
}

impl Transactions {
    /// Nothing heard yet.
    pub fn new(mesh: Mesh) -> Self {
        Self { table: mesh.table_name(), open: Transaction::default(), events: VecDeque::new() }
    }

    /// Takes the bytes of one note, whatever they are.
    pub fn hear(&mut self, bytes: &[u8]) {
        for message in Messages(bytes) {
            let Some(kind) = message.tables_kind() else { continue };
            if kind == msg::NEWGEN {
                let text = |kind| message.attrs().find(kind).and_then(|name| name.text());
                let pid = message.attrs().find(attr::GEN_PROC_PID).and_then(|pid| pid.be32());
                let by = Process {
                    pid: pid.unwrap_or(0),
                    name: text(attr::GEN_PROC_NAME).unwrap_or("").to_string(),
                };
                let Transaction { ours, tables } = std::mem::take(&mut self.open);
                self.events.push_back(Event::Change { ours, tables, by, port: message.port });
            } else if let Some(name) = message.attrs().find(attr::OBJECT_TABLE).and_then(|name| name.text()) {
                self.open.add(message.family(), name, &self.table);
            }
        }
    }

    /// The next whole transaction.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Transaction {
    fn add(&mut self, family: u8, name: &str, ours: &str) {
        self.ours |= family == family::INET && name == ours;
        let known = self.tables.iter().any(|table| table.family == family && table.name == name);
        if !known && self.tables.len() < MOST_TABLES {
            self.tables.push(ChangedTable { family, name: name.to_string() });
        }
    }
}
