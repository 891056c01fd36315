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
use crate::nft::{Event, NfSocket, Process, Watch};
use crate::program::{self, Drift, Options, ProgramError, Programmed, Target};
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
        Ok((Self { namespace, rules, options, socket, watch }, done))
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
                Event::Overflow => look = true,
                Event::Change { ours: true, by: process, port, .. } if Some(port) != own => {
                    look = true;
                    by.get_or_insert(process);
                }
                Event::Change { .. } => {}
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
