//! One sandbox from the first sight of it to the last: a task that goes after its goal one step at a time, keeps what it
//! has reached, and tells how it stands. What a step may be is decided in [`super::aim`]; here it is done.
//!
//! ```text
//! goal (latest wins) ─┐
//! a change of rules ──┼─► steps, on the crew's threads ─► state, and what happened ─► engine
//! retry, recheck ─────┘
//! ```

mod failure;
mod rest;
mod tell;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use meshward_redirect::program::Options;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::aim::{GateState, Goal, Says, State, Step, next};
use super::crew::Crew;
use super::hold::{Hold, HoldError, Put};
use super::index::UnitKey;
use crate::gate::{Gate, Line, OpenGate, Proof, Waited};
use crate::report::Happened;
use failure::{Failure, chain};
use rest::{Rest, Woken};

/// Steps towards one goal; more than any goal needs.
const MOST_STEPS: usize = 16;
/// What a unit tells.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) unit: UnitKey,
    pub(super) state: State,
    pub(super) happened: Option<Happened>,
}

/// How units work.
#[derive(Debug, Clone)]
pub(super) struct Ways {
    pub(super) crew: Crew,
    pub(super) options: Options,
    pub(super) recheck: watch::Receiver<Option<Duration>>,
    pub(super) waited: Waited,
    pub(super) token: CancellationToken,
}

/// A sandbox in work.
pub(super) struct Unit {
    key: UnitKey,
    goals: watch::Receiver<Goal>,
    progress: mpsc::Sender<Progress>,
    ways: Ways,
    state: State,
    path: PathBuf,
    hold: Option<Hold>,
    gate: Option<Gate>,
    proofs: Vec<Proof>,
    changes: Option<AsyncFd<OwnedFd>>,
    rest: Rest,
    /// How often the gate was found taken, one after the other.
    taken: u32,
    /// The container that showed as running when the sandbox was first seen.
    at_first: Option<String>,
    unredirected: bool,
}

impl Unit {
    pub(super) fn new(
        key: UnitKey,
        goals: watch::Receiver<Goal>,
        progress: mpsc::Sender<Progress>,
        ways: Ways,
    ) -> Self {
        let goal = goals.borrow().clone();
        Self {
            key,
            goals,
            progress,
            rest: Rest::new(ways.recheck.clone()),
            ways,
            state: State::default(),
            path: goal.located.netns.clone(),
            hold: None,
            gate: None,
            proofs: Vec::new(),
            changes: None,
            taken: 0,
            at_first: goal.facts.exposed,
            unredirected: false,
        }
    }

