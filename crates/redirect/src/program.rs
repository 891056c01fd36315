//! Puts a rule set in force in a network namespace, checks it and takes it away again, whatever the kernel offers.
//! This is the one door for agents and the command line: guards, routing, rules, read-back and the removal of what
//! would stand in the way happen here in the one right order.
//!
//! ```text
//! guard ─► survey (one thread enters) ─► backend ─► as asked already? ─yes─► no write
//!                                                          │no
//!        routing and addresses ─► rules, atomically ─► read back ─► stale routing, other backends' and older rules go
//! ```

mod backend;
mod cleanup;
mod older;
mod outcome;
mod routing;
mod survey;

use std::net::IpAddr;

use crate::iptables::{Iptables, IptablesError, Ours, Variant};
use crate::netns::{EnterNetNs, GuardError, NetNs};
use crate::nft::{self, Lock, NfSocket, NftError, Refused};
use crate::rtnl::RouteError;
use crate::ruleset::{Mesh, RuleSet};

use backend::{Chosen, choose};
use cleanup::{Sweep, Swept};
use survey::{Needed, Survey};

pub use backend::{Backend, Unusable, usable};
pub use cleanup::{Removed, cleanup};
pub use older::{Fate, Older};
pub(crate) use outcome::foreign_chains;
pub use outcome::{Drift, LockState, Programmed, RulesDrift};
pub use routing::RoutingItem;
pub(crate) use routing::{missing as missing_routing, wanted as routing_of};

/// How often a table is written that somebody changes before it is read back.
const WRITE_ATTEMPTS: usize = 3;

/// How rules are put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which way into the kernel.
    pub backend: Backend,
    /// Whether our table is locked (nft only).
    pub lock: Lock,
    /// Addresses of the pod: the namespace must hold one of them. None: not checked.
    pub expect_ips: Vec<IpAddr>,
    /// Whether rules that the mesh's own set-up left are removed once ours are in force.
    pub remove_older: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { backend: Backend::Auto, lock: Lock::default(), expect_ips: Vec::new(), remove_older: true }
    }
}

/// The namespace to work on. A plain [`NetNs`] will do; whoever holds the lock of our table there has to bring the
/// socket that holds it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The namespace.
    pub namespace: &'a NetNs,
    /// An nf_tables socket of that namespace, as an earlier [`Programmed`] brought it.
    pub socket: Option<&'a NfSocket>,
}

impl<'a> From<&'a NetNs> for Target<'a> {
    fn from(namespace: &'a NetNs) -> Self {
        Self { namespace, socket: None }
    }
}

/// Why rules could not be put in force, checked or removed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The namespace must not be written to.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterNetNs),
    /// nf_tables refused; what was in force before is.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The iptables programs failed; what was in force before is, unless the error says otherwise.
    #[error(transparent)]
    Iptables(#[from] IptablesError),
    /// Addresses, routes or policy rules failed.
    #[error(transparent)]
    Routing(#[from] RouteError),
    /// Nothing works here.
    #[error("no backend works in network namespace {namespace}: {}", reasons.join("; "))]
    NoBackend {
        /// Path and identity.
        namespace: String,
        /// What each one said.
        reasons: Vec<String>,
    },
    /// Somebody else changes our table as soon as it is written: our rules are in force, with these changes.
    #[error("the rules that are in force are not those that were written (who else writes?): {drift}")]
    NotAsMeant {
        /// What differs.
        drift: Box<nft::Drift>,
    },
    /// The new rules are in force, but not everything that should have gone with the old ones is gone.
    #[error("the rules are in force, but what they replace could not all be removed: {cause}")]
    LeftOver {
        /// The error.
        cause: Box<ProgramError>,
    },
    /// After an error the routing that had been added could not be removed.
    #[error("{cause}; removing what had been added for it failed as well: {failure}")]
    NotUndone {
        /// The error.
        cause: Box<ProgramError>,
        /// The second one.
        failure: RouteError,
    },
}

impl ProgramError {
    /// What nf_tables refused, where that is the cause.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            ProgramError::Nft(NftError::Refused(refused)) => Some(refused),
            ProgramError::NotUndone { cause, .. } => cause.refused(),
            _ => None,
        }
    }

    /// Whether the rules that were to be put in force are, all the same.
    pub(crate) fn leaves_new_rules(&self) -> bool {
        matches!(self, ProgramError::NotAsMeant { .. } | ProgramError::LeftOver { .. })
    }
}

