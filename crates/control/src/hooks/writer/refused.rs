//! Match conditions that the API server cannot read: which webhooks have them, and the configurations without them. A policy
//! must not keep others from being asked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compare::Step;
use crate::hooks::Desired;
use crate::hooks::desired::CONDITIONS;

/// The names of the webhooks that a step writes.
pub(super) fn webhooks_of(step: &Step) -> Vec<String> {
    let (Step::Create(object) | Step::Patch(object)) = step else { return Vec::new() };
    let all = object.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    all.map(|webhook| webhook["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The configurations without some webhooks.
pub(super) fn without(all: Vec<Desired>, refused: &BTreeSet<String>) -> Vec<Desired> {
    let kept = |webhook: &Value| !webhook["name"].as_str().is_some_and(|name| refused.contains(name));
    let each = all.into_iter().map(|mut desired| {
        if desired.name == CONDITIONS {
            desired.webhooks.retain(kept);
        }
        desired
    });
    each.filter(|desired| !desired.webhooks.is_empty()).collect()
}

/// Which webhooks of a configuration the API server refuses, by the fields that it names. Its message is not read: it
/// repeats what the author of a policy wrote.
pub(super) fn refused_at(error: &kube::Error) -> BTreeSet<usize> {
    let kube::Error::Api(status) = error else { return BTreeSet::new() };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let index =
        |field: &str| field.strip_prefix("webhooks[")?.split_once("].matchConditions")?.0.parse().ok();
    causes.filter_map(|cause| index(&cause.field)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refused_webhooks_are_known_by_fields_and_not_by_words() {
        let cause =
            |field: &str| json!({"reason": "FieldValueInvalid", "message": "webhooks[7]", "field": field});
        let status = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "message": "webhooks[5].matchConditions[0]",
            "details": {"causes": [
                cause("webhooks[2].matchConditions[0].expression"),
                cause("webhooks[2].matchConditions[1].expression"),
                cause("webhooks[0].rules"),
                cause("webhooks[x].matchConditions"),
            ]},
        });
        let error = kube::Error::Api(serde_json::from_value(status).unwrap());
        assert_eq!(refused_at(&error), BTreeSet::from([2]));
        let webhooks = ["a", "b", "c"].map(|name| json!({"name": name})).to_vec();
        let desired = |name| Desired { kind: "", name, webhooks: webhooks.clone(), starting: false };
        let left = without(
            vec![desired(CONDITIONS), desired("meshward-policies")],
            &BTreeSet::from(["c".to_owned()]),
        );
        assert_eq!(left.iter().map(|one| one.webhooks.len()).collect::<Vec<_>>(), [2, 3]);
        let all = ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(without(vec![desired(CONDITIONS)], &all), []);
    }
}
