//! PolicyExceptions to rules that were carried over.

use serde_json::{Value, json};

use super::entries::entries;
use super::rules::Carried;
use super::{Given, Plan};
use crate::kyverno::policy::{Exception, Policy};
use crate::lint::documents::{exceptions, policies};
use crate::lint::used::kyverno::{level, standard, whole};
use crate::lint::{text, texts};
use crate::wildcard;

pub(super) fn read(given: &Given<'_>, carried: &[Carried], plan: &mut Plan) {
    for (document, exception) in exceptions(given.documents) {
        let object = &given.documents[document];
        let named = |rule: &&Carried| {
            let (policy, name) = (&rule.policy, &rule.rule);
            exception.rules().iter().any(|(own, patterns)| {
                own == policy && patterns.iter().any(|pattern| wildcard::matches(pattern, name))
            })
        };
        let namespaces: Vec<String> =
            carried.iter().filter(named).flat_map(|rule| rule.namespaces.iter().cloned()).collect();
        if namespaces.is_empty() {
            plan.note(document, "spec.exceptions", true, "it names no rule that is carried over");
            continue;
        }
        one(given, (document, object, &exception), &namespaces, plan);
    }
}

fn one(
    given: &Given<'_>,
    (document, object, exception): (usize, &Value, &Exception),
    namespaces: &[String],
    plan: &mut Plan,
) {
    if object.pointer("/spec/conditions").is_some_and(|conditions| !conditions.is_null()) {
        return plan.note(document, "spec.conditions", true, "conditions cannot be carried over");
    }
    let list = object.pointer("/spec/podSecurity").and_then(Value::as_array).cloned().unwrap_or_default();
    let list = match list.is_empty() {
        false => list,
        true => needed(given, exception),
    };
    if list.is_empty() {
        let message =
            "it takes the whole rule out: what its objects need is known only with the objects (-r)";
        return plan.note(document, "spec", true, message);
    }
    let place = if object.pointer("/spec/podSecurity").is_some() { "spec.podSecurity" } else { "spec" };
    let entries = entries(given, &list, (document, place), plan);
    let blocks =
        ["any", "all"].iter().filter_map(|list| object.pointer(&format!("/spec/match/{list}"))?.as_array());
    let filters: Vec<&Value> = blocks.flatten().collect();
    let all = object
        .pointer("/spec/match/all")
        .is_some_and(|list| list.as_array().is_some_and(|list| list.len() > 1));
    if all {
        return plan.note(document, "spec.match.all", true, "several filters at once cannot be carried over");
    }
    for (index, filter) in filters.iter().enumerate() {
        let path = format!("spec.match[{index}]");
        match subjects(filter, namespaces) {
            Err(what) => plan.note(document, path, true, format!("match by {what} cannot be carried over")),
            Ok((namespaces, subjects)) => {
                let reason = format!("carried over from PolicyException {}", exception.key());
                let name = if index == 0 {
                    exception.key().to_owned()
                } else {
                    format!("{}-{index}", exception.key())
                };
                plan.exempt(&name, &reason, &namespaces, subjects, &entries);
            }
        }
    }
}

/// What the resources that a whole exception takes out need.
fn needed(given: &Given<'_>, exception: &Exception) -> Vec<Value> {
    let policies: Vec<(usize, Policy)> = policies(given.documents)
        .into_iter()
        .filter(|(_, policy)| exception.rules().iter().any(|(name, _)| *name == policy.key()))
        .collect();
    let levels = policies.iter().filter_map(|(at, _)| standard(&given.documents[*at])).map(level);
    let Some(level) = levels.max_by_key(|level| level.level) else { return Vec::new() };
    whole(given, &policies, exception, level)
}

/// The namespaces and pods that a filter is about.
fn subjects(filter: &Value, carried: &[String]) -> Result<(Vec<String>, Value), String> {
    let resources = filter.get("resources").unwrap_or(&Value::Null);
    let set = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    for name in ["name", "names", "annotations", "namespaceSelector"] {
        if set(resources.get(name)) {
            return Err(format!("{name} of objects"));
        }
    }
    for name in ["subjects", "roles", "clusterRoles"] {
        if set(filter.get(name)) {
            return Err(name.to_owned());
        }
    }
    let patterns = texts(resources, "namespaces");
    let about = |name: &&String| {
        patterns.is_empty() || patterns.iter().any(|pattern| wildcard::matches(pattern, name))
    };
    let mut namespaces: Vec<String> = carried.iter().filter(about).cloned().collect();
    namespaces.sort();
    namespaces.dedup();
    let mut subjects = json!({});
    if let Some(selector) = resources.get("selector").filter(|selector| selector.is_object()) {
        let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
        if labels
            .into_iter()
            .any(|(key, value)| wildcard::is_pattern(key) || value.as_str().is_some_and(wildcard::is_pattern))
        {
            return Err("labels with wildcards".to_owned());
        }
        subjects["podLabels"] = selector.clone();
    }
    if namespaces.is_empty() {
        return Err(format!("namespaces [{}], none of which is known,", text(resources, "/namespaces/0")));
    }
    Ok((namespaces, subjects))
}
