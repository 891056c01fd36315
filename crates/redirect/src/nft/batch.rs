//! One transaction as one buffer. Every message has its own sequence number, which is all a refusal names, so the
//! number leads back to the rule.

use super::error::Step;
use super::expr::ANONYMOUS_SET;
use super::lower::{Base, Program, ProgramChain, ProgramRule, Set};
use super::uapi::{attr, msg, nfnl, nl, set_flag, udata};
use super::wire::{Head, Writer};
use crate::render::nft as text;

/// `inet_service` among nft's data types (nftables include/datatype.h); only nft itself reads it.
const PORT_TYPE: u32 = 13;
/// Elements in one message: the length of a list is told in 16 bits.
pub(crate) const ELEMENTS_AT_ONCE: usize = 1000;

/// How a batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Creates the table and fails if it is there: no deletion, and so none of its cost.
    Create,
    /// Replaces the table, there or not: added, deleted, added.
    Replace,
}

/// What the message at a place of the batch is about.
#[derive(Debug, Clone, Copy)]
enum About {
    Batch,
    Table,
    Chain(usize),
    Rule(usize, usize),
}

/// A transaction, ready to be sent.
#[derive(Debug)]
pub(crate) struct Batch {
    out: Writer,
    first: u32,
    about: Vec<About>,
    last_start: usize,
    sets: u32,
}

impl Batch {
    /// Opens a batch whose first message has this sequence number.
    fn begin(first: u32, capacity: usize, messages: usize) -> Self {
        let out = Writer::with_capacity(capacity);
        let mut batch = Self { out, first, about: Vec::with_capacity(messages), last_start: 0, sets: 0 };
        batch.push(About::Batch, |sequence| Head::batch(nfnl::BATCH_BEGIN, sequence), |_| {});
        batch
    }

    /// The whole table of a program, to be created or replaced; `commit` false leaves the end off, so the kernel
    /// checks everything and throws it away (`NFNL_ABORT_VALIDATE`, net/netfilter/nfnetlink.c).
    pub(crate) fn program(program: &Program<'_>, first: u32, start: Start, flags: u32, commit: bool) -> Self {
        let messages = program.messages() as usize;
        let mut batch = Self::begin(first, 1024 + messages * 512, messages);
        if start == Start::Replace {
            batch.table(msg::NEWTABLE, nl::F_CREATE, &program.table, None, 0);
            batch.table(msg::DELTABLE, 0, &program.table, None, 0);
        }
        let exclusive = if start == Start::Create { nl::F_EXCL } else { 0 };
        batch.table(msg::NEWTABLE, nl::F_CREATE | exclusive, &program.table, Some(&program.comment), flags);
        for (at, chain) in program.chains.iter().enumerate() {
            batch.chain(&program.table, at, chain);
        }
        for (at, chain) in program.chains.iter().enumerate() {
            for (place, rule) in chain.rules.iter().enumerate() {
                batch.rule(&program.table, &chain.name, (at, place), rule);
            }
        }
        batch.finish(commit)
    }

    /// A batch of one message about a table.
    pub(crate) fn of_table(kind: u16, table: &str, first: u32, flags: u32) -> Self {
        let mut batch = Self::begin(first, 256, 3);
        batch.table(kind, 0, table, None, flags);
        batch.finish(true)
    }

    /// A batch that deletes one rule; its refusals are about the table, because the owner of that is what can refuse.
    pub(crate) fn delete_rule(table: &str, chain: &str, handle: &[u8], first: u32) -> Self {
        let mut batch = Self::begin(first, 256, 3);
        let head = |sequence| Head::tables(msg::DELRULE, 0, sequence);
        batch.push(About::Table, head, |out| {
            out.text(attr::RULE_TABLE, table);
            out.text(attr::RULE_CHAIN, chain);
            out.attr(attr::RULE_HANDLE, handle);
        });
        batch.finish(true)
    }

    /// Asks for an answer to the last message before the end: refusals before it come first, so its answer is the
    /// last one. (An answer to the end itself is given only since Linux 6.10.)
    fn finish(mut self, commit: bool) -> Self {
        self.out.add_flags(self.last_start, nl::F_ACK);
        if commit {
            self.push(About::Batch, |sequence| Head::batch(nfnl::BATCH_END, sequence), |_| {});
        }
        self
    }

    fn push(&mut self, about: About, head: impl FnOnce(u32) -> Head, body: impl FnOnce(&mut Writer)) {
        let sequence = self.first.wrapping_add(self.about.len() as u32);
        self.last_start = self.out.as_bytes().len();
        self.out.message(head(sequence), body);
        self.about.push(about);
    }

    fn table(&mut self, kind: u16, mode: u16, table: &str, comment: Option<&str>, flags: u32) {
        let head = |sequence| Head::tables(kind, mode, sequence);
        self.push(About::Table, head, |out| {
            out.text(attr::TABLE_NAME, table);
            if flags != 0 {
                out.be32(attr::TABLE_FLAGS, flags);
            }
            if let Some(comment) = comment {
                user_comment(out, attr::TABLE_USERDATA, comment);
            }
        });
    }

