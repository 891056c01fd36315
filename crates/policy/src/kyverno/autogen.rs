//! Rules for pods also hold for what makes pods: Kyverno generates a rule for controllers and one for CronJobs from each
//! rule about pods. This module does the same with rules as JSON, so that what is evaluated is what Kyverno would
//! generate (`pkg/autogen/v1`), byte replacements included.

use super::matching::KindSelector;
use serde_json::{Map, Value, json};

/// The annotation that says for which controllers rules are generated: a list of kinds, `all` or `none`.
pub const ANNOTATION: &str = "pod-policies.kyverno.io/autogen-controllers";

/// Kinds for which rules are generated, with their full names.
const CONTROLLERS: [(&str, &str); 7] = [
    ("CronJob", "batch/v1/CronJob"),
    ("DaemonSet", "apps/v1/DaemonSet"),
    ("Deployment", "apps/v1/Deployment"),
    ("Job", "batch/v1/Job"),
    ("ReplicaSet", "apps/v1/ReplicaSet"),
    ("ReplicationController", "v1/ReplicationController"),
    ("StatefulSet", "apps/v1/StatefulSet"),
];

/// The longest name of a rule.
const MAX_NAME: usize = 63;

/// The generated rules of a policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generated {
    /// For controllers with `spec.template`, named `autogen-…`.
    pub controllers: Vec<Value>,
    /// For CronJobs, named `autogen-cronjob-…`.
    pub cron_jobs: Vec<Value>,
}

/// Generates rules from a policy's `spec.rules`; `annotation` is the value of [`ANNOTATION`], if it is set.
pub fn generate(rules: &[Value], annotation: Option<&str>) -> Generated {
    if !applies(rules) {
        return Generated::default();
    }
    let wanted = |kind: &str| annotation.is_none_or(|list| list.split(',').any(|wanted| wanted == kind));
    let kinds: Vec<&str> = CONTROLLERS
        .iter()
        .filter(|(kind, _)| *kind != "CronJob" && wanted(kind))
        .map(|(_, full)| *full)
        .collect();
    let controllers = if kinds.is_empty() {
        Vec::new()
    } else {
        rules
            .iter()
            .filter_map(|rule| controller_rule(rule, &kinds))
            .map(|rule| rewrite(rule, &TEMPLATE))
            .collect()
    };
    let cron_jobs = if wanted("CronJob") {
        let rules = rules.iter().filter_map(cron_job_rule);
        rules.map(|rule| rewrite(rule, &CRON_JOB)).collect()
    } else {
        Vec::new()
    };
    Generated { controllers, cron_jobs }
}

/// Whether rules are generated at all: some rule is about pods, and none has something that does not carry over. One
/// such rule is enough to stop it for the whole policy.
pub fn applies(rules: &[Value]) -> bool {
    let mut needed = false;
    for rule in rules {
        let json_patch = |mutate: &Value| present(mutate.get("patchesJson6902"));
        let mutate = rule.get("mutate").unwrap_or(&Value::Null);
        let each = mutate.get("foreach").and_then(Value::as_array);
        if present(rule.get("generate"))
            || json_patch(mutate)
            || each.is_some_and(|all| all.iter().any(json_patch))
        {
            return false;
        }
        for resources in descriptions(rule) {
            let set = |name: &str| resources.get(name).is_some_and(|value| !value.is_null());
            let kinds = kinds_of(resources);
            let mixed = kinds.len() > 1 && has_pod(&kinds);
            if present(resources.get("name"))
                || present(resources.get("names"))
                || set("selector")
                || set("annotations")
                || mixed
            {
                return false;
            }
            needed |=
                kinds.iter().any(|kind| *kind == "Pod" || CONTROLLERS.iter().any(|(known, _)| known == kind));
        }
    }
    needed
}

/// Whether a value is there and is not empty.
fn present(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(values)) => !values.is_empty(),
        Some(_) => true,
    }
}

/// All `resources` of `match` and `exclude`.
fn descriptions(rule: &Value) -> Vec<&Value> {
    let blocks = ["match", "exclude"].into_iter().filter_map(|name| rule.get(name));
    blocks.flat_map(block_descriptions).collect()
}

fn block_descriptions(block: &Value) -> Vec<&Value> {
    let lists = ["any", "all"].into_iter().filter_map(|name| block.get(name)?.as_array());
    let filters = std::iter::once(block).chain(lists.flatten());
    filters.filter_map(|filter| filter.get("resources")).collect()
}

