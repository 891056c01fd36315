//! The exemption that was nearly meant: whoever is refused although he wrote one wants to know what is different.

use meshward_policy::exemption::{Miss, NearMiss, Trait, Who, near_misses};
use meshward_policy::psa::Evaluator;
use meshward_policy::pss::{LevelVersion, Pod};
use serde_json::Value;

use super::Asked;
use super::exempting::Exempting;

/// An exemption that differs in more than this was meant for something else.
const MOST: usize = 2;
/// Characters of what was found or wanted.
const LONGEST: usize = 96;

/// One sentence about the nearest exemption, to stand behind a refusal.
pub(super) fn sentence(
    enforce: LevelVersion,
    object: &Value,
    namespace: &str,
    asked: &Asked<'_>,
) -> Option<String> {
    let exemptions = asked.snapshot.exemptions.values();
    let (pod, now) = (Pod::new(object), asked.now);
    let who = Who::of(&pod, namespace);
    let left = Exempting::new(namespace, exemptions, now).evaluate(enforce, &pod);
    let near = left.iter().flat_map(|result| {
        let findings = result.findings.iter();
        findings.filter_map(|finding| {
            let all = near_misses(result.check, finding, &pod, &who, exemptions, now);
            all.into_iter().find(is_meant)
        })
    });
    let nearest = near.min_by_key(|near| near.misses.len())?;
    let origin = asked.snapshot.exemptions.origins().get(nearest.exemption)?;
    let misses: Vec<String> = nearest.misses.iter().map(told).collect();
    Some(format!("; {} {} does not apply: {}", origin.kind, origin.key(), misses.join(", ")))
}

/// What is for another namespace is nobody's business here; what is for another field was meant only if all else fits.
fn is_meant(near: &NearMiss) -> bool {
    let misses = |part| near.misses.iter().any(|miss| miss.part == part);
    near.misses.len() <= MOST
        && !misses(Trait::Namespace)
        && (near.misses.len() == 1 || !misses(Trait::Field))
}

fn told(miss: &Miss) -> String {
    let found = if miss.found.is_empty() { "unset".to_owned() } else { format!("{:?}", short(&miss.found)) };
    format!("{} is {found}, not {:?}", miss.part, short(&miss.wanted))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
