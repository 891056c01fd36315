//! nf_tables over netlink: puts a rule set in force in one atomic batch, reads it back, compares, locks, watches and
//! removes it. No binary runs; all of it works on a socket that was opened in the namespace meant.

mod answer;
mod batch;
mod commit;
mod compare;
mod drift;
mod error;
pub mod expr;
mod found;
pub(crate) mod lower;
pub(crate) mod ports;
mod read;
mod socket;
mod uapi;
mod watch;
mod wire;

pub use answer::Answer;
pub use drift::{Difference, Drift};
pub use error::{NftError, Refused, Step};
pub use found::describe_dump;
pub(crate) use lower::Program;
pub use socket::NfSocket;
pub use watch::{ChangedTable, Event, Process, Transactions, Watch};

use crate::{Hook, Mesh, RuleSet};

/// Whether the table is owned by the socket that writes it (`NFT_TABLE_F_OWNER` and `NFT_TABLE_F_PERSIST`, Linux 6.9).
///
/// While the socket lives, a change of the table from any other socket is refused with EPERM, also by root and also
/// as part of a larger transaction, and `nft flush ruleset` passes it over. The owner replaces it as any table: added,
/// deleted and added again in one batch. When the socket closes, the table stays with its rules, unowned; then whoever
/// may change tables may change it, replace it, or become its owner ([`adopt`]) without touching a rule. So keep the
/// socket open for as long as the lock is to hold, and compare after adopting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lock {
    /// Anyone with NET_ADMIN in the namespace may change the table.
    Off,
    /// Locked where the kernel can; [`Replaced::locked`] tells.
    #[default]
    IfAvailable,
    /// Locked, or [`NftError::LockUnavailable`].
    Required,
}

/// What [`replace`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Whether there was no table before.
    pub created: bool,
    /// Whether the table is locked by the socket that was used.
    pub locked: bool,
    /// The fingerprint now in the table's comment.
    pub fingerprint: String,
}

/// What the kernel tells of a table in one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    /// The table's comment, where ours leave their fingerprint.
    pub comment: Option<String>,
    /// Port id of the socket that owns it (compare with [`NfSocket::port`]); none when it is not locked.
    pub owner: Option<u32>,
    /// Whether it outlives its owner.
    pub persistent: bool,
    /// Whether it is switched off.
    pub dormant: bool,
}

/// A nat base chain of somebody else on a hook where ours are: it can decide before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignChain {
    /// Family as a `NFPROTO_*` number (1 inet, 2 ip, 10 ip6).
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Where it is attached.
    pub hook: Hook,
    /// Its priority: below -100 it comes before ours.
    pub priority: i32,
}

/// Where a chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChainPlace {
    /// Family as a `NFPROTO_*` number.
    pub(crate) family: u8,
    /// Its table.
    pub(crate) table: String,
    /// Its name.
    pub(crate) chain: String,
    /// Of a nat base chain on one of our hooks, the hook and the priority.
    pub(crate) nat: Option<(Hook, i32)>,
}

/// Puts `rules` in force in one atomic batch, in place of what the mesh's table held. They are in force when this
/// returns. Where a table was replaced or removed, closing the socket waits some 10 ms for the kernel to free the old
/// one: report first, close later.
///
/// # Errors
/// See [`NftError`]; whatever it is, nothing was changed.
pub fn replace(socket: &NfSocket, rules: &RuleSet, lock: Lock) -> Result<Replaced, NftError> {
    commit::replace(socket, rules, lock)
}

/// Tries `rules` without putting them in force: whether this kernel and namespace take every chain and expression.
/// It sends the whole batch without its end, so the kernel checks it and throws it away; that costs a grace period
/// (some 10 ms), more than putting it in force. Who wants the rules in force anyway calls [`replace`] and asks the
/// error whether it [is for lack of support](NftError::is_unsupported): nothing is changed then either.
///
/// # Errors
/// What [`replace`] would answer.
pub fn probe(socket: &NfSocket, rules: &RuleSet) -> Result<(), NftError> {
    commit::probe(socket, rules)
}

