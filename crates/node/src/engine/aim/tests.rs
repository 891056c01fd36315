//! The one promise of the steps: a gate is not open while rules are wanted that are not in force; and they always end.

use meshward_redirect::dialect::{Settings, istio};
use proptest::prelude::*;

use super::*;

fn wish(identity: u8) -> Arc<Wish> {
    let settings = Settings::new(istio::FLAGS);
    Arc::new(Wish { mesh: Mesh::Istio, settings, identity: identity.to_string(), wait: (65532, 65532) })
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![
        Just(Aim::Leave),
        Just(Aim::Wait { reason: "why".into() }),
        (0..3u8).prop_map(|identity| Aim::Rules(wish(identity))),
        (any::<bool>(), any::<bool>()).prop_map(|(gate, clear)| Aim::Nothing {
            reason: "none".into(),
            gate,
            clear
        }),
        Just(Aim::Refused { message: "bad".into() }),
    ]
}

/// What the kernel would do; `fails` is for the step, `taken` for the gate's name.
fn perform(step: Step, state: &mut State, kernel: &mut Option<String>, fails: bool, taken: bool) {
    match step {
        Step::Rest => {}
        _ if fails => {
            // As the unit does after a failure: nobody is let through.
            if matches!(step, Step::PutInForce(_)) {
                state.rules = None;
                if let GateState::Open { .. } = state.gate {
                    state.gate = GateState::Open { says: Says::Wait, reason: "it failed".into() };
                }
            }
        }
        Step::Enter => state.netns = Some("net".into()),
        Step::Say { .. } if taken => state.gate = GateState::Taken { by: "x".into() },
        Step::Say { says, reason } => state.gate = GateState::Open { says, reason },
        Step::Shut => state.gate = GateState::Shut,
        Step::PutInForce(wish) => {
            *kernel = Some(wish.identity.clone());
            state.clear = false;
            state.rules = Some(InForce {
                identity: wish.identity.clone(),
                mesh: wish.mesh,
                fingerprint: String::new(),
                backend: "nft".into(),
                locked: true,
                adopted: false,
                since: String::new(),
                warnings: Vec::new(),
            });
        }
        Step::TakeAway => {
            *kernel = None;
            (state.rules, state.clear) = (None, true);
        }
    }
}

proptest! {
    #[test]
    fn a_gate_never_opens_before_the_rules_are_in_force(
        aims in proptest::collection::vec(aim(), 1..8),
        luck in proptest::collection::vec((prop::bool::weighted(0.2), prop::bool::weighted(0.1)), 64),
    ) {
        let (mut state, mut kernel) = (State::default(), None);
        let mut luck = luck.into_iter();
        for aim in aims {
            for _ in 0..16 {
                let step = next(&aim, &state);
                if step == Step::Rest {
                    break;
                }
                let (fails, taken) = luck.next().unwrap_or_default();
                perform(step, &mut state, &mut kernel, fails, taken);
                match &state.gate {
                    GateState::Open { says: Says::Ready, .. } => prop_assert!(kernel.is_some()),
                    GateState::Open { says: Says::Nothing, .. } => prop_assert!(kernel.is_none()),
                    _ => {}
                }
            }
            // Without bad luck it comes to an end, and to what was wanted.
            let mut steps = 0;
            loop {
                let step = next(&aim, &state);
                if step == Step::Rest {
                    break;
                }
                steps += 1;
                prop_assert!(steps < 8, "{aim:?} {state:?}");
                perform(step, &mut state, &mut kernel, false, false);
            }
            let open = |says| matches!(&state.gate, GateState::Open { says: now, .. } if *now == says);
            let taken = matches!(state.gate, GateState::Taken { .. });
            match &aim {
                Aim::Rules(wish) => {
                    prop_assert_eq!(kernel.as_ref(), Some(&wish.identity));
                    prop_assert!(open(Says::Ready) || taken);
                }
                Aim::Nothing { gate, .. } => prop_assert!(taken || open(Says::Nothing) == *gate),
                Aim::Wait { .. } | Aim::Refused { .. } => prop_assert!(taken || open(Says::Wait)),
                Aim::Leave => {}
            }
        }
    }
}
