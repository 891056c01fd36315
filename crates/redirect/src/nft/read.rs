//! Asking the kernel what it holds, in few system calls: a table is one question with one answer, chains and rules
//! are one dump each.

use rustix::io::Errno;

use super::error::NftError;
use super::found::{Found, FoundChain, decode_set};
use super::lower::Set;
use super::socket::{DATAGRAM, NfSocket};
use super::uapi::{attr, family, msg, nl, table_flag};
use super::wire::{Head, Message, Messages, Writer};
use super::{ChainPlace, ForeignChain, TableState};
use crate::{Hook, Mesh};

/// How often a table that changes under our eyes is read again.
const ATTEMPTS: u32 = 5;
/// More of a dump than this is counted, not kept: whoever fills our table must not fill our memory.
const MOST_BYTES: usize = 8 << 20;

/// A question and how its answer ends.
#[derive(Debug)]
struct Question {
    sequence: u32,
    dump: bool,
    asked: &'static str,
    end: Option<Result<(), Errno>>,
}

impl Question {
    fn new(sequence: u32, dump: bool, asked: &'static str) -> Self {
        Self { sequence, dump, asked, end: None }
    }

    /// Takes notice of one message.
    fn hear(&mut self, message: &Message<'_>) {
        if message.sequence != self.sequence || self.end.is_some() {
            return;
        }
        self.end = match message.error() {
            Some(0) => Some(Ok(())),
            Some(errno) => Some(Err(Errno::from_raw_os_error(errno))),
            // A dump that failed on the way says so in its last message, as a negative errno.
            None if message.kind == nl::DONE => Some(done_status(message)),
            None if self.dump => None,
            None => Some(Ok(())),
        };
    }

    fn result(&self) -> Result<(), Errno> {
        self.end.unwrap_or(Ok(()))
    }

    fn check(&self) -> Result<(), NftError> {
        self.result().map_err(|source| NftError::Read { asked: self.asked, source })
    }
}

fn done_status(message: &Message<'_>) -> Result<(), Errno> {
    let code = message.body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if code < 0 { Err(Errno::from_raw_os_error(code.checked_neg().unwrap_or(i32::MAX))) } else { Ok(()) }
}

/// Everything that came in answer, and what was left out.
#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    dropped: usize,
}

/// Sends questions and reads until each is answered.
fn ask(
    socket: &NfSocket,
    out: &Writer,
    questions: &mut [Question],
    heard: &mut Heard,
) -> Result<(), NftError> {
    socket.send(out.as_bytes())?;
    while let Some(open) = questions.iter().find(|question| question.end.is_none()) {
        let asked = open.asked;
        let before = heard.bytes.len();
        if !socket.receive(&mut heard.bytes)? {
            // Without the privilege only the first of several questions is answered (nfnetlink_rcv).
            questions.iter().try_for_each(Question::check)?;
            return Err(NftError::NoAnswer { asked });
        }
        for message in Messages(&heard.bytes[before..]) {
            questions.iter_mut().for_each(|question| question.hear(&message));
        }
        if heard.bytes.len() > MOST_BYTES {
            heard.dropped += Messages(&heard.bytes[before..]).count();
            heard.bytes.truncate(before);
        }
    }
    Ok(())
}

fn get_table(out: &mut Writer, sequence: u32, table: &str) {
    out.message(Head::tables(msg::GETTABLE, 0, sequence), |out| out.text(attr::TABLE_NAME, table));
}

/// One table's state.
pub(super) fn table(socket: &NfSocket, table: &str) -> Result<Option<TableState>, NftError> {
    let sequence = socket.take_sequence(1);
    let mut out = Writer::with_capacity(64);
    get_table(&mut out, sequence, table);
    let mut question = [Question::new(sequence, false, "a table")];
    let mut heard = Heard::default();
    ask(socket, &out, &mut question, &mut heard)?;
    if question[0].result() == Err(Errno::NOENT) {
        return Ok(None);
    }
    question[0].check()?;
    Ok(Found::decode(&heard.bytes, table).state.map(TableState::from))
}