    /// Works until nobody has goals for it any more.
    pub(super) async fn run(mut self) {
        let token = self.ways.token.clone();
        loop {
            let goal = self.goals.borrow_and_update().clone();
            self.pursue(&goal).await;
            let woken = tokio::select! {
                biased;
                () = token.cancelled() => break,
                changed = self.goals.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => break,
                },
                woken = self.rest.wait(self.changes.as_ref()) => woken,
            };
            match woken {
                Woken::Retry if self.taken > 0 => self.state.gate = GateState::Shut,
                Woken::Retry | Woken::Settings => {}
                Woken::Changes => self.look(false).await,
                Woken::Recheck => self.look(true).await,
            }
        }
        self.end().await;
    }

    /// Steps towards the goal as far as they go, and tells.
    async fn pursue(&mut self, goal: &Goal) {
        self.state.number = goal.number;
        self.state.failure = None;
        self.follow(goal).await;
        let mut attempted = Ok(());
        for _ in 0..MOST_STEPS {
            let step = next(&goal.aim, &self.state);
            if step == Step::Rest || attempted.is_err() {
                break;
            }
            attempted = self.perform(step, goal).await;
        }
        match attempted {
            Ok(()) => {
                self.rest.keep(self.state.rules.is_some());
                match &self.state.gate {
                    GateState::Taken { .. } => self.rest.retry(),
                    _ => self.rest.done(),
                }
            }
            Err(failure) => self.fail(failure).await,
        }
        self.state.settled = true;
        self.tell_exposure(goal).await;
        self.tell(None).await;
    }

    /// Where the sandbox is said to be by now.
    async fn follow(&mut self, goal: &Goal) {
        let path = goal.located.netns.clone();
        if let Some(hold) = &mut self.hold {
            hold.expect(goal.located.ips.clone());
        }
        if path == self.path {
            return;
        }
        self.path.clone_from(&path);
        let Some(hold) = self.hold.take() else { return };
        let same = move || {
            let same = hold.is_at(&path);
            (hold, same)
        };
        match self.ways.crew.run(same).await {
            Ok((hold, true)) => self.hold = Some(hold),
            // Another namespace: nothing of what was done counts there.
            Ok((hold, false)) => self.let_go(Some(hold)).await,
            Err(_) => self.let_go(None).await,
        }
    }

    async fn perform(&mut self, step: Step, goal: &Goal) -> Result<(), Failure> {
        match step {
            Step::Rest => Ok(()),
            Step::Enter => self.enter(goal).await,
            Step::Say { says, reason } => self.say(says, reason).await,
            Step::Shut => {
                if let Some(gate) = self.gate.take() {
                    gate.close().await;
                }
                self.state.gate = GateState::Shut;
                Ok(())
            }
            Step::PutInForce(wish) => {
                let (options, now) = (self.ways.options.clone(), jiff::Timestamp::now().to_string());
                let put = self.work(move |hold| hold.put(&wish, options, now)).await;
                match put {
                    Ok(put) => self.in_force(put, goal).await,
                    Err(failure) => {
                        // Whatever is there now, it is not known to be what is wanted.
                        self.state.rules = None;
                        Err(failure)
                    }
                }
            }
            Step::TakeAway => {
                let removed = self.work(Hold::clear).await?;
                self.changes = None;
                (self.state.rules, self.state.clear) = (None, true);
                if removed {
                    self.tell(Some(Happened::Removed)).await;
                }
                Ok(())
            }
        }
    }

    async fn enter(&mut self, goal: &Goal) -> Result<(), Failure> {
        let (path, expected) = (self.path.clone(), goal.located.ips.clone());
        let opened = self.ways.crew.run(move || Hold::open(&path, expected)).await;
        let hold = opened.map_err(Failure::told)?.map_err(Failure::of)?;
        self.state.netns = Some(hold.describe());
        self.hold = Some(hold);
        Ok(())
    }

    async fn say(&mut self, says: Says, reason: String) -> Result<(), Failure> {
        let line = match says {
            Says::Wait => Line::wait(&reason),
            Says::Nothing => Line::nothing(&reason),
            Says::Ready => Line::ready(&self.proofs),
        };
        if let Some(gate) = &self.gate {
            gate.say(line);
        } else {
            match self.work(|hold| Ok(hold.bind_gate())).await? {
                Ok(listener) => {
                    let served = Gate::serve(listener, line, self.ways.waited.clone());
                    self.gate = Some(served.map_err(|error| Failure::told(error.to_string()))?);
                }
                Err(OpenGate::Taken { by }) => {
                    self.state.gate = GateState::Taken { by };
                    self.taken += 1;
                    // An agent that is being replaced holds it for a moment longer.
                    if self.taken == 2 {
                        self.tell(Some(Happened::GateTaken)).await;
                    }
                    return Ok(());
                }
                Err(error) => return Err(Failure::told(chain(&error))),
            }
        }
        self.taken = 0;
        self.state.gate = GateState::Open { says, reason };
        Ok(())
    }

    async fn in_force(&mut self, put: Put, goal: &Goal) -> Result<(), Failure> {
        let Put { rules, proofs, changed, again, took, changes } = put;
        let watched = changes.map(rest::listen).transpose();
        self.changes = watched.map_err(|error| Failure::told(format!("cannot wait for changes: {error}")))?;
        self.state.rules = Some(rules);
        self.state.clear = false;
        if self.proofs != proofs {
            self.proofs = proofs;
            // The words of an open gate are of the old rules.
            if let (Some(gate), GateState::Open { says: Says::Ready, .. }) = (&self.gate, &self.state.gate) {
                gate.say(Line::ready(&self.proofs));
            }
        }
        if changed && !again && !goal.early && goal.facts.exposed.is_some() {
            self.tell_unredirected().await;
        }
        let happened = match (changed, again) {
            (true, true) => Some(Happened::Reconfigured { took }),
            (true, false) => Some(Happened::Programmed { took }),
            (false, false) => Some(Happened::Adopted { took }),
            (false, true) => None,
        };
        if happened.is_some() {
            self.tell(happened).await;
        }
        Ok(())
    }

    /// Looks after rules that are in force: because somebody changed something, or because it is time to.
    async fn look(&mut self, unasked: bool) {
        if self.state.rules.is_none() {
            return;
        }
        let path = self.path.clone();
        let look = move |hold: &mut Hold| {
            // The path may lead to another namespace by now, or nowhere.
            let moved = unasked && !hold.is_at(&path);
            let found = if unasked { hold.recheck() } else { hold.react() };
            found.map(|found| (moved, found))
        };
        match self.work(look).await {
            Ok((true, _)) => {
                let hold = self.hold.take();
                self.let_go(hold).await;
            }
            Ok((false, found)) => {
                if let (Some(chains), Some(rules)) = (&found.foreign, &mut self.state.rules) {
                    rules.warnings = super::hold::foreign(chains);
                }
                if let Some((by, what)) = found.repaired {
                    self.state.repairs += 1;
                    self.tell(Some(Happened::Repaired { by, what })).await;
                }
            }
            Err(failure) => {
                self.state.rules = None;
                self.fail(failure).await;
            }
        }
    }

    /// Forgets a namespace that is not the sandbox's any more.
    async fn let_go(&mut self, hold: Option<Hold>) {
        self.changes = None;
        if let Some(gate) = self.gate.take() {
            gate.close().await;
        }
        // Closing the socket of replaced rules takes the kernel some 11 ms.
        if let Some(hold) = hold {
            let _ = self.ways.crew.run(move || drop(hold)).await;
        }
        self.state = State { number: self.state.number, repairs: self.state.repairs, ..State::default() };
    }

    /// Runs `work` on the namespace on a thread.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Hold) -> Result<T, HoldError> + Send + 'static,
    ) -> Result<T, Failure> {
        let Some(mut hold) = self.hold.take() else {
            self.state.netns = None;
            return Err(Failure::told("the namespace was lost".to_string()));
        };
        let done = self.ways.crew.run(move || {
            let done = work(&mut hold);
            (hold, done)
        });
        match done.await {
            Ok((hold, done)) => {
                self.hold = Some(hold);
                done.map_err(Failure::of)
            }
            Err(panicked) => {
                // It took the namespace with it: everything starts over.
                self.let_go(None).await;
                Err(Failure::told(panicked))
            }
        }
    }

    /// Closes the gate and lets go of the sockets; the rules stay.
    async fn end(mut self) {
        let hold = self.hold.take();
        self.let_go(hold).await;
    }
}
