//! Why an exemption does not apply although it is about the control: the answer to the first question that everybody
//! asks who wrote one.

use super::apply::Who;
use super::select::Trait;
use super::{Entry, Exemption};
use crate::go::time::{Moment, RFC3339};
use crate::pss::{Check, Finding, Pod};

/// One part of an exemption that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Which part.
    pub part: Trait,
    /// What the pod has.
    pub found: String,
    /// What the exemption wants.
    pub wanted: String,
}

/// An exemption that did not take a finding out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// The exemption, by its place in the list.
    pub exemption: usize,
    /// Its entry.
    pub entry: usize,
    /// What does not hold, at least one.
    pub misses: Vec<Miss>,
}

/// For a finding that is left, the entries that are about its control and what keeps them from applying; the nearest
/// first. Parts that hold are not told.
pub fn near_misses(
    check: &'static Check,
    finding: &Finding<'_>,
    pod: &Pod<'_>,
    who: &Who<'_>,
    exemptions: &[Exemption],
    now: Moment,
) -> Vec<NearMiss> {
    let mut near = Vec::new();
    for (index, exemption) in exemptions.iter().enumerate() {
        let mut shared = Vec::new();
        if exemption.expired(now) {
            let wanted = exemption.expires().map(|expires| format!("before {expires}")).unwrap_or_default();
            shared.push(Miss { part: Trait::Expiry, found: format!("{now}"), wanted });
        }
        exemption.subject_misses(who, &mut shared);
        for (number, entry) in exemption.entries.iter().enumerate() {
            let Some(own) = entry.misses(check, finding, pod) else { continue };
            let misses: Vec<Miss> = shared.iter().cloned().chain(own).collect();
            if !misses.is_empty() {
                near.push(NearMiss { exemption: index, entry: number, misses });
            }
        }
    }
    near.sort_by_key(|near| near.misses.len());
    near
}

impl Entry {
    /// What keeps an entry from allowing a finding; `None` if it is not about the control at all.
    fn misses(&self, check: &Check, finding: &Finding<'_>, pod: &Pod<'_>) -> Option<Vec<Miss>> {
        let about = self.allow.iter().filter(|allow| allow.is_about(check.control, finding));
        let fewest = about
            .map(|allow| {
                let mut misses = Vec::new();
                allow.misses(finding, &mut misses);
                misses
            })
            .min_by_key(Vec::len)?;
        let mut misses = Vec::new();
        self.holder_misses(finding, pod, &mut misses);
        misses.extend(fewest);
        Some(misses)
    }
}

/// Reads a moment as `expires` writes it.
pub(super) fn moment(text: &str) -> Option<Moment> {
    Moment::parse(RFC3339, text).ok()
}