impl From<super::found::FoundTable<'_>> for TableState {
    fn from(found: super::found::FoundTable<'_>) -> Self {
        Self {
            comment: found.comment.map(str::to_string),
            owner: found.owner,
            persistent: found.flags & table_flag::PERSIST != 0,
            dormant: found.flags & table_flag::DORMANT != 0,
        }
    }
}

/// A table as the kernel holds it, in bytes to be decoded, with its anonymous sets.
#[derive(Debug)]
pub(super) struct Snapshot {
    heard: Heard,
    sets: Vec<(String, Set)>,
}

impl Snapshot {
    /// Decodes it; the sets of lookups are put in their places.
    pub(super) fn found<'a>(&'a self, table: &str) -> Found<'a> {
        let mut found = Found::decode(&self.heard.bytes, table);
        found.resolve_sets(&self.sets);
        found
    }

    /// How many messages of the dumps were not kept.
    pub(super) fn dropped(&self) -> usize {
        self.heard.dropped
    }
}

/// Reads a whole table, again if it changes meanwhile. A table that is not there gives an empty snapshot.
pub(super) fn snapshot(socket: &NfSocket, table: &str) -> Result<Snapshot, NftError> {
    for _ in 0..ATTEMPTS {
        // One allocation for a usual table: its 12 KiB, and room for a last datagram.
        let mut heard = Heard { bytes: Vec::with_capacity(DATAGRAM * 3 / 2), dropped: 0 };
        let there = read_chains(socket, table, &mut heard)?;
        if there {
            read_rules(socket, table, &mut heard)?;
        }
        let mut sets = Vec::new();
        let names = Found::decode(&heard.bytes, table).set_names();
        for name in names {
            // A set that is gone by now means that the generation has changed too.
            match read_set(socket, table, &name, &mut heard) {
                Ok(set) => sets.push((name, set)),
                Err(NftError::Read { source: Errno::NOENT, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if is_consistent(&heard.bytes) {
            return Ok(Snapshot { heard, sets });
        }
    }
    Err(NftError::Unstable { table: table.to_string(), attempts: ATTEMPTS })
}

/// Whether everything was read from one generation of the rules.
fn is_consistent(bytes: &[u8]) -> bool {
    let mut generation = None;
    Messages(bytes).filter(|message| message.tables_kind().is_some()).all(|message| {
        let same = *generation.get_or_insert(message.generation()) == message.generation();
        same && message.flags & nl::F_DUMP_INTR == 0
    })
}

/// The table and every chain of family inet, in one question; whether the table is there.
fn read_chains(socket: &NfSocket, table: &str, heard: &mut Heard) -> Result<bool, NftError> {
    let first = socket.take_sequence(2);
    let mut out = Writer::with_capacity(128);
    get_table(&mut out, first, table);
    out.message(Head::tables(msg::GETCHAIN, nl::F_DUMP, first + 1), |_| {});
    let mut questions =
        [Question::new(first, false, "a table"), Question::new(first + 1, true, "the chains")];
    ask(socket, &out, &mut questions, heard)?;
    questions[1].check()?;
    if questions[0].result() == Err(Errno::NOENT) {
        return Ok(false);
    }
    questions[0].check().map(|()| true)
}

/// Where the first rule of this name stands: its chain and its handle, as the kernel numbers it.
pub(super) fn locate_rule(
    socket: &NfSocket,
    table: &str,
    name: &str,
) -> Result<Option<(String, Vec<u8>)>, NftError> {
    let mut heard = Heard::default();
    match read_rules(socket, table, &mut heard) {
        Err(NftError::Read { source: Errno::NOENT, .. }) => return Ok(None),
        other => other?,
    }
    Ok(Messages(&heard.bytes)
        .filter(|message| message.family() == family::INET && message.tables_kind() == Some(msg::NEWRULE))
        .find_map(|message| {
            let attrs = || message.attrs();
            let here = attrs().find(attr::RULE_TABLE)?.text()? == table
                && super::found::comment(attrs().find(attr::RULE_USERDATA)?)? == name;
            let handle = attrs().find(attr::RULE_HANDLE)?.data.to_vec();
            here.then_some((attrs().find(attr::RULE_CHAIN)?.text()?.to_string(), handle))
        }))
}

fn read_rules(socket: &NfSocket, table: &str, heard: &mut Heard) -> Result<(), NftError> {
    let sequence = socket.take_sequence(1);
    let mut out = Writer::with_capacity(64);
    out.message(Head::tables(msg::GETRULE, nl::F_DUMP, sequence), |out| out.text(attr::RULE_TABLE, table));
    let mut question = [Question::new(sequence, true, "the rules")];
    ask(socket, &out, &mut question, heard)?;
    question[0].check()
}

/// Flags and elements of one set; its messages go to `heard` only as far as their generation counts.
fn read_set(socket: &NfSocket, table: &str, name: &str, heard: &mut Heard) -> Result<Set, NftError> {
    let first = socket.take_sequence(2);
    let mut out = Writer::with_capacity(192);
    out.message(Head::tables(msg::GETSET, 0, first), |out| {
        out.text(attr::SET_TABLE, table);
        out.text(attr::SET_NAME, name);
    });
    out.message(Head::tables(msg::GETSETELEM, nl::F_DUMP, first + 1), |out| {
        out.text(attr::ELEMENTS_TABLE, table);
        out.text(attr::ELEMENTS_SET, name);
    });
    let mut questions =
        [Question::new(first, false, "a set"), Question::new(first + 1, true, "the elements of a set")];
    let before = heard.bytes.len();
    ask(socket, &out, &mut questions, heard)?;
    questions.iter().try_for_each(Question::check)?;
    Ok(decode_set(&heard.bytes[before..]))
}

/// `NF_ACCEPT` (linux/netfilter.h)
const ACCEPT: u32 = 1;

/// Base chains of type nat in other tables than ours, on our hooks, unless they let everything pass.
pub(super) fn foreign_nat_chains(socket: &NfSocket) -> Result<Vec<ForeignChain>, NftError> {
    let ours: Vec<String> = Mesh::ALL.iter().map(|mesh| mesh.table_name()).collect();
    all_chains(socket, |message| foreign(message, &ours))
}

/// Every chain of every table.
pub(super) fn chain_places(socket: &NfSocket) -> Result<Vec<ChainPlace>, NftError> {
    all_chains(socket, |message| {
        let chain = FoundChain::decode(message)?;
        Some(ChainPlace { family: message.family(), table: chain.table.into(), chain: chain.name.into() })
    })
}

fn all_chains<T>(socket: &NfSocket, read: impl Fn(&Message<'_>) -> Option<T>) -> Result<Vec<T>, NftError> {
    let sequence = socket.take_sequence(1);
    let mut out = Writer::with_capacity(32);
    let head = Head { family: family::UNSPEC, ..Head::tables(msg::GETCHAIN, nl::F_DUMP, sequence) };
    out.message(head, |_| {});
    let mut question = [Question::new(sequence, true, "the chains")];
    let mut heard = Heard::default();
    ask(socket, &out, &mut question, &mut heard)?;
    question[0].check()?;
    Ok(Messages(&heard.bytes).filter_map(|message| read(&message)).collect())
}

fn foreign(message: &Message<'_>, ours: &[String]) -> Option<ForeignChain> {
    let chain = FoundChain::decode(message)?;
    let base = chain.base?;
    let hook = match base.hook {
        super::uapi::hook::PREROUTING => Hook::Prerouting,
        super::uapi::hook::OUTPUT => Hook::Output,
        _ => return None,
    };
    let mine = message.family() == family::INET && ours.iter().any(|table| table == chain.table);
    let ip = matches!(message.family(), family::INET | family::IPV4 | family::IPV6);
    // One without rules decides nothing; iptables leaves such behind.
    let rules = message.attrs().find(attr::CHAIN_USE).and_then(|rules| rules.be32());
    let idle = rules == Some(0) && base.policy == ACCEPT;
    (base.kind == "nat" && ip && !mine && !idle).then(|| ForeignChain {
        family: message.family(),
        table: chain.table.to_string(),
        chain: chain.name.to_string(),
        hook,
        priority: base.priority,
    })
}
