//! One namespace in our hands: everything that is done in it, or on sockets of it, by calls that block. The async side
//! moves this value to a thread for each piece of work and gets it back.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use meshward_redirect::dialect::{self, InvalidOption, Surroundings};
use meshward_redirect::keep::Keeper;
use meshward_redirect::netns::{EnterNetNs, GuardError, NetNs, NetNsId, OpenNetNs, guard};
use meshward_redirect::program::{self, Fate, LockState, Options, ProgramError, Programmed};
use meshward_redirect::rtnl::{RouteError, RouteSocket};

use super::aim::InForce;
use super::desired::Wish;
use crate::gate::{self, OpenGate, Place, Proof};

/// Why work in a namespace failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HoldError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenNetNs),
    /// It must not be touched.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// It could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterNetNs),
    /// Its addresses could not be read.
    #[error(transparent)]
    Addresses(#[from] RouteError),
    /// The options give no rules.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// The rules could not be put in force, checked or removed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its changes cannot be waited for.
    #[error("cannot watch the rules of {namespace}: {source}")]
    Watch {
        /// Path and identity.
        namespace: String,
        /// The kernel's reason.
        source: std::io::Error,
    },
}

/// A namespace that is held, with the rules that are kept in it.
#[derive(Debug)]
pub(super) struct Hold {
    namespace: NetNs,
    expected: Vec<IpAddr>,
    keeper: Option<Keeper>,
}

/// What putting rules in force came to.
#[derive(Debug)]
pub(super) struct Put {
    /// The rules.
    pub rules: InForce,
    /// What proves them.
    pub proofs: Vec<Proof>,
    /// Whether anything was written.
    pub changed: bool,
    /// Whether rules of ours were kept before.
    pub again: bool,
    /// How long it took.
    pub took: Duration,
    /// Readable when somebody changes something.
    pub changes: Option<OwnedFd>,
}

/// What looking after the rules found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What differed and was put right, and who had changed it.
    pub repaired: Option<(Option<String>, String)>,
    /// What others have on our hooks, where that may have changed.
    pub foreign: Option<Vec<String>>,
}

impl Hold {
    /// Opens the namespace at `path`, unless it must not be touched.
    pub(super) fn open(path: &Path, expected: Vec<IpAddr>) -> Result<Self, HoldError> {
        let namespace = NetNs::open(path)?;
        guard(&namespace, &expected)?;
        Ok(Self { namespace, expected, keeper: None })
    }

    /// The pod's addresses, of which the namespace has to hold one.
    pub(super) fn expect(&mut self, expected: Vec<IpAddr>) {
        self.expected = expected;
    }

    /// Path and identity.
    pub(super) fn describe(&self) -> String {
        self.namespace.to_string()
    }

    /// Whether `path` leads to this namespace.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let found = rustix::fs::stat(path).ok();
        found.map(|stat| NetNsId { device: stat.st_dev, inode: stat.st_ino }) == Some(self.namespace.id())
    }

    /// Opens the gate.
    pub(super) fn bind_gate(&self) -> Result<UnixListener, OpenGate> {
        gate::bind(&self.namespace)
    }

    /// Programs, reads back, locks, and listens for changes from then on.
    pub(super) fn put(&mut self, wish: &Wish, lock: program::Options, now: String) -> Result<Put, HoldError> {
        let start = Instant::now();
        let look = || Ok::<_, RouteError>((RouteSocket::open()?.global_addresses()?, gate::ways_out()));
        let (addresses, ways_out) = self.namespace.run(look)??;
        let surroundings = Surroundings::of(&addresses);
        let rules = dialect::build(wish.mesh, &wish.settings, surroundings)?.rules;
        let place = Place { addresses: &self.expected, ways_out: &ways_out, wait: wish.wait };
        let (fingerprint, proofs) = (rules.fingerprint(), gate::proofs(&rules, place));
        let again = self.keeper.is_some();
        let done = match &mut self.keeper {
            Some(keeper) => keeper.replace(rules)?,
            None => {
                let options = Options { expect_ips: self.expected.clone(), ..lock };
                let (keeper, done) = Keeper::start(self.namespace.clone(), rules, options)?;
                self.keeper = Some(keeper);
                done
            }
        };
        let took = start.elapsed();
        let changes = self.changes()?;
        let rules = InForce {
            identity: wish.identity.clone(),
            mesh: wish.mesh,
            fingerprint,
            backend: done.backend.to_string(),
            locked: done.lock == LockState::Held,
            adopted: !done.changed && !again,
            since: now,
            warnings: remarks(&done),
        };
        Ok(Put { rules, proofs, changed: done.changed, again, took, changes })
    }

    /// A second descriptor of the socket that changes are told at: the first one lives in the keeper.
    fn changes(&self) -> Result<Option<OwnedFd>, HoldError> {
        let descriptor = self.keeper.as_ref().and_then(Keeper::descriptor);
        descriptor
            .map(|descriptor| descriptor.try_clone_to_owned())
            .transpose()
            .map_err(|source| HoldError::Watch { namespace: self.describe(), source })
    }

    /// Removes every rule of ours. True when there was one.
    pub(super) fn clear(&mut self) -> Result<bool, HoldError> {
        let removed = match &self.keeper {
            Some(keeper) => keeper.remove()?,
            None => {
                let options = Options { expect_ips: self.expected.clone(), ..Options::default() };
                program::cleanup(&self.namespace, None, &options)?
            }
        };
        self.keeper = None;
        Ok(!removed.is_empty())
    }

    /// Takes the notes of changes, and puts right what somebody else changed.
    pub(super) fn react(&mut self) -> Result<Found, HoldError> {
        let Some(keeper) = &mut self.keeper else { return Ok(Found::default()) };
        let repaired = keeper.react()?.map(told);
        let foreign = keeper.take_elsewhere().then(|| keeper.foreign()).transpose()?;
        Ok(Found { repaired, foreign })
    }

    /// Looks without having been told.
    pub(super) fn recheck(&mut self) -> Result<Found, HoldError> {
        let Some(keeper) = &mut self.keeper else { return Ok(Found::default()) };
        Ok(Found { repaired: keeper.recheck()?.map(told), foreign: None })
    }
}

fn told(repair: meshward_redirect::keep::Repair) -> (Option<String>, String) {
    let by = repair.by.filter(|by| by.pid != 0).map(|by| {
        let name: String = by.name.chars().filter(|one| !one.is_control()).take(64).collect();
        format!("{name} (pid {})", by.pid)
    });
    (by, repair.drift.to_string().replace('\n', "; "))
}

/// What stands beside the rules.
fn remarks(done: &Programmed) -> Vec<String> {
    let older = done.older.iter().filter_map(|older| match &older.fate {
        Fate::Removed => None,
        Fate::Kept => Some(format!("older rules of the mesh are still there: {}", older.what)),
        Fate::Failed(why) => {
            Some(format!("older rules of the mesh could not be removed: {} ({why})", older.what))
        }
    });
    foreign(&done.foreign).into_iter().chain(older).collect()
}

/// Foreign chains as warnings.
pub(super) fn foreign(chains: &[String]) -> Vec<String> {
    chains
        .iter()
        .take(16)
        .map(|chain| format!("somebody else's rules could decide before ours: {chain}"))
        .collect()
}
