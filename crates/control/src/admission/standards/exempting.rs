//! The standards with what exemptions allow taken out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use meshward_policy::exemption::{Exemption, Who, apply};
use meshward_policy::go::time::Moment;
use meshward_policy::psa::Evaluator;
use meshward_policy::pss::{CheckResult, LevelVersion, Pod, evaluate};

/// Evaluates the pods of one namespace, and remembers which exemption took out findings of which check.
pub(super) struct Exempting<'a> {
    namespace: &'a str,
    exemptions: &'a [Exemption],
    now: Moment,
    used: RefCell<BTreeSet<(usize, &'static str)>>,
}

impl<'a> Exempting<'a> {
    pub(super) fn new(namespace: &'a str, exemptions: &'a [Exemption], now: Moment) -> Self {
        Self { namespace, exemptions, now, used: RefCell::default() }
    }

    /// The exemptions that took something out, by their place in the list, with the check.
    pub(super) fn used(&self) -> BTreeSet<(usize, &'static str)> {
        self.used.borrow().clone()
    }
}

impl Evaluator for Exempting<'_> {
    fn evaluate<'p>(&self, policy: LevelVersion, pod: &Pod<'p>) -> Vec<CheckResult<'p>> {
        let mut results = evaluate(policy.level, policy.version, pod);
        let who = Who::of(pod, self.namespace);
        let removed = apply(&mut results, pod, &who, self.exemptions, self.now);
        self.used.borrow_mut().extend(removed.iter().map(|one| (one.exemption, one.check.id.as_str())));
        results
    }
}
