//! Which checks run at a level and version, and what each of them says about a pod.

use super::{Check, CheckId, Finding, Level, NEWEST, Pod, Revision, Version, predicate, table::CHECKS, text};

/// What one check says about a pod. It allows the pod if it has no findings.
#[derive(Clone, Debug)]
pub struct CheckResult<'a> {
    /// The check.
    pub check: &'static Check,
    /// The revision that ran.
    pub revision: &'static Revision,
    /// Every offending value. The sentence may name fewer: of a check that wants a field set, upstream names missing
    /// ones only where no set one is wrong; see [`CheckResult::named`].
    pub findings: Vec<Finding<'a>>,
}

impl<'a> CheckResult<'a> {
    /// Whether the check has nothing against the pod.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.findings.is_empty()
    }

    /// Upstream's short reason, such as `host namespaces`; `None` if the pod is allowed.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.text().map(|(reason, _)| reason)
    }

    /// Upstream's sentence about the findings; `None` if the pod is allowed.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        self.text().map(|(_, detail)| detail)
    }

    /// Reason and detail at once; `None` if the pod is allowed.
    #[must_use]
    pub fn text(&self) -> Option<(&'static str, String)> {
        (!self.allowed()).then(|| text::render(self.revision.predicate, &self.findings))
    }

    /// The findings that the sentence is about: the set ones, or the missing ones if no set one is wrong.
    #[must_use]
    pub fn named(&self) -> Vec<Finding<'a>> {
        use super::Predicate::{NonRoot, Seccomp};
        if matches!(self.revision.predicate, NonRoot | Seccomp { .. }) {
            let explicit = text::explicit(&self.findings);
            if !explicit.is_empty() {
                return explicit;
            }
        }
        self.findings.clone()
    }

    /// Takes out the findings that `keep` refuses; the sentences then speak of the rest. This is how an exemption
    /// acts: by value, never by check.
    pub fn retain(&mut self, keep: impl FnMut(&Finding<'a>) -> bool) {
        self.findings.retain(keep);
    }
}

/// The checks that run at a level and version, in the order of upstream's sentences. A version newer than [`NEWEST`]
/// means the newest rules.
pub fn active(level: Level, version: Version) -> impl Iterator<Item = (&'static Check, &'static Revision)> {
    let minor = match version {
        Version::Minor(minor) => minor.min(NEWEST),
        Version::Latest => NEWEST,
    };
    let overrides = if level == Level::Restricted { overridden(minor) } else { 0 };
    CHECKS
        .iter()
        .filter(move |check| check.level <= level && overrides & bit(check.id) == 0)
        .filter_map(move |check| revision_at(check, minor).map(|revision| (check, revision)))
}

/// Every check of a level at a version against a pod: none at privileged.
#[must_use]
pub fn evaluate<'a>(level: Level, version: Version, pod: &Pod<'a>) -> Vec<CheckResult<'a>> {
    if level == Level::Privileged {
        return Vec::new();
    }
    let mut results = Vec::with_capacity(CHECKS.len());
    results.extend(active(level, version).map(|(check, revision)| {
        let findings = predicate::run(revision, pod);
        CheckResult { check, revision, findings }
    }));
    results
}

/// One revision of a check against a pod, whatever level and version it belongs to: peers choose revisions by rules of
/// their own.
pub(crate) fn run_check<'a>(
    check: &'static Check,
    revision: &'static Revision,
    pod: &Pod<'a>,
) -> CheckResult<'a> {
    CheckResult { check, revision, findings: predicate::run(revision, pod) }
}

fn overridden(minor: u64) -> u32 {
    let revisions = CHECKS.iter().filter_map(|check| revision_at(check, minor));
    revisions.flat_map(|revision| revision.overrides).fold(0, |bits, id| bits | bit(*id))
}

fn bit(id: CheckId) -> u32 {
    1 << id as u32
}

fn revision_at(check: &'static Check, minor: u64) -> Option<&'static Revision> {
    check.revisions.iter().rev().find(|revision| revision.minimum <= minor)
}
