//! Match conditions that the API server cannot read: which webhooks have them, and the configurations without them. A policy
//! must not keep others from being asked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::Step;
use crate::admission::Group;
use crate::hooks::Desired;
use crate::hooks::conditions::{Fault, faults};
use crate::hooks::desired::CONDITIONS;

/// The match conditions that are refused, each list as its number.
pub(super) type Refused = BTreeMap<u64, Vec<Fault>>;

/// The match conditions of each webhook that a step writes.
pub(super) fn conditions_of(step: &Step) -> Vec<Option<u64>> {
    let (Step::Create(object) | Step::Patch(object)) = step else { return Vec::new() };
    let all = object.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    all.map(conditions).collect()
}

fn conditions(webhook: &Value) -> Option<u64> {
    Group::of_webhook(webhook)?.conditions
}

/// The configurations without the webhooks of what is refused.
pub(super) fn without(all: Vec<Desired>, refused: &Refused) -> Vec<Desired> {
    let kept = |webhook: &Value| conditions(webhook).is_none_or(|number| !refused.contains_key(&number));
    let each = all.into_iter().map(|mut desired| {
        if desired.name == CONDITIONS {
            desired.webhooks.retain(kept);
        }
        desired
    });
    each.filter(|desired| !desired.webhooks.is_empty()).collect()
}

/// What an answer refuses that was not known as refused; `given` are the conditions of each webhook that was sent.
pub(super) fn news(given: &[Option<u64>], error: &kube::Error, refused: &Refused) -> Refused {
    let number = |(webhook, faults)| Some(((*given.get(webhook)?)?, faults));
    faults(error).into_iter().filter_map(number).filter(|(number, _)| !refused.contains_key(number)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(number: u64) -> Value {
        json!({"clientConfig": {"service": {"path": format!("/validate/policies/fail/10/{number:016x}")}}})
    }

    #[test]
    fn refused_conditions_are_left_out_and_others_stay() {
        let webhooks = [1, 2, 3].map(webhook).to_vec();
        let desired = |name| Desired { kind: "", name, webhooks: webhooks.clone(), starting: false };
        let refused = |numbers: &[u64]| numbers.iter().map(|number| (*number, Vec::new())).collect();
        let left = without(vec![desired(CONDITIONS), desired("meshward-policies")], &refused(&[3]));
        assert_eq!(left.iter().map(|one| one.webhooks.len()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(without(vec![desired(CONDITIONS)], &refused(&[1, 2, 3])), []);
    }

    #[test]
    fn an_answer_tells_what_it_refuses() {
        let given = conditions_of(&Step::Patch(json!({"webhooks": [webhook(7), webhook(8), {}]})));
        assert_eq!(given, [Some(7), Some(8), None]);
        let cause =
            |at: usize| json!({"message": "no", "field": format!("webhooks[{at}].matchConditions[0].name")});
        let status = json!({"status": "Failure", "code": 422, "reason": "Invalid", "message": "",
            "details": {"causes": [cause(0), cause(1), cause(2), cause(3)]}});
        let error = kube::Error::Api(serde_json::from_value(status).unwrap());
        let known = BTreeMap::from([(7, Vec::new())]);
        let found = news(&given, &error, &known);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&8]);
        assert_eq!(found[&8][0].field, "spec.webhookConfiguration.matchConditions[0].name");
    }
}
