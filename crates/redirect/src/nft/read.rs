//! Asking the kernel what it holds, in few system calls: a table is one question with one answer, chains and rules
//! are one dump each.

use rustix::io::Errno;

use super::error::NftError;
use super::found::{Found, FoundChain, decode_set};
use super::lower::{Base, Set};
use super::socket::{DATAGRAM, NfSocket};
use super::uapi::{attr, family, hook, msg, nl, table_flag};
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

/// The number of the namespace's last transaction.
pub(super) fn generation(socket: &NfSocket) -> Result<u32, NftError> {
    let asked = "the generation";
    let sequence = socket.take_sequence(1);
    let mut out = Writer::with_capacity(32);
    let head = Head { family: family::UNSPEC, ..Head::tables(msg::GETGEN, 0, sequence) };
    out.message(head, |_| {});
    let mut question = [Question::new(sequence, false, asked)];
    let mut heard = Heard::default();
    ask(socket, &out, &mut question, &mut heard)?;
    question[0].check()?;
    Messages(&heard.bytes)
        .filter(|message| message.sequence == sequence && message.tables_kind() == Some(msg::NEWGEN))
        .find_map(|message| message.attrs().find(attr::GEN_ID)?.be32())
        .ok_or(NftError::NoAnswer { asked })
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

/// Reads a whole table, again if it changes meanwhile, and shows it with its anonymous sets in their places, and how
/// many messages were too many to be kept. A table that is not there shows as an empty one.
pub(super) fn look<T>(
    socket: &NfSocket,
    table: &str,
    see: impl FnOnce(&Found<'_>, usize) -> T,
) -> Result<T, NftError> {
    for _ in 0..ATTEMPTS {
        // One allocation for a usual table: its 12 KiB, and room for a last datagram.
        let mut heard = Heard { bytes: Vec::with_capacity(DATAGRAM * 3 / 2), dropped: 0 };
        let there = read_chains(socket, table, &mut heard)?;
        if there {
            read_rules(socket, table, &mut heard)?;
        }
        let mut found = Found::decode(&heard.bytes, table);
        let (mut heard_sets, mut sets) = (Heard::default(), Vec::new());
        for name in found.set_names() {
            // A set that is gone by now means that the generation has changed too.
            match read_set(socket, table, &name, &mut heard_sets) {
                Ok(set) => sets.push((name, set)),
                Err(NftError::Read { source: Errno::NOENT, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if is_consistent(Messages(&heard.bytes).chain(Messages(&heard_sets.bytes))) {
            found.resolve_sets(&sets);
            return Ok(see(&found, heard.dropped + heard_sets.dropped));
        }
    }
    Err(NftError::Unstable { table: table.to_string(), attempts: ATTEMPTS })
}

/// Whether everything was read from one generation of the rules.
fn is_consistent<'a>(messages: impl Iterator<Item = Message<'a>>) -> bool {
    let mut generation = None;
    messages.filter(|message| message.tables_kind().is_some()).all(|message| {
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

/// Every chain of every table.
pub(super) fn chain_places(socket: &NfSocket) -> Result<Vec<ChainPlace>, NftError> {
    let sequence = socket.take_sequence(1);
    let mut out = Writer::with_capacity(32);
    let head = Head { family: family::UNSPEC, ..Head::tables(msg::GETCHAIN, nl::F_DUMP, sequence) };
    out.message(head, |_| {});
    let mut question = [Question::new(sequence, true, "the chains")];
    let mut heard = Heard::default();
    ask(socket, &out, &mut question, &mut heard)?;
    question[0].check()?;
    Ok(Messages(&heard.bytes).filter_map(|message| place(&message)).collect())
}

fn place(message: &Message<'_>) -> Option<ChainPlace> {
    let FoundChain { table, name, base, .. } = FoundChain::decode(message)?;
    // One without rules decides nothing; iptables leaves such behind.
    let rules = message.attrs().find(attr::CHAIN_USE).and_then(|rules| rules.be32());
    let decides = |base: &Base<'_>| rules != Some(0) || base.policy != ACCEPT;
    let nat = base.filter(|base| base.kind == "nat" && decides(base)).and_then(|base| match base.hook {
        hook::PREROUTING => Some((Hook::Prerouting, base.priority)),
        hook::OUTPUT => Some((Hook::Output, base.priority)),
        _ => None,
    });
    Some(ChainPlace { family: message.family(), table: table.into(), chain: name.into(), nat })
}

impl ChainPlace {
    /// The chain as one that can decide before ours: nat, on one of our hooks, in a table of somebody else.
    pub(crate) fn foreign(&self) -> Option<ForeignChain> {
        let Self { family, table, chain, nat } = self;
        let (hook, priority) = (*nat)?;
        let mine = *family == family::INET && Mesh::ALL.iter().any(|mesh| mesh.table_name() == *table);
        let ip = matches!(*family, family::INET | family::IPV4 | family::IPV6);
        (ip && !mine).then(|| ForeignChain {
            family: *family,
            table: table.clone(),
            chain: chain.clone(),
            hook,
            priority,
        })
    }
}
