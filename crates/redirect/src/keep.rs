//! Keeps rules in force: programs them once, listens to every change of the namespace's tables, and repairs what
//! somebody else changed. Whoever keeps rules (the agent, `meshward program --watch`, the demo) waits on
//! [`Keeper::descriptor`] and calls [`Keeper::react`]; nothing here waits or knows the time.
//!
//! ```text
//! nf_tables notes ─► react ─► ours, by somebody else (or notes lost)? ─► check ─► drift? ─► program ─► Repair
//! caller's timer ──► recheck ──────────────────────────────────────────────┘
//! ```

use std::os::fd::{AsFd, BorrowedFd};

use crate::netns::NetNs;
use crate::nft::{self, Event, NfSocket, Process, Watch};
use crate::program::{self, Drift, Options, ProgramError, Programmed, Removed, Target};
use crate::ruleset::RuleSet;

/// Rules being kept in force in one namespace.
#[derive(Debug)]
pub struct Keeper {
    namespace: NetNs,
    rules: RuleSet,
    options: Options,
    /// The socket that holds the lock of our table; none with the iptables backends.
    socket: Option<NfSocket>,
    /// None where nf_tables cannot be listened to; then only [`Keeper::recheck`] finds changes.
    watch: Option<Watch>,
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
    /// Puts `rules` in force, listening first so that no change after it is missed.
    ///
    /// # Errors
    /// As [`program::program`].
    pub fn start(
        namespace: NetNs,
        rules: RuleSet,
        options: Options,
    ) -> Result<(Self, Programmed), ProgramError> {
        // Without nf_tables there is nothing to listen to: that is what `recheck` is for.
        let watch = namespace.run(|| Watch::open(rules.mesh))?.ok();
        let mut done = program::program(&namespace, &rules, &options)?;
        let socket = done.socket.take();
        // What was checked once stays so: the namespace is held by its descriptor, and a pod that ends loses its
        // addresses before it loses its rules.
        let options = Options { expect_ips: Vec::new(), ..options };
        Ok((Self { namespace, rules, options, socket, watch, elsewhere: false }, done))
    }

    /// The rules that are kept.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Puts other rules in force in place of those that are kept, in one step where both are of the same mesh; else the
    /// old ones go once the new ones are in force.
    ///
    /// # Errors
    /// As [`program::program`]. Where the error says that the new rules are in force, they are the ones that are kept.
    pub fn replace(&mut self, rules: RuleSet) -> Result<Programmed, ProgramError> {
        let former = self.rules.mesh;
        let other_mesh = rules.mesh != former;
        let watch = if other_mesh { self.namespace.run(|| Watch::open(rules.mesh))?.ok() } else { None };
        let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
        let done = program::program(target, &rules, &self.options);
        let in_force =
            matches!(done, Ok(_) | Err(ProgramError::LeftOver { .. } | ProgramError::NotAsMeant { .. }));
        if in_force && other_mesh {
            self.watch = watch;
        }
        if in_force {
            self.rules = rules;
        }
        let mut done = done?;
        if let Some(socket) = done.socket.take() {
            self.socket = Some(socket);
        }
        if other_mesh {
            let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
            program::cleanup(target, Some(former), &self.options)
                .map_err(|cause| ProgramError::LeftOver { cause: Box::new(cause) })?;
        }
        Ok(done)
    }

    /// Takes away every rule of ours, of whatever mesh. Dropping what is left of this value can take some 11 ms, while
    /// the kernel frees the rules.
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
    /// of iptables rules or of routing.
    ///
    /// # Errors
    /// As [`program::program`].
    pub fn recheck(&mut self) -> Result<Option<Repair>, ProgramError> {
        self.repair(None)
    }

    fn repair(&mut self, by: Option<Process>) -> Result<Option<Repair>, ProgramError> {
        let target = Target { namespace: &self.namespace, socket: self.socket.as_ref() };
        let Some(drift) = program::check(target, &self.rules, &self.options)? else { return Ok(None) };
        let mut done = program::program(target, &self.rules, &self.options)?;
        if let Some(socket) = done.socket.take() {
            self.socket = Some(socket);
        }
        Ok(Some(Repair { by, drift }))
    }
}
