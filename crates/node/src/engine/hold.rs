//! One namespace in our hands: everything that is done in it, or on sockets of it, by calls that block. The async side
//! moves this value to a thread for each piece of work and gets it back.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use meshward_redirect::RuleSet;
use meshward_redirect::dialect::{self, InvalidOption, Surroundings};
use meshward_redirect::keep::Keeper;
use meshward_redirect::net::Family;
use meshward_redirect::netns::{EnterNetNs, GuardError, NetNs, NetNsId, OpenNetNs, guard_and};
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
    /// From the one time that the namespace was entered to look whose it is, until they are used: each time takes a
    /// thread, and on a busy node its turn.
    route: Option<RouteSocket>,
    gate: Option<OwnedFd>,
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
        let (route, gate) = guard_and(&namespace, &expected, gate::socket)?;
        Ok(Self { namespace, expected, keeper: None, route: Some(route), gate: gate.ok() })
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
    pub(super) fn bind_gate(&mut self) -> Result<UnixListener, OpenGate> {
        match self.gate.take().map(gate::listen) {
            Some(Ok(listener)) => Ok(listener),
            // Inside it can be told who has the name.
            Some(Err(_)) | None => gate::bind(&self.namespace),
        }
    }

    /// Programs, reads back, locks, and listens for changes from then on.
    pub(super) fn put(&mut self, wish: &Wish, lock: program::Options, now: String) -> Result<Put, HoldError> {
        let start = Instant::now();
        let again = self.keeper.is_some();
        let (rules, done, ways_out) = self.write(wish, lock)?;
        let took = start.elapsed();
        let place = Place { addresses: &self.expected, ways_out: &ways_out, wait: wish.wait };
        let (fingerprint, proofs) = (rules.fingerprint(), gate::proofs(&rules, place));
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

    /// The rules that come of a wish here, in force, with what was done for that and the families that have a way out.
    fn write(&mut self, wish: &Wish, lock: Options) -> Result<(RuleSet, Programmed, Vec<Family>), HoldError> {
        let rules = |addresses: &[IpAddr]| {
            dialect::build(wish.mesh, &wish.settings, Surroundings::of(addresses)).map(|built| built.rules)
        };
        if let Some(keeper) = &mut self.keeper {
            let look = || Ok::<_, RouteError>((RouteSocket::open()?.global_addresses()?, gate::ways_out()));
            let (addresses, ways_out) = self.namespace.run(look)??;
            let rules = rules(&addresses)?;
            let done = keeper.replace(rules.clone())?;
            return Ok((rules, done, ways_out));
        }
        let addresses = match self.route.take() {
            Some(mut route) => route.global_addresses()?,
            None => self.namespace.run(|| RouteSocket::open()?.global_addresses())??,
        };
        let rules = rules(&addresses)?;
        let options = Options { expect_ips: self.expected.clone(), ..lock };
        let (keeper, done, ways_out) =
            Keeper::start_and(self.namespace.clone(), rules.clone(), options, gate::ways_out)?;
        self.keeper = Some(keeper);
        Ok((rules, done, ways_out))
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
