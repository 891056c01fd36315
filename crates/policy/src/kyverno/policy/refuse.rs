//! What Kyverno's admission refuses although it can be read. Its command line counts such a policy as an error and
//! evaluates nothing of it (`api/kyverno/v1` `Validate`), so doing anything else with it would not be faithful.

use super::{Body, Policy, PolicyError};
use crate::kyverno::pod_security::{Exclusion, PodSecurity};
use crate::kyverno::quirk::Quirks;
use crate::pss::{CHECKS, Level};
use serde_json::Value;

/// Controls whose exclusions must name images.
const OF_CONTAINERS: [&str; 5] =
    ["Capabilities", "Privileged Containers", "Host Ports", "/proc Mount Type", "Privilege Escalation"];
/// Controls whose exclusions must not.
const OF_PODS: [&str; 4] = ["Host Namespaces", "HostPath Volumes", "Sysctls", "Volume Types"];

/// What is refused of a policy with all of Kyverno's quirks; nothing of one that is read in another way.
pub(super) fn refusals(policy: &Policy, rules: &[Value], errors: &mut Vec<PolicyError>) {
    if policy.quirks != Quirks::KYVERNO {
        return;
    }
    for (index, rule) in rules.iter().enumerate() {
        if let Some((at, other)) = empty_set(rule) {
            let path = format!("spec.rules[{index}].exclude.any[{at}]");
            let reason = format!("the same as match.any[{other}], so that the rule matches nothing");
            errors.push(PolicyError { path, reason });
        }
    }
    for rule in &policy.rules {
        if let Body::PodSecurity(standard) = &rule.body {
            let path = format!("{}.validate.podSecurity.exclude", rule.path);
            for (name, reason) in exclusions(standard) {
                errors.push(PolicyError { path: format!("{path}{name}"), reason });
            }
        }
    }
}

/// A filter of `exclude.any` that `match.any` has as well.
fn empty_set(rule: &Value) -> Option<(usize, usize)> {
    let filters =
        |pointer: &str| rule.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (matched, excluded) = (filters("/match/any"), filters("/exclude/any"));
    excluded.iter().enumerate().find_map(|(at, filter)| Some((at, matched.iter().position(|f| f == filter)?)))
}

fn exclusions(standard: &PodSecurity) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, exclusion) in standard.exclusions().iter().enumerate() {
        let mut add = |name: &str, reason: &str| found.push((format!("[{index}].{name}"), reason.to_owned()));
        let control = exclusion.control.as_str();
        shape(exclusion, &mut add);
        let restricted_only = !["Seccomp", "Capabilities"].contains(&control)
            && CHECKS.iter().any(|check| check.control == control && check.level == Level::Restricted)
            && !CHECKS.iter().any(|check| check.control == control && check.level == Level::Baseline);
        if standard.level() == "baseline" && restricted_only {
            add("controlName", "baseline does not check it, accepted: a control of baseline");
        }
    }
    found
}

fn shape(exclusion: &Exclusion, add: &mut impl FnMut(&str, &str)) {
    let control = exclusion.control.as_str();
    if OF_CONTAINERS.contains(&control) && exclusion.images.is_empty() {
        add("images", "missing: the control is about containers, accepted: at least one image");
    }
    if OF_PODS.contains(&control) && !exclusion.images.is_empty() {
        add("images", "the control is about the pod as a whole, accepted: no images");
    }
    if !exclusion.field.is_empty() && exclusion.values.is_empty() {
        add("values", "missing: restrictedField is set, accepted: at least one value");
    }
    if exclusion.field.is_empty() && !exclusion.values.is_empty() {
        add("restrictedField", "missing: values are set, accepted: the field that they are values of");
    }
}
