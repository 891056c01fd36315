//! What a unit says about itself: to the engine, and to whoever waits at the gate.

use super::super::aim::{Aim, GateState, Goal, Says};
use super::failure::Failure;
use super::{Progress, Unit};
use crate::gate::Line;
use crate::report::Happened;

/// A namespace that is not there may be gone for good; that is no failure worth telling until it lasts.
const PATIENCE: u32 = 3;
/// How often a sandbox that is new may fail before containers of an old one cannot be what still shows as running.
const MANY_ATTEMPTS: u32 = 4;

impl Unit {
    pub(super) async fn fail(&mut self, failure: Failure) {
        self.rest.retry();
        if failure.gone && self.rest.attempts() <= PATIENCE {
            return;
        }
        // Nobody is let through meanwhile, and whoever waits hears why.
        if let Some(gate) = &self.gate
            && self.state.rules.is_none()
        {
            gate.say(Line::wait(&failure.text));
            self.state.gate = GateState::Open { says: Says::Wait, reason: failure.text.clone() };
        }
        self.state.failure = Some(failure.text);
    }

    /// A pod that runs without its rules is told of once.
    pub(super) async fn tell_exposure(&mut self, goal: &Goal) {
        let refused = matches!(goal.aim, Aim::Refused { .. });
        let bare = self.state.rules.is_none() && (self.state.failure.is_some() || refused);
        let Some(exposed) = &goal.facts.exposed else { return };
        // What showed as running when a sandbox was new ran in the one before.
        let stale =
            goal.early && self.at_first.as_ref() == Some(exposed) && self.rest.attempts() < MANY_ATTEMPTS;
        if bare && !stale {
            self.tell_unredirected().await;
        }
    }

    pub(super) async fn tell_unredirected(&mut self) {
        if !std::mem::replace(&mut self.unredirected, true) {
            self.tell(Some(Happened::Unredirected)).await;
        }
    }

    pub(super) async fn tell(&mut self, happened: Option<Happened>) {
        let progress = Progress { unit: self.key.clone(), state: self.state.clone(), happened };
        // Without an engine nobody wants to know.
        let _ = self.progress.send(progress).await;
    }
}
