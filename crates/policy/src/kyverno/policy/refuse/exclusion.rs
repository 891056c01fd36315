//! Exclusions of a podSecurity rule: which controls have images, which fields have values (`ValidatePSaControlNames`).

use crate::kyverno::pod_security::{Exclusion, PodSecurity};
use crate::pss::{CHECKS, Level};

/// Controls whose exclusions must name images.
const OF_CONTAINERS: [&str; 5] =
    ["Capabilities", "Privileged Containers", "Host Ports", "/proc Mount Type", "Privilege Escalation"];
/// Controls whose exclusions must not.
const OF_PODS: [&str; 4] = ["Host Namespaces", "HostPath Volumes", "Sysctls", "Volume Types"];

/// What is wrong with the exclusions of a rule, with the field after `exclude`.
pub(super) fn exclusions(standard: &PodSecurity) -> Vec<(String, String)> {
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
