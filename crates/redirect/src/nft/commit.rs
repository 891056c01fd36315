//! Sending batches and understanding refusals.

use rustix::io::Errno;

use super::answer::Answer;
use super::batch::{Batch, Start};
use super::error::{NftError, Refused, Step};
use super::lower::Program;
use super::read;
use super::socket::NfSocket;
use super::uapi::{msg, table_flag};
use super::{Lock, Replaced, TableState};
use crate::{Mesh, RuleSet};

const LOCKED: u32 = table_flag::OWNER | table_flag::PERSIST;

/// See [`super::replace`].
pub(super) fn replace(socket: &NfSocket, rules: &RuleSet, lock: Lock) -> Result<Replaced, NftError> {
    let program = Program::new(rules)?;
    let there = read::table(socket, &program.table)?.is_some();
    put(socket, &program, there, lock)
}

/// Puts a program in force; `there` is whether its table was there when somebody looked.
pub(super) fn put(
    socket: &NfSocket,
    program: &Program<'_>,
    there: bool,
    lock: Lock,
) -> Result<Replaced, NftError> {
    // Looking first is cheap. Deleting a table costs the kernel a grace period, and the caller the wait for it when
    // the socket closes; a new namespace must not pay that.
    let mut start = if there { Start::Replace } else { Start::Create };
    let mut flags = if lock == Lock::Off { 0 } else { LOCKED };
    loop {
        let refused = match commit_program(socket, program, start, flags) {
            Ok(()) => {
                let (created, locked) = (start == Start::Create, flags != 0);
                return Ok(Replaced { created, locked, fingerprint: program.comment.clone() });
            }
            Err(NftError::Refused(refused)) => refused,
            Err(other) => return Err(other),
        };
        let on_table = matches!(refused.step, Step::Table { .. });
        match refused.errno {
            // Somebody made the table after we looked.
            Errno::EXIST if on_table && start == Start::Create => start = Start::Replace,
            Errno::PERM if on_table => return Err(locked_error(socket, program.table.clone())),
            // Before Linux 5.12 there are no owners, before 6.9 owned tables die with their owner.
            Errno::OPNOTSUPP | Errno::INVAL if on_table && flags != 0 => match lock {
                Lock::Required => return Err(NftError::LockUnavailable { table: program.table.clone() }),
                _ => flags = 0,
            },
            _ => return Err(refused.into()),
        }
    }
}

/// See [`super::probe`].
pub(super) fn probe(socket: &NfSocket, rules: &RuleSet) -> Result<(), NftError> {
    let program = Program::new(rules)?;
    let first = socket.take_sequence(program.messages());
    let batch = Batch::program(&program, first, Start::Replace, 0, false);
    match commit(socket, &batch, Some(&program), &program.table) {
        Err(NftError::Refused(refused)) if is_locked(&refused) => Err(locked_error(socket, program.table)),
        other => other,
    }
}

/// See [`super::encode`].
pub(super) fn encode(rules: &RuleSet) -> Result<Vec<u8>, NftError> {
    let program = Program::new(rules)?;
    Ok(Batch::program(&program, 1, Start::Replace, 0, true).as_bytes().to_vec())
}

/// See [`super::remove`].
pub(super) fn remove(socket: &NfSocket, mesh: Mesh) -> Result<bool, NftError> {
    remove_table(socket, mesh.table_name())
}

/// Removes an inet table by its name; `false` when there was none.
pub(super) fn remove_table(socket: &NfSocket, table: String) -> Result<bool, NftError> {
    if read::table(socket, &table)?.is_none() {
        return Ok(false);
    }
    let batch = Batch::of_table(msg::DELTABLE, &table, socket.take_sequence(3), 0);
    match commit(socket, &batch, None, &table) {
        Ok(()) => Ok(true),
        // Somebody else removed it after we looked.
        Err(NftError::Refused(refused)) if refused.errno == Errno::NOENT => Ok(false),
        Err(NftError::Refused(refused)) if is_locked(&refused) => Err(locked_error(socket, table)),
        Err(other) => Err(other),
    }
}

/// See [`super::adopt`].
pub(super) fn adopt(socket: &NfSocket, mesh: Mesh) -> Result<bool, NftError> {
    let table = mesh.table_name();
    match read::table(socket, &table)? {
        Some(TableState { owner: Some(owner), .. }) if owner == socket.port()? => return Ok(true),
        Some(TableState { persistent: true, .. }) => {}
        _ => return Ok(false),
    }
    let batch = Batch::of_table(msg::NEWTABLE, &table, socket.take_sequence(3), LOCKED);
    match commit(socket, &batch, None, &table) {
        Ok(()) => Ok(true),
        Err(NftError::Refused(refused)) if is_locked(&refused) => Err(locked_error(socket, table)),
        Err(other) => Err(other),
    }
}

/// See [`super::delete_rule`].
pub(super) fn delete_rule(socket: &NfSocket, mesh: Mesh, name: &str) -> Result<bool, NftError> {
    let table = mesh.table_name();
    let Some((chain, handle)) = read::locate_rule(socket, &table, name)? else { return Ok(false) };
    let batch = Batch::delete_rule(&table, &chain, &handle, socket.take_sequence(3));
    match commit(socket, &batch, None, &table) {
        Ok(()) => Ok(true),
        // Somebody else removed it after we looked.
        Err(NftError::Refused(refused)) if refused.errno == Errno::NOENT => Ok(false),
        Err(NftError::Refused(refused)) if is_locked(&refused) => Err(locked_error(socket, table)),
        Err(other) => Err(other),
    }
}

fn is_locked(refused: &Refused) -> bool {
    refused.errno == Errno::PERM && matches!(refused.step, Step::Table { .. })
}

fn locked_error(socket: &NfSocket, table: String) -> NftError {
    let owner = read::table(socket, &table).ok().flatten().and_then(|state| state.owner);
    NftError::Locked { table, owner }
}

fn commit_program(
    socket: &NfSocket,
    program: &Program<'_>,
    start: Start,
    flags: u32,
) -> Result<(), NftError> {
    let first = socket.take_sequence(program.messages());
    let batch = Batch::program(program, first, start, flags, true);
    commit(socket, &batch, Some(program), &program.table)
}

/// Sends a batch and reads all answers to it, so that none is left for the next question.
fn commit(
    socket: &NfSocket,
    batch: &Batch,
    program: Option<&Program<'_>>,
    table: &str,
) -> Result<(), NftError> {
    socket.send(batch.as_bytes())?;
    let mut bytes = Vec::new();
    let mut overrun = None;
    loop {
        match socket.receive(&mut bytes) {
            Ok(true) => {}
            Ok(false) => break,
            // Refusals repeat what they refuse and can be more than the receive buffer holds; the first are there.
            Err(NftError::Receive { source: Errno::NOBUFS }) if overrun.is_none() => {
                overrun = Some(Errno::NOBUFS);
            }
            Err(error) => return Err(error),
        }
    }
    let answer = Answer::parse(&bytes, batch.first(), batch.len());
    match (answer.refusals.first(), answer.acknowledged, overrun) {
        (Some((place, errno)), _, _) => Err(NftError::Refused(Refused {
            step: batch.step(batch.first().wrapping_add(*place), program, table),
            errno: Errno::from_raw_os_error(*errno),
            others: answer.refusals.len() - 1,
        })),
        (None, true, _) => Ok(()),
        (None, false, Some(source)) => Err(NftError::Receive { source }),
        (None, false, None) => Err(NftError::NoAnswer { asked: "a change" }),
    }
}
