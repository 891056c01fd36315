//! Match conditions (CEL) that the API server refuses: it alone can say whether it reads an expression, so it is asked, by
//! a webhook configuration that is not stored, and listened to, when one that should be is refused. Either way its answer
//! names the field of a webhook, and authors know that of their policy.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use meshward_kit::events::bounded;
use serde_json::{Value, json};

use super::writer::validating;

/// Where policies have them.
pub(crate) const FIELD: &str = "spec.webhookConfiguration.matchConditions";
/// An answer repeats the expression, which may be long.
const LONGEST: usize = 1024;

/// What is wrong with one field, in the API server's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The field of the policy.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// What the API server said of lists of match conditions. Each is a number, that of its policies' groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Those that it was given.
    pub given: BTreeSet<u64>,
    /// Those of them that it refuses.
    pub refused: BTreeMap<u64, Vec<Fault>>,
}

impl Answers {
    /// What is wrong with a list, nothing if it is taken; `None` if the API server has not said anything of it.
    pub fn of(&self, conditions: u64) -> Option<&[Fault]> {
        let given = self.given.contains(&conditions);
        given.then(|| self.refused.get(&conditions).map(Vec::as_slice).unwrap_or_default())
    }
}

/// What is wrong with the match conditions of each webhook of a configuration, by the fields that the API server names.
/// Its message as a whole is not read: it repeats what the author of a policy wrote.
pub(crate) fn faults(error: &kube::Error) -> BTreeMap<usize, Vec<Fault>> {
    let kube::Error::Api(status) = error else { return BTreeMap::new() };
    let mut all: BTreeMap<usize, Vec<Fault>> = BTreeMap::new();
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        let field =
            cause.field.strip_prefix("webhooks[").and_then(|rest| rest.split_once("].matchConditions"));
        let Some((Ok(webhook), rest)) = field.map(|(webhook, rest)| (webhook.parse(), rest)) else {
            continue;
        };
        let message = bounded(&cause.message, LONGEST);
        all.entry(webhook).or_default().push(Fault { field: format!("{FIELD}{rest}"), message });
    }
    all
}

/// Asks the API server whether it takes match conditions. Nothing is stored: a dry run.
///
/// # Errors
/// It could not be asked, or refuses for another reason.
pub(crate) async fn ask(client: &Client, conditions: &[Value]) -> Result<Vec<Fault>, kube::Error> {
    let object: DynamicObject =
        serde_json::from_value(question(conditions)).map_err(kube::Error::SerdeError)?;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &validating());
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&params, &object).await {
        Ok(_) => Ok(Vec::new()),
        Err(error) => match faults(&error).remove(&0) {
            Some(faults) => Ok(faults),
            None => Err(error),
        },
    }
}

/// A configuration that is right but for the conditions, and that no request would be sent by.
fn question(conditions: &[Value]) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"generateName": "meshward-conditions-"},
        "webhooks": [{
            "name": "conditions.policies.meshward.dev",
            "clientConfig": {"url": "https://meshward.invalid/"},
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [],
            "matchConditions": conditions,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_known_by_fields_and_told_by_those_of_the_policy() {
        let cause = |field: &str, message: &str| json!({"reason": "FieldValueInvalid", "message": message, "field": field});
        let status = json!({
            "status": "Failure", "code": 422, "reason": "Invalid", "message": "webhooks[5].matchConditions[0]",
            "details": {"causes": [
                cause("webhooks[2].matchConditions[0].expression", "webhooks[7].matchConditions[0]"),
                cause("webhooks[2].matchConditions[1].name", &"x".repeat(2 * LONGEST)),
                cause("webhooks[0].rules", "Required value"),
                cause("webhooks[x].matchConditions", "Required value"),
                cause("webhooks[1].matchConditions", "Too many"),
            ]},
        });
        let error = kube::Error::Api(serde_json::from_value(status).unwrap());
        let found = faults(&error);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&1, &2]);
        assert_eq!(found[&1], [Fault { field: FIELD.into(), message: "Too many".into() }]);
        assert_eq!(found[&2][0].field, "spec.webhookConfiguration.matchConditions[0].expression");
        assert_eq!(found[&2][1].field, "spec.webhookConfiguration.matchConditions[1].name");
        assert!(found[&2][1].message.len() <= LONGEST, "{}", found[&2][1].message.len());
    }

    #[test]
    fn what_was_not_given_is_not_known() {
        let fault = Fault { field: FIELD.into(), message: "no".into() };
        let answers = Answers { given: [1, 2].into(), refused: [(2, vec![fault.clone()])].into() };
        assert_eq!(answers.of(1), Some(&[][..]));
        assert_eq!(answers.of(2), Some(&[fault][..]));
        assert_eq!(answers.of(3), None);
    }
}