    fn chain(&mut self, table: &str, at: usize, chain: &ProgramChain<'_>) {
        let head = |sequence| Head::tables(msg::NEWCHAIN, nl::F_CREATE, sequence);
        self.push(About::Chain(at), head, |out| {
            out.text(attr::CHAIN_TABLE, table);
            out.text(attr::CHAIN_NAME, &chain.name);
            if let Some(Base { kind, hook, priority, policy }) = &chain.base {
                out.nested(attr::CHAIN_HOOK, |out| {
                    out.be32(attr::HOOK_NUM, *hook);
                    out.be32(attr::HOOK_PRIORITY, *priority as u32);
                });
                out.be32(attr::CHAIN_POLICY, *policy);
                out.text(attr::CHAIN_TYPE, kind);
            }
            if let Some(comment) = chain.comment {
                user_comment(out, attr::CHAIN_USERDATA, comment);
            }
        });
    }

    fn rule(&mut self, table: &str, chain: &str, place: (usize, usize), rule: &ProgramRule<'_>) {
        let about = About::Rule(place.0, place.1);
        let first_set = self.sets;
        for set in &rule.sets {
            self.set(about, table, set);
        }
        let head = |sequence| Head::tables(msg::NEWRULE, nl::F_CREATE | nl::F_APPEND, sequence);
        self.push(about, head, |out| {
            out.text(attr::RULE_TABLE, table);
            out.text(attr::RULE_CHAIN, chain);
            out.nested(attr::RULE_EXPRESSIONS, |out| {
                for expr in &rule.exprs {
                    expr.encode(out, first_set);
                }
            });
            user_comment(out, attr::RULE_USERDATA, &rule.comment);
        });
    }

    fn set(&mut self, about: About, table: &str, set: &Set) {
        let id = self.sets;
        self.sets += 1;
        let head = |sequence| Head::tables(msg::NEWSET, nl::F_CREATE, sequence);
        self.push(about, head, |out| {
            out.text(attr::SET_TABLE, table);
            out.text(attr::SET_NAME, ANONYMOUS_SET);
            out.be32(attr::SET_FLAGS, set.flags);
            out.be32(attr::SET_KEY_TYPE, PORT_TYPE);
            out.be32(attr::SET_KEY_LEN, 2);
            out.be32(attr::SET_ID, id);
            out.nested(attr::SET_DESC, |out| out.be32(attr::SET_DESC_SIZE, set.kernel_size()));
        });
        for (chunk, elements) in set.elements.chunks(ELEMENTS_AT_ONCE).enumerate() {
            let head = |sequence| Head::tables(msg::NEWSETELEM, nl::F_CREATE, sequence);
            let last = (chunk + 1) * ELEMENTS_AT_ONCE >= set.elements.len();
            self.push(about, head, |out| {
                out.text(attr::ELEMENTS_TABLE, table);
                out.text(attr::ELEMENTS_SET, ANONYMOUS_SET);
                out.be32(attr::ELEMENTS_SET_ID, id);
                out.nested(attr::ELEMENTS_LIST, |out| {
                    for (place, element) in elements.iter().enumerate() {
                        let open = set.is_interval() && last && place + 1 == elements.len() && !element.end;
                        out.nested(attr::LIST_ELEM, |out| {
                            if element.end {
                                out.be32(attr::ELEMENT_FLAGS, set_flag::ELEMENT_INTERVAL_END);
                            }
                            out.nested(attr::ELEMENT_KEY, |out| {
                                out.attr(attr::DATA_VALUE, element.key.as_bytes());
                            });
                            if open {
                                // Tells nft's listing that the interval goes up to the highest port.
                                let [a, b, c, d] = 1u32.to_ne_bytes();
                                out.attr(attr::ELEMENT_USERDATA, &[udata::ELEMENT_FLAGS, 4, a, b, c, d]);
                            }
                        });
                    }
                });
            });
        }
    }

    /// The bytes to send.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.out.as_bytes()
    }

    /// Sequence number of the first message.
    pub(crate) fn first(&self) -> u32 {
        self.first
    }

    /// How many sequence numbers it takes; those of a program are known only when it is written.
    pub(crate) fn len(&self) -> u32 {
        self.about.len() as u32
    }

    /// What the message with this sequence number is about.
    pub(crate) fn step(&self, sequence: u32, program: Option<&Program<'_>>, table: &str) -> Step {
        let place = sequence.wrapping_sub(self.first) as usize;
        let table = table.to_string();
        match (self.about.get(place), program) {
            (Some(About::Table), _) => Step::Table { table },
            (Some(About::Chain(at)), Some(program)) => {
                Step::Chain { table, chain: program.chains[*at].name.clone() }
            }
            (Some(About::Rule(at, place)), Some(program)) => {
                let chain = &program.chains[*at];
                let lowered = &chain.rules[*place];
                Step::Rule {
                    chain: chain.name.clone(),
                    rule: lowered.rule.name.to_string(),
                    text: text::rule_text(lowered.kind, lowered.rule),
                }
            }
            _ => Step::Batch,
        }
    }
}

impl Set {
    pub(crate) fn is_interval(&self) -> bool {
        self.flags & set_flag::INTERVAL != 0
    }

    /// The size nft announces: of an interval set, its boundaries and the end that an open interval lacks.
    fn kernel_size(&self) -> u32 {
        let open = self.is_interval() && self.elements.last().is_some_and(|last| !last.end);
        self.elements.len() as u32 + u32::from(open)
    }
}

/// A comment as nft stores it.
fn user_comment(out: &mut Writer, kind: u16, comment: &str) {
    let length = (comment.len() + 1).min(255) as u8;
    let text = &comment.as_bytes()[..usize::from(length) - 1];
    out.attr_parts(kind, &[&[udata::COMMENT, length], text, &[0]]);
}