fn kinds_of(resources: &Value) -> Vec<&str> {
    let kinds = resources.get("kinds").and_then(Value::as_array);
    kinds.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn has_pod(kinds: &[&str]) -> bool {
    kinds.iter().any(|kind| KindSelector::parse(kind).kind() == "Pod")
}

/// The rule for controllers, before its variables are rewritten; `None` if the rule is not about pods.
fn controller_rule(rule: &Value, kinds: &[&str]) -> Option<Value> {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let all = |block: &str| -> Vec<&str> {
        let block = rule.get(block).into_iter().flat_map(block_descriptions);
        block.flat_map(kinds_of).collect()
    };
    let excluded = all("exclude");
    if name.starts_with("autogen-")
        || !has_pod(&all("match"))
        || (!excluded.is_empty() && !has_pod(&excluded))
    {
        return None;
    }
    nest(rule, &format!("autogen-{name}"), "template", kinds, false)
}

fn cron_job_rule(rule: &Value) -> Option<Value> {
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    let kinds = ["batch/v1/CronJob"];
    let inner = controller_rule(rule, &kinds)?;
    nest(&inner, &format!("autogen-cronjob-{name}"), "jobTemplate", &kinds, true)
}

/// The rule one level further down: other kinds, patterns below `spec.<key>`.
fn nest(rule: &Value, name: &str, key: &str, kinds: &[&str], every: bool) -> Option<Value> {
    let mut rule = rule.as_object()?.clone();
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end))?;
    rule.insert("name".to_owned(), json!(&name[..end]));
    for (block, always) in [("match", true), ("exclude", false)] {
        if let Some(block) = rule.get_mut(block) {
            replace_kinds(block, kinds, every, always);
        }
    }
    let validate = rule.get("validate")?.as_object()?;
    let nested = nest_validate(validate, key)?;
    rule.insert("validate".to_owned(), Value::Object(nested));
    Some(Value::Object(rule))
}

fn replace_kinds(block: &mut Value, kinds: &[&str], every: bool, always: bool) {
    for list in ["any", "all"] {
        let filters = block.get_mut(list).and_then(Value::as_array_mut).filter(|list| !list.is_empty());
        if let Some(filters) = filters {
            for filter in filters {
                let about_pods = filter.get("resources").is_some_and(|r| has_pod(&kinds_of(r)));
                if (every || about_pods)
                    && let Some(filter) = filter.as_object_mut()
                {
                    let resources = filter.entry("resources").or_insert_with(|| json!({}));
                    if let Some(resources) = resources.as_object_mut() {
                        resources.insert("kinds".to_owned(), json!(kinds));
                    }
                }
            }
            return;
        }
    }
    if let Some(resources) = block.get_mut("resources").and_then(Value::as_object_mut)
        && (always || present(resources.get("kinds")))
    {
        resources.insert("kinds".to_owned(), json!(kinds));
    }
}

/// What of `validate` is carried over, with patterns nested; other kinds of rules are copied as they are.
fn nest_validate(validate: &Map<String, Value>, key: &str) -> Option<Map<String, Value>> {
    const CHECKS: [&str; 5] = ["pattern", "deny", "podSecurity", "anyPattern", "foreach"];
    let below = |pattern: &Value| json!({"spec": {key: pattern}});
    let check = CHECKS.into_iter().find(|check| validate.get(*check).is_some_and(|value| !value.is_null()));
    let Some(check) = check else { return Some(validate.clone()) };
    let value = validate.get(check)?;
    let value = match (check, value) {
        ("pattern", pattern) => below(pattern),
        ("anyPattern", Value::Array(patterns)) => patterns.iter().map(below).collect(),
        (_, value) => value.clone(),
    };
    let mut nested = Map::new();
    for name in ["message", "failureAction", "failureActionOverrides", "allowExistingViolations"] {
        if let Some(value) = validate.get(name) {
            nested.insert(name.to_owned(), value.clone());
        }
    }
    nested.insert(check.to_owned(), value);
    Some(nested)
}

type Replacements = [(&'static str, &'static str); 4];

const TEMPLATE: Replacements = [
    ("request.object.spec", "request.object.spec.template.spec"),
    ("request.oldObject.spec", "request.oldObject.spec.template.spec"),
    ("request.object.metadata", "request.object.spec.template.metadata"),
    ("request.oldObject.metadata", "request.oldObject.spec.template.metadata"),
];

const CRON_JOB: Replacements = [
    ("request.object.spec", "request.object.spec.jobTemplate.spec.template.spec"),
    ("request.oldObject.spec", "request.oldObject.spec.jobTemplate.spec.template.spec"),
    ("request.object.metadata", "request.object.spec.jobTemplate.spec.template.metadata"),
    ("request.oldObject.metadata", "request.oldObject.spec.jobTemplate.spec.template.metadata"),
];

/// Replaces paths of pods by paths of templates wherever they stand in the rule, as Kyverno does it in the rule's bytes.
fn rewrite(value: Value, replacements: &Replacements) -> Value {
    let text = |text: String| {
        if !text.contains("request.") {
            return text;
        }
        replacements.iter().fold(text, |text, (from, to)| text.replace(from, to))
    };
    match value {
        Value::String(value) => Value::String(text(value)),
        Value::Array(values) => values.into_iter().map(|value| rewrite(value, replacements)).collect(),
        Value::Object(map) => {
            let member = |(key, value)| (text(key), rewrite(value, replacements));
            Value::Object(map.into_iter().map(member).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
