//! Who may lead, decided without a clock of anybody else: pure, so that every turn of events can be tried.
//!
//! Clocks of machines differ, so the times in a Lease are only shown to people. What counts is how long *we* have seen
//! a claim unchanged, as in Kubernetes' own `client-go/tools/leaderelection`.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// A claim that says nothing is given this long.
const LEAST: Duration = Duration::from_secs(1);

/// What a Lease says about who leads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Claim {
    /// Nobody, if it is empty.
    pub(super) holder: String,
    /// How long it holds once it is no longer renewed.
    pub(super) duration: Duration,
    /// When the holder began, by the holder's clock.
    pub(super) acquired: Option<Timestamp>,
    /// When the holder last said so, by the holder's clock.
    pub(super) renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub(super) transitions: i32,
}

impl Claim {
    pub(super) fn of(spec: &LeaseSpec) -> Self {
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
        Self {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            duration: Duration::from_secs(seconds).max(LEAST),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// The specification with this claim; what else is in it stays.
    pub(super) fn write(&self, mut spec: LeaseSpec) -> LeaseSpec {
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX));
        spec.acquire_time = self.acquired.map(MicroTime);
        spec.renew_time = self.renewed.map(MicroTime);
        spec.lease_transitions = Some(self.transitions);
        spec
    }
}

/// What is to be done about a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Write this one: we lead if that succeeds.
    Write(Claim),
    /// Somebody else leads.
    Wait,
}

/// One candidate's view.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) identity: String,
    pub(super) duration: Duration,
    /// The last claim and when it was first seen.
    seen: Option<(Claim, Instant)>,
}

impl Candidate {
    pub(super) fn new(identity: String, duration: Duration) -> Self {
        Self { identity, duration, seen: None }
    }

    /// What to do about the claim that is there; `None`: there is no Lease. `clock` is only written down.
    pub(super) fn step(&mut self, found: Option<Claim>, now: Instant, clock: Timestamp) -> Step {
        let mine = |transitions, acquired| {
            Step::Write(Claim {
                holder: self.identity.clone(),
                duration: self.duration,
                acquired: Some(acquired),
                renewed: Some(clock),
                transitions,
            })
        };
        let Some(found) = found else { return mine(0, clock) };
        if found.holder == self.identity {
            return mine(found.transitions, found.acquired.unwrap_or(clock));
        }
        let since = match &self.seen {
            Some((claim, since)) if *claim == found => *since,
            _ => now,
        };
        let free = found.holder.is_empty() || now.duration_since(since) >= found.duration;
        let next = mine(found.transitions.saturating_add(1), clock);
        self.seen = Some((found, since));
        if free { next } else { Step::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn claim(holder: &str, renewed: i64) -> Claim {
        Claim {
            holder: holder.into(),
            duration: DURATION,
            acquired: Some(Timestamp::UNIX_EPOCH),
            renewed: Some(Timestamp::from_second(renewed).unwrap()),
            transitions: 3,
        }
    }

    fn writes(step: &Step) -> Option<(&str, i32)> {
        match step {
            Step::Write(claim) => Some((claim.holder.as_str(), claim.transitions)),
            Step::Wait => None,
        }
    }

    #[test]
    fn no_lease_and_a_released_one_are_taken_at_once() {
        let (mut us, now) = (Candidate::new("us".into(), DURATION), Instant::now());
        assert_eq!(writes(&us.step(None, now, Timestamp::UNIX_EPOCH)), Some(("us", 0)));
        assert_eq!(writes(&us.step(Some(claim("", 0)), now, Timestamp::UNIX_EPOCH)), Some(("us", 4)));
    }

    #[test]
    fn a_claim_of_ours_is_renewed_and_keeps_its_beginning() {
        let (mut us, now) = (Candidate::new("us".into(), DURATION), Instant::now());
        let clock = Timestamp::from_second(50).unwrap();
        let Step::Write(next) = us.step(Some(claim("us", 40)), now, clock) else { panic!("waits") };
        assert_eq!((next.acquired, next.renewed), (Some(Timestamp::UNIX_EPOCH), Some(clock)));
        assert_eq!(next.transitions, 3);
    }

    #[test]
    fn only_what_stood_still_before_our_eyes_is_taken() {
        let (mut us, start) = (Candidate::new("us".into(), DURATION), Instant::now());
        let clock = Timestamp::from_second(1_000_000).unwrap();
        let mut at = |seconds, claim| {
            let step = us.step(Some(claim), start + Duration::from_secs(seconds), clock);
            writes(&step).is_some()
        };
        // By our clock these claims are days old: the holder's clock is wrong, not the holder dead.
        assert!(!at(0, claim("them", 10)));
        assert!(!at(14, claim("them", 10)));
        assert!(!at(16, claim("them", 12)), "it was renewed");
        assert!(!at(30, claim("them", 12)));
        assert!(at(31, claim("them", 12)));
        assert!(!at(32, claim("others", 12)), "another holder is another claim");
    }

    #[test]
    fn a_claim_without_a_duration_is_not_taken_at_first_sight() {
        let (mut us, now) = (Candidate::new("us".into(), DURATION), Instant::now());
        let bare = Claim::of(&LeaseSpec { holder_identity: Some("them".into()), ..LeaseSpec::default() });
        assert_eq!(us.step(Some(bare.clone()), now, Timestamp::UNIX_EPOCH), Step::Wait);
        assert!(writes(&us.step(Some(bare), now + LEAST, Timestamp::UNIX_EPOCH)).is_some());
    }

    #[test]
    fn what_others_wrote_into_the_specification_stays() {
        let spec = LeaseSpec { strategy: Some("OldestEmulationVersion".into()), ..LeaseSpec::default() };
        let written = claim("us", 7).write(spec);
        assert_eq!(written.strategy.as_deref(), Some("OldestEmulationVersion"));
        assert_eq!(Claim::of(&written), claim("us", 7));
    }
}
