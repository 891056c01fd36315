//! What is told of a pod: one value from what it should have and what its sandbox has come to. Pure.

use meshward_mesh::{Phase, PodRecord};
use meshward_redirect::Mesh;

use super::aim::{GateState, State};
use super::desired::{Desired, Facts};
use super::pod::PodView;
use crate::located::Located;

/// The longest reason: annotations and Events have to hold it.
const LONGEST_REASON: usize = 1000;

/// What is known of a pod when it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) view: Option<&'a PodView>,
    pub(super) desired: &'a Desired,
    pub(super) facts: &'a Facts,
    /// The sandbox that is told of, and what it has come to.
    pub(super) sandbox: Option<(&'a Located, Option<&'a State>)>,
    /// Why nothing is known, as far as that is known.
    pub(super) trouble: Option<&'a str>,
}

/// The record; none for a pod that nobody asks about.
pub(super) fn of(known: Known<'_>) -> Option<PodRecord> {
    let (phase, reason, mesh) = standing(known)?;
    let located = known.sandbox.map(|(located, _)| located);
    let (namespace, name, uid) = match (known.view, located) {
        (Some(view), _) => (&view.namespace, &view.name, &view.uid),
        (None, Some(located)) => (&located.namespace, &located.name, &located.uid),
        (None, None) => return None,
    };
    let state = known.sandbox.and_then(|(_, state)| state);
    let rules = state.and_then(|state| state.rules.as_ref());
    let mut warnings = known.facts.warnings.clone();
    warnings.extend(rules.into_iter().flat_map(|rules| rules.warnings.iter().cloned()));
    if let Some(GateState::Taken { by }) = state.map(|state| &state.gate) {
        warnings.push(taken(by));
    }
    Some(PodRecord {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: uid.clone(),
        phase,
        reason: reason.chars().take(LONGEST_REASON).collect(),
        mesh: mesh.map(|mesh| mesh.name().to_string()),
        sandbox: located.map(|located| located.sandbox.clone()).filter(|id| !id.is_empty()),
        netns: state.and_then(|state| state.netns.clone()),
        fingerprint: rules.map(|rules| rules.fingerprint.clone()),
        backend: rules.map(|rules| rules.backend.clone()),
        locked: rules.is_some_and(|rules| rules.locked),
        source: located.map(|located| located.source.name().to_string()),
        adopted: rules.is_some_and(|rules| rules.adopted),
        since: rules.map(|rules| rules.since.clone()),
        repairs: state.map_or(0, |state| state.repairs),
        warnings,
    })
}

fn taken(by: &str) -> String {
    format!("the gate @meshward-ready was taken by {by}")
}

fn standing(known: Known<'_>) -> Option<(Phase, String, Option<Mesh>)> {
    let state = known.sandbox.and_then(|(_, state)| state);
    let failure = state.and_then(|state| state.failure.clone());
    match known.desired {
        Desired::Unknown => {
            let reason = known.trouble.unwrap_or("the API server has not shown this pod yet");
            state.map(|_| (Phase::Waiting, reason.to_string(), None))
        }
        Desired::Untouched { told } => Some((Phase::Nothing, told.clone()?, None)),
        Desired::Nothing { reason, mesh } => {
            let told = mesh.is_some() || known.facts.guarded;
            let rules = state.is_some_and(|state| state.rules.is_some());
            told.then(|| match failure {
                Some(failure) => (Phase::Failed, failure, *mesh),
                None if rules => (Phase::Redirected, "the rules are being taken away".into(), *mesh),
                None => (Phase::Nothing, reason.clone(), *mesh),
            })
        }
        Desired::Refused { message } => Some((Phase::Refused, message.clone(), None)),
        Desired::Rules(wish) => {
            let (phase, reason) = match state {
                None => (Phase::Waiting, "its network namespace is not known yet".to_string()),
                Some(_) if failure.is_some() => (Phase::Failed, failure.unwrap_or_default()),
                Some(state) => match (&state.rules, &state.gate) {
                    (Some(rules), GateState::Taken { by })
                        if rules.identity == wish.identity && known.facts.guarded =>
                    {
                        (Phase::Failed, format!("the rules are in force, but {}", taken(by)))
                    }
                    (Some(rules), _) if rules.identity == wish.identity => {
                        (Phase::Redirected, format!("the rules of {} are in force", wish.mesh))
                    }
                    // Until the new rules are in force, the old ones are.
                    (Some(_), _) => (Phase::Redirected, "the rules are being changed".to_string()),
                    (None, _) => (Phase::Waiting, "the rules are being put in force".to_string()),
                },
            };
            Some((phase, reason, Some(wish.mesh)))
        }
    }
}

/// How much a phase matters beside another of the same pod.
pub(super) fn gravity(phase: Phase) -> u8 {
    match phase {
        Phase::Nothing => 0,
        Phase::Redirected => 1,
        Phase::Waiting => 2,
        Phase::Refused => 3,
        Phase::Failed => 4,
    }
}
