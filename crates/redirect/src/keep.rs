//! Keeps rules in force: programs them once, listens to every change of the namespace's tables, and repairs what
//! somebody else changed. Whoever keeps rules (the agent, `meshward program --watch`, the demo) waits on
//! [`Keeper::descriptor`] and calls [`Keeper::react`]; nothing here waits or knows the time.
//!
//! ```text
//! nf_tables notes ─► react ─► ours, by somebody else (or notes lost)? ─► check ─► drift? ─► program ─► Repair
//! caller's timer ──► recheck ─► another generation, or routing gone? ─────┘
//! ```

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd};

use crate::netns::NetNs;
use crate::nft::{self, Event, NfSocket, Process, Watch};
use crate::program::{
    self, Drift, LockState, Options, ProgramError, Programmed, Removed, RoutingItem, Target,
};
use crate::rtnl::RouteSocket;
use crate::ruleset::RuleSet;

/// Rules being kept in force in one namespace.
#[derive(Debug)]
pub struct Keeper {
    namespace: NetNs,
    rules: RuleSet,
    options: Options,
    lock: LockState,
    /// The socket that holds the lock of our table; none with the iptables backends.
    socket: Option<NfSocket>,
    /// Only opened for rules that need routing.
    route: Option<RouteSocket>,
    /// None where nf_tables cannot be listened to; then only [`Keeper::recheck`] finds changes.
    watch: Option<Watch>,
    /// The generation of nf_tables at which the rules were last read back and right.
    verified: Option<u32>,
    /// Whether tables of others were changed since somebody asked.
    elsewhere: bool,
}

/// A difference that was found and put right.
#[derive(Debug)]
pub struct Repair {
    /// Who made the change; none when it was found without a note of it.
    pub by: Option<Process>,
    /// What differed.
    pub drift: Drift,
}

impl Keeper {
    /// Puts `rules` in force, listening first so that no change after it is missed. Rules that are in force already
    /// are adopted as they are, with their lock ([`Programmed::changed`] is false then).
    ///
    /// # Errors
    /// As [`program::program`].
    pub fn start(
        namespace: NetNs,
        rules: RuleSet,
        options: Options,
    ) -> Result<(Self, Programmed), ProgramError> {
        Self::start_and(namespace, rules, options, || ()).map(|(keeper, done, ())| (keeper, done))
    }

    /// The same, and `look` runs in the namespace before anything is done there, where it is entered anyway.
    ///
    /// # Errors
    /// As [`program::program`].
    pub fn start_and<T: Send>(
        namespace: NetNs,
        rules: RuleSet,
        options: Options,
        look: impl FnOnce() -> T + Send,
    ) -> Result<(Self, Programmed, T), ProgramError> {
        // Without nf_tables there is nothing to listen to: that is what `recheck` is for.
        let listen = || (Watch::open(rules.mesh).ok(), look());
        let (mut done, (watch, looked)) =
            program::program_and(Target::from(&namespace), &rules, &options, listen)?;
        let (lock, socket) = (done.lock, done.socket.take());
        // What was checked once stays so: the namespace is held by its descriptor, and a pod that ends loses its
        // addresses before it loses its rules.
        let options = Options { expect_ips: Vec::new(), ..options };
        let keeper = Self {
            namespace,
            rules,
            options,
            lock,
            socket,
            route: None,
            watch,
            verified: None,
            elsewhere: false,
        };
        Ok((keeper, done, looked))
    }

    /// The rules that are kept.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Who may change our table, as of the last look.
    pub fn lock(&self) -> LockState {
        self.lock
    }

    /// Readable when something changed; none when changes are not told (see [`Keeper::recheck`]).
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Takes all notes there are, and repairs what somebody else changed.
    ///
    /// # Errors
    /// As [`program::program`]; the next note or [`Keeper::recheck`] tries again.
    pub fn react(&mut self) -> Result<Option<Repair>, ProgramError> {
        let own = self.socket.as_ref().map(NfSocket::port).transpose()?;
        let mut by = None;
        let mut look = false;
        while let Some(event) = self.watch.as_mut().map(Watch::next_event).transpose()?.flatten() {
            match event {
                Event::Overflow => (look, self.elsewhere) = (true, true),
                Event::Change { ours: true, by: process, port, .. } if Some(port) != own => {
                    look = true;
                    by.get_or_insert(process);
                }
                Event::Change { port, .. } => self.elsewhere |= Some(port) != own,
            }
        }
        if look { self.repair(by) } else { Ok(None) }
    }