/// The bytes of the batch that [`replace`] sends for `rules` where there is a table already: the whole way from rules to
/// the wire without a kernel.
///
/// # Errors
/// [`NftError::Inexpressible`] where nf_tables has no such rule.
pub fn encode(rules: &RuleSet) -> Result<Vec<u8>, NftError> {
    commit::encode(rules)
}

/// Reads the mesh's table back and compares it with `rules`; `None` when nothing differs.
///
/// # Errors
/// See [`NftError`].
pub fn compare(socket: &NfSocket, rules: &RuleSet) -> Result<Option<Drift>, NftError> {
    compare::compare(socket, &Program::new(rules)?)
}

/// [`replace`] for rules that are lowered already and a table that was looked for.
pub(crate) fn put(
    socket: &NfSocket,
    program: &Program<'_>,
    there: bool,
    lock: Lock,
) -> Result<Replaced, NftError> {
    commit::put(socket, program, there, lock)
}

/// [`compare`] for rules that are lowered already.
pub(crate) fn compare_program(socket: &NfSocket, program: &Program<'_>) -> Result<Option<Drift>, NftError> {
    compare::compare(socket, program)
}

/// The comment of the mesh's table, `None` when there is no table (or it has no comment).
///
/// # Errors
/// See [`NftError`].
pub fn fingerprint(socket: &NfSocket, mesh: Mesh) -> Result<Option<String>, NftError> {
    Ok(state(socket, mesh)?.and_then(|state| state.comment))
}

/// Fingerprint, owner and flags of the mesh's table, `None` when there is no table.
///
/// # Errors
/// See [`NftError`].
pub fn state(socket: &NfSocket, mesh: Mesh) -> Result<Option<TableState>, NftError> {
    read::table(socket, &mesh.table_name())
}

/// The number of the last transaction on any table of the socket's namespace. Whoever made it and whatever it changed,
/// it raised the number by one (`nf_tables_commit`, net/netfilter/nf_tables_api.c), so what was read at a number is
/// what there is for as long as the number stays. One thing happens without a transaction: a locked table loses its
/// owner when the owner's socket closes (`nft_rcv_nl_event`).
///
/// # Errors
/// See [`NftError`].
pub fn generation(socket: &NfSocket) -> Result<u32, NftError> {
    read::generation(socket)
}

/// Takes over a table that lost its owner, without touching its rules. `false` when the table is not there or was
/// never locked.
///
/// # Errors
/// [`NftError::Locked`] when another socket owns it.
pub fn adopt(socket: &NfSocket, mesh: Mesh) -> Result<bool, NftError> {
    commit::adopt(socket, mesh)
}

/// Removes the mesh's table; `false` when there was none. Other tables are not touched.
///
/// # Errors
/// [`NftError::Locked`] when another socket owns it.
pub fn remove(socket: &NfSocket, mesh: Mesh) -> Result<bool, NftError> {
    commit::remove(socket, mesh)
}

/// Removes an inet table that a mesh's own set-up made; `false` when there was none.
pub(crate) fn remove_foreign(socket: &NfSocket, table: &str) -> Result<bool, NftError> {
    commit::remove_table(socket, table.into())
}

/// Deletes the first rule of this name from the mesh's table, as somebody who tampers with it would: watching and
/// repairing are demonstrated, measured and tested with it. `false` when there is no such rule.
///
/// # Errors
/// [`NftError::Locked`] when another socket owns the table.
pub fn delete_rule(socket: &NfSocket, mesh: Mesh, name: &str) -> Result<bool, NftError> {
    commit::delete_rule(socket, mesh, name)
}

/// Every chain of every table, whoever made it.
pub(crate) fn chain_places(socket: &NfSocket) -> Result<Vec<ChainPlace>, NftError> {
    read::chain_places(socket)
}

/// The nat base chains of other tables on our hooks, in every family. One with a lower priority decides first for a
/// connection; iptables' own (nft variant) have ours, -100, and come in the order of their creation. Those that accept
/// and have no rules are left out.
///
/// # Errors
/// See [`NftError`].
pub fn foreign_nat_chains(socket: &NfSocket) -> Result<Vec<ForeignChain>, NftError> {
    Ok(read::chain_places(socket)?.iter().filter_map(ChainPlace::foreign).collect())
}
