//! Exclusions that can take out nothing: Kyverno compares `restrictedField` as text and never says that a name is
//! misspelt, or that a field has no values to compare.

use meshward_policy::nearest::nearest;
use meshward_policy::pss::{CHECKS, CheckId};
use meshward_policy::wildcard;
use serde_json::Value;

use super::resource::list;

/// What is wrong with the exclusions of a `podSecurity` block or an exception: the pointer inside it, and what is
/// accepted.
pub(crate) fn check(exclusions: &Value) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (index, exclusion) in list(exclusions).enumerate() {
        let control = exclusion["controlName"].as_str().unwrap_or_default();
        let values = list(&exclusion["values"]).count();
        // Values without a field are refused when the policy is compiled.
        let Some(field) = exclusion["restrictedField"].as_str().filter(|field| !field.is_empty()) else {
            continue;
        };
        let known = fields(control);
        if known.is_empty() {
            // The control itself is not known, which is told elsewhere.
            continue;
        }
        if !known.iter().any(|name| wildcard::matches(name, field)) {
            wrong.push((format!("/{index}/restrictedField"), unknown(control, field, &known)));
        } else if control == VOLUME_TYPES && values > 0 {
            let message = format!(
                "values for {field}, which has none in control {VOLUME_TYPES:?}: every value is exempted; accepted: no \
                 values, or control \"HostPath Volumes\" for paths"
            );
            wrong.push((format!("/{index}/values"), message));
        }
    }
    wrong
}

const VOLUME_TYPES: &str = "Volume Types";

fn unknown(control: &str, field: &str, known: &[String]) -> String {
    let meant = nearest(field, known.iter().map(String::as_str));
    let meant = meant.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    format!("control {control:?} has no field {field:?}; {meant}accepted: {}", known.join(", "))
}

/// The fields of a control; none if there is no such control.
fn fields(control: &str) -> Vec<String> {
    let checks = CHECKS.iter().filter(|check| check.control == control);
    let mut names: Vec<String> = checks
        .filter(|check| check.id != CheckId::HostProbesAndHostLifecycle)
        .flat_map(|check| check.revisions)
        .flat_map(|revision| revision.fields)
        .flat_map(|field| field.restricted_fields())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exclusions_that_can_take_out_nothing_are_found() {
        let exclusion = |control: &str, field: &str| json!([{"controlName": control, "restrictedField": field, "values": ["a"]}]);
        let add = "spec.initContainers[*].securityContext.capabilities.add";
        assert_eq!(check(&exclusion("Capabilities", add)), []);
        let wrong = check(&exclusion("Capabilities", &add.replace("add", "ad")));
        assert_eq!(wrong[0].0, "/0/restrictedField");
        assert!(wrong[0].1.contains(&format!("did you mean {add}?")), "{}", wrong[0].1);
        assert_eq!(check(&exclusion("HostPath Volumes", "spec.volumes[*].hostPath")), []);
        assert_eq!(check(&exclusion("Volume Types", "spec.volumes[*].hostPath"))[0].0, "/0/values");
        let annotation = "metadata.annotations[container.apparmor.security.beta.kubernetes.io/web]";
        assert_eq!(check(&exclusion("AppArmor", annotation)), []);
    }
}