    /// Looks without having been told: the safety net beneath [`Keeper::react`], and the only way to notice changes
    /// of iptables rules or of routing, or that whoever held the lock before us is gone.
    ///
    /// Cheap while nothing changes. Every transaction on any table raises the namespace's generation
    /// ([`nft::generation`]), so at the generation that was read back last the rules are what they were, and one
    /// question with a number for an answer replaces the read-back. The lock needs no question either, once it is
    /// ours: only closing our socket ends it. Routing has no generation, so rules that need it (TPROXY, Istio's
    /// address on `lo`) have it listed each time.
    ///
    /// # Errors
    /// As [`program::program`].
    pub fn recheck(&mut self) -> Result<Option<Repair>, ProgramError> {
        if self.is_verified()? && self.missing_routing()?.is_empty() { Ok(None) } else { self.repair(None) }
    }

    /// Puts other rules in force in place of those that are kept, in one transaction: no packet meets neither or
    /// both. Rules of another mesh come first and those before go after them.
    ///
    /// # Errors
    /// As [`program::program`]: the rules from before are in force and kept, unless the error says that the new ones
    /// are.
    pub fn replace(&mut self, rules: RuleSet) -> Result<Programmed, ProgramError> {
        self.verified = None;
        let replaced = self.put(&rules);
        if let Err(error) = &replaced
            && !error.leaves_new_rules()
        {
            return replaced;
        }
        let before = std::mem::replace(&mut self.rules, rules);
        if before.mesh != self.rules.mesh {
            if let Some(watch) = &mut self.watch {
                watch.follow(self.rules.mesh);
            }
            let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
            program::cleanup(target, Some(before.mesh), &self.options)
                .map_err(|cause| ProgramError::LeftOver { cause: Box::new(cause) })?;
        }
        replaced
    }

    /// Takes away every rule of ours, of whatever mesh, and what they needed. Drop the keeper then, off the hot path (the
    /// kernel frees the rules while its socket closes, some 11 ms); asked again, it would put them back.
    ///
    /// # Errors
    /// As [`program::cleanup`].
    pub fn remove(&self) -> Result<Removed, ProgramError> {
        let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
        program::cleanup(target, None, &self.options)
    }

    /// Whether [`Keeper::react`] heard of changes of others' tables since the last time this was asked.
    pub fn take_elsewhere(&mut self) -> bool {
        std::mem::take(&mut self.elsewhere)
    }

    /// What others have on our hooks in nf_tables and could decide before our rules, as [`Programmed::foreign`] tells
    /// it; nothing with the iptables backends.
    ///
    /// # Errors
    /// As reading the chains does.
    pub fn foreign(&self) -> Result<Vec<String>, ProgramError> {
        let chains = self.socket.as_ref().map(nft::chain_places).transpose()?;
        Ok(program::foreign_chains(&chains.unwrap_or_default()))
    }

    /// Whether what is in force in nf_tables was read back since the last change of anything there.
    fn is_verified(&self) -> Result<bool, ProgramError> {
        let (Some(socket), Some(verified)) = (&self.socket, self.verified) else { return Ok(false) };
        // Losing its owner is the one change of a table that no generation tells.
        Ok(self.lock != LockState::HeldByOther && nft::generation(socket)? == verified)
    }

    fn missing_routing(&mut self) -> Result<Vec<RoutingItem>, ProgramError> {
        let items = program::routing_of(&self.rules);
        if items.is_empty() {
            return Ok(items);
        }
        let route = match self.route.take() {
            Some(route) => route,
            None => self.namespace.run(RouteSocket::open)??,
        };
        Ok(program::missing_routing(self.route.insert(route), &items)?)
    }

    fn repair(&mut self, by: Option<Process>) -> Result<Option<Repair>, ProgramError> {
        // Asked first: what changes while the rules are read back makes it another generation.
        self.verified = self.socket.as_ref().map(nft::generation).transpose()?;
        let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
        let drift = program::check(target, &self.rules, &self.options)?;
        if drift.is_some() || self.is_orphaned()? {
            self.verified = None;
            let rules = self.rules.clone();
            self.put(&rules)?;
        }
        Ok(drift.map(|drift| Repair { by, drift }))
    }

    /// Whether somebody else held the lock and does no longer.
    fn is_orphaned(&self) -> Result<bool, ProgramError> {
        let Some(socket) = self.socket.as_ref().filter(|_| self.lock == LockState::HeldByOther) else {
            return Ok(false);
        };
        Ok(nft::state(socket, self.rules.mesh)?.is_some_and(|table| table.owner.is_none()))
    }

    fn put(&mut self, rules: &RuleSet) -> Result<Programmed, ProgramError> {
        let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
        let mut done = program::program(target, rules, &self.options)?;
        self.lock = done.lock;
        if let Some(socket) = done.socket.take() {
            self.socket = Some(socket);
        }
        Ok(done)
    }
}