/// Puts `rules` in force in `namespace`, unless they are. On an error what was in force before stays, except for
/// [`ProgramError::LeftOver`] and [`ProgramError::NotAsMeant`], where the new rules are.
pub fn program<'a>(
    target: impl Into<Target<'a>>,
    rules: &RuleSet,
    options: &Options,
) -> Result<Programmed, ProgramError> {
    program_and(target.into(), rules, options, || ()).map(|(done, ())| done)
}

/// The same, and `open` runs in the namespace before anything is done there, where it is entered anyway.
pub(crate) fn program_and<T: Send>(
    target: Target<'_>,
    rules: &RuleSet,
    options: &Options,
    open: impl FnOnce() -> T + Send,
) -> Result<(Programmed, T), ProgramError> {
    let namespace = target.namespace;
    let items = routing::wanted(rules);
    let needed = Needed { route: !items.is_empty(), legacy: true };
    let (mut survey, opened) = Survey::and(target, &options.expect_ips, needed, open)?;
    let former = survey.table(rules.mesh);
    let chosen = choose(namespace, &survey, options.backend)?;
    let added = if items.is_empty() { Vec::new() } else { routing::add(survey.route()?, &items)? };
    let written = match &chosen {
        Chosen::Nft => write_nft(&survey, rules, options.lock, former.as_ref()),
        Chosen::Iptables(iptables) => write_iptables(iptables, namespace, rules),
    };
    let (changed, lock) = match written {
        Ok(written) => written,
        // Our rules are in force then, changed by somebody: they keep their routing.
        Err(cause @ ProgramError::NotAsMeant { .. }) => return Err(cause),
        Err(cause) => return Err(undo(&mut survey, &added, cause)),
    };
    let mut settle = || {
        let sweep = Sweep {
            namespace,
            mesh: rules.mesh,
            backend: chosen.backend(),
            former: former.is_some(),
            earlier_routing: added.len() < items.len() || items.iter().any(RoutingItem::is_policy),
        };
        let Swept { older, chains } = sweep.run(&mut survey, &items, options.remove_older)?;
        let foreign = match &chosen {
            Chosen::Nft => outcome::foreign_chains(&chains),
            Chosen::Iptables(iptables) => iptables.foreign_rules(namespace, rules.mesh)?,
        };
        Ok((older, foreign))
    };
    let (older, foreign) = settle().map_err(|cause| ProgramError::LeftOver { cause: Box::new(cause) })?;
    let backend = chosen.backend();
    let socket = survey.into_opened().filter(|_| backend == Backend::Nft);
    Ok((Programmed { backend, changed, routing: added, lock, foreign, older, socket }, opened))
}

fn undo(survey: &mut Survey<'_>, added: &[RoutingItem], cause: ProgramError) -> ProgramError {
    // What was added was added through this socket.
    match survey.opened_route().map_or(Ok(()), |route| routing::remove(route, added)) {
        Ok(()) => cause,
        Err(failure) => ProgramError::NotUndone { cause: Box::new(cause), failure },
    }
}

fn write_iptables(
    iptables: &Iptables,
    namespace: &NetNs,
    rules: &RuleSet,
) -> Result<(bool, LockState), ProgramError> {
    Ok((iptables.replace(namespace, rules)?, LockState::Open))
}

fn write_nft(
    survey: &Survey<'_>,
    rules: &RuleSet,
    lock: Lock,
    former: Option<&nft::TableState>,
) -> Result<(bool, LockState), ProgramError> {
    let socket = survey.need_nf()?;
    let program = nft::Program::new(rules)?;
    let same = former.is_some_and(|table| table.comment.as_ref() == Some(&program.comment));
    if same
        && nft::compare_program(socket, &program)?.is_none()
        && let Some(state) = keep_lock(socket, rules.mesh, lock, former)?
    {
        return Ok((false, state));
    }
    let mut attempts = 1;
    loop {
        let replaced = nft::put(socket, &program, former.is_some() || attempts > 1, lock)?;
        match nft::compare_program(socket, &program)? {
            None if replaced.locked => return Ok((true, LockState::Held)),
            None if lock == Lock::Off => return Ok((true, LockState::Open)),
            None => return Ok((true, LockState::Unavailable)),
            Some(drift) if attempts == WRITE_ATTEMPTS => {
                return Err(ProgramError::NotAsMeant { drift: Box::new(drift) });
            }
            Some(_) => attempts += 1,
        }
    }
}

