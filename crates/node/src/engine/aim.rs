//! What one sandbox should come to, what it has come to, and the next step from the one to the other. Pure: the order of
//! the steps is what keeps a gate from opening before the rules are in force, so it is here and nowhere else.
//!
//! ```text
//! Rules:   enter ─► gate says wait ─► rules in force ─► gate says ready
//! Nothing: enter ─► gate says wait ─► rules away ─────► gate says nothing (or is shut)
//! ```

use std::sync::Arc;

use meshward_redirect::Mesh;

use super::desired::{Facts, Wish};
use crate::located::Located;

/// What a sandbox should come to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Aim {
    /// As it is.
    Leave,
    /// Nothing but a gate that says why it is shut.
    Wait {
        /// Why.
        reason: String,
    },
    /// These rules, and an open gate.
    Rules(Arc<Wish>),
    /// No rules.
    Nothing {
        /// Why.
        reason: String,
        /// Whether anybody may ask at the gate.
        gate: bool,
        /// Whether there may be rules of ours from before.
        clear: bool,
    },
    /// What is asked for is invalid: what is in force stays, nothing more comes, and the gate says why.
    Refused {
        /// What is wrong.
        message: String,
    },
}

/// An aim with what else the work needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Goal {
    /// Grows with each change of the aim.
    pub number: u64,
    /// The aim.
    pub aim: Aim,
    /// What is told, and changes no rule.
    pub facts: Facts,
    /// Where the sandbox is.
    pub located: Arc<Located>,
    /// Whether it was seen before any of its containers could run.
    pub early: bool,
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Not yet.
    Wait,
    /// Start, there are no rules.
    Nothing,
    /// Start, the rules are in force.
    Ready,
}

/// The gate of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum GateState {
    /// Not opened.
    #[default]
    Shut,
    /// Listening.
    Open {
        /// What it says.
        says: Says,
        /// The reason behind it.
        reason: String,
    },
    /// Somebody else in the pod has its name.
    Taken {
        /// Who, as far as that can be told.
        by: String,
    },
}

/// Rules that are in force and proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// [`Wish::identity`] of what was wanted.
    pub identity: String,
    /// Whose rules.
    pub mesh: Mesh,
    /// What names them in the kernel.
    pub fingerprint: String,
    /// The way into the kernel that was used.
    pub backend: String,
    /// Whether others are locked out of the table.
    pub locked: bool,
    /// Whether they were found rather than written.
    pub adopted: bool,
    /// When (RFC 3339, UTC).
    pub since: String,
    /// What others have on the same hooks, and what the mesh's own set-up left.
    pub warnings: Vec<String>,
}

/// What a sandbox has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The goal that this is about.
    pub number: u64,
    /// Whether nothing is left to do for it, or nothing that can be done now.
    pub settled: bool,
    /// Path and identity of the namespace, once it was entered.
    pub netns: Option<String>,
    /// The gate.
    pub gate: GateState,
    /// The rules.
    pub rules: Option<InForce>,
    /// Whether it is certain that no rules of ours are there.
    pub clear: bool,
    /// What stands in the way.
    pub failure: Option<String>,
    /// How often somebody else's change was put right.
    pub repairs: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Open the namespace and check whose it is.
    Enter,
    /// Open the gate if it is shut, and say this.
    Say {
        /// What.
        says: Says,
        /// Why.
        reason: String,
    },
    /// Close the gate.
    Shut,
    /// Program, read back, lock, keep.
    PutInForce(Arc<Wish>),
    /// Remove our rules.
    TakeAway,
    /// Nothing to do.
    Rest,
}

/// The next step towards `aim`.
pub(super) fn next(aim: &Aim, state: &State) -> Step {
    if state.netns.is_none() && !is_idle(aim) {
        return Step::Enter;
    }
    match aim {
        Aim::Leave => Step::Rest,
        Aim::Wait { reason } => say(state, Says::Wait, reason),
        Aim::Refused { message } => say(state, Says::Wait, message),
        Aim::Rules(wish) => match &state.rules {
            Some(rules) if rules.identity == wish.identity => say(state, Says::Ready, ""),
            // Rules that are in force stay so until the new ones are: the gate need not change its mind.
            None if state.gate == GateState::Shut || opened(state) => {
                Step::Say { says: Says::Wait, reason: "the rules are being put in force".into() }
            }
            _ => Step::PutInForce(Arc::clone(wish)),
        },
        Aim::Nothing { reason, gate, clear } => {
            if state.rules.is_some() || (*clear && !state.clear) {
                return match &state.gate {
                    GateState::Open { says: Says::Ready, .. } => {
                        Step::Say { says: Says::Wait, reason: "the rules are being taken away".into() }
                    }
                    _ => Step::TakeAway,
                };
            }
            match (gate, &state.gate) {
                (true, _) => say(state, Says::Nothing, reason),
                (false, GateState::Shut | GateState::Taken { .. }) => Step::Rest,
                (false, GateState::Open { .. }) => Step::Shut,
            }
        }
    }
}

/// Whether there is nothing to do in a namespace that was never entered.
pub(super) fn is_idle(aim: &Aim) -> bool {
    matches!(aim, Aim::Leave | Aim::Nothing { gate: false, clear: false, .. })
}

/// Whether the gate lets anybody through.
fn opened(state: &State) -> bool {
    matches!(&state.gate, GateState::Open { says: Says::Ready | Says::Nothing, .. })
}

fn say(state: &State, says: Says, reason: &str) -> Step {
    match &state.gate {
        GateState::Taken { .. } => Step::Rest,
        GateState::Open { says: now, reason: why } if *now == says && why == reason => Step::Rest,
        _ => Step::Say { says, reason: reason.to_string() },
    }
}