/// The lock of a table that needs no write; nothing when the lock that is asked for takes one.
fn keep_lock(
    socket: &NfSocket,
    mesh: Mesh,
    lock: Lock,
    former: Option<&nft::TableState>,
) -> Result<Option<LockState>, NftError> {
    let owner = former.and_then(|table| table.owner);
    match (lock, owner) {
        (_, Some(owner)) if owner == socket.port()? => Ok(Some(LockState::Held)),
        (Lock::Off | Lock::IfAvailable, Some(_)) => Ok(Some(LockState::HeldByOther)),
        (Lock::Off, None) => Ok(Some(LockState::Open)),
        (Lock::IfAvailable, None) if nft::adopt(socket, mesh)? => Ok(Some(LockState::Held)),
        (Lock::IfAvailable, None) => Ok(Some(LockState::Open)),
        // Adopting answers with the error that says who holds it.
        (Lock::Required, _) => Ok(nft::adopt(socket, mesh)?.then_some(LockState::Held)),
    }
}

/// Whether `rules` are in force in `namespace` as they should be; `None` when nothing differs. Reads only. With
/// [`Backend::Auto`] the backend that holds rules of this mesh is looked at, whatever would be chosen for a new one.
pub fn check<'a>(
    target: impl Into<Target<'a>>,
    rules: &RuleSet,
    options: &Options,
) -> Result<Option<Drift>, ProgramError> {
    let target = target.into();
    let namespace = target.namespace;
    let items = routing::wanted(rules);
    let needed = Needed { route: !items.is_empty(), legacy: false };
    let mut survey = Survey::of(target, &options.expect_ips, needed)?;
    let (backend, differences) = rules_drift(namespace, &survey, rules, options.backend)?;
    let missing = if items.is_empty() { Vec::new() } else { routing::missing(survey.route()?, &items)? };
    let drift = Drift { backend, rules: differences, routing: missing };
    Ok((drift.rules.is_some() || !drift.routing.is_empty()).then_some(drift))
}

fn rules_drift(
    namespace: &NetNs,
    survey: &Survey<'_>,
    rules: &RuleSet,
    asked: Backend,
) -> Result<(Backend, Option<RulesDrift>), ProgramError> {
    let mut chosen = None;
    if asked == Backend::Auto {
        // Where there is a table of the mesh, its rules are. An error is told by what comes next, if anything.
        let there = survey.nf().map(|socket| nft::compare(socket, rules));
        match there.transpose().unwrap_or_default() {
            Some(Some(drift)) if drift.differences.contains(&nft::Difference::TableMissing) => {}
            Some(drift) => return Ok((Backend::Nft, drift.map(RulesDrift::Nft))),
            None => {}
        }
        chosen = iptables_in_use(namespace, survey, rules.mesh)?;
    }
    let chosen = chosen.map_or_else(|| choose(namespace, survey, asked), Ok)?;
    let differences = match &chosen {
        Chosen::Nft => nft::compare(survey.need_nf()?, rules)?.map(RulesDrift::Nft),
        Chosen::Iptables(iptables) => {
            let found = iptables.compare(namespace, rules)?;
            (!found.is_empty()).then_some(RulesDrift::Iptables(found))
        }
    };
    Ok((chosen.backend(), differences))
}

/// The iptables variant that holds chains of the mesh.
fn iptables_in_use(
    namespace: &NetNs,
    survey: &Survey<'_>,
    mesh: Mesh,
) -> Result<Option<Chosen>, ProgramError> {
    let ours = Ours::meshward(mesh);
    let chains = survey.chains()?;
    for variant in Variant::ALL {
        if survey.has_sign(variant, &chains, &ours)?
            && let Ok(iptables) = Iptables::find(variant)
            && !iptables.chains(namespace, &ours)?.is_empty()
        {
            return Ok(Some(Chosen::Iptables(iptables)));
        }
    }
    Ok(None)
}
