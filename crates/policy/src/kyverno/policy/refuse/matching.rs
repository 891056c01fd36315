//! `match` and `exclude`: users and roles of a known shape, selectors that select, kinds that are named, and a rule that
//! is about something.

use super::{Modes, Refused, list, present, text, texts};
use crate::kyverno::policy::background;
use crate::wildcard;
use serde_json::Value;

pub(super) fn check(rule: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    for side in ["match", "exclude"] {
        let Some(block) = present(rule, side) else { continue };
        let path = format!("{path}.{side}");
        sides(block, &path, refused);
        filters(block, &path, &mut |filter, path| {
            users(filter, path, refused);
            resources(filter, path, modes, refused);
            wildcards(rule, filter, path, modes, refused);
        });
    }
    if let Some(matched) = present(rule, "match") {
        described(matched, &format!("{path}.match"), refused);
    }
    if let Some(reason) = empty(rule) {
        refused.add(format!("{path}.exclude"), reason);
    }
    if modes.background && background::matches_users(rule) {
        let reason = "nobody makes a request in the background, accepted: users with spec.background: false";
        refused.add(format!("{path}.match"), reason);
    }
}

/// The block itself, and each of its filters.
fn filters<'v>(block: &'v Value, path: &str, look: &mut dyn FnMut(&'v Value, &str)) {
    look(block, path);
    for name in ["any", "all"] {
        let all = list(block, name).iter().enumerate();
        all.for_each(|(index, filter)| look(filter, &format!("{path}.{name}[{index}]")));
    }
}

fn has_resources(filter: &Value) -> bool {
    filter.get("resources").and_then(Value::as_object).is_some_and(|map| map.values().any(|v| !v.is_null()))
}

fn sides(block: &Value, path: &str, refused: &mut Refused<'_>) {
    let filled = |name: &str| !list(block, name).is_empty();
    if (filled("any") || filled("all")) && has_resources(block) {
        refused
            .add(format!("{path}.resources"), "any or all is set too, accepted: one of resources, any, all");
    }
}

fn users(filter: &Value, path: &str, refused: &mut Refused<'_>) {
    for (index, subject) in list(filter, "subjects").iter().enumerate() {
        let path = format!("{path}.subjects[{index}]");
        let kind = text(subject, "kind");
        if !matches!(kind, "User" | "Group" | "ServiceAccount") {
            refused.add(
                format!("{path}.kind"),
                format!("found {kind:?}, accepted: User, Group, ServiceAccount"),
            );
        }
        let needed = ["name", "namespace"].into_iter().take(1 + usize::from(kind == "ServiceAccount"));
        for name in needed.filter(|name| text(subject, name).is_empty()) {
            refused.add(format!("{path}.{name}"), "missing");
        }
    }
    for (index, role) in texts(filter, "roles").into_iter().enumerate() {
        if role.split(':').count() != 2 {
            refused
                .add(format!("{path}.roles[{index}]"), format!("found {role:?}, accepted: namespace:name"));
        }
    }
}

fn resources(filter: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    let Some(resources) = present(filter, "resources") else { return };
    let path = format!("{path}.resources");
    if !text(resources, "name").is_empty() && !list(resources, "names").is_empty() {
        refused.add(format!("{path}.name"), "names is set too, accepted: one of them");
    }
    if let Some(selector) = present(resources, "selector") {
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        if labels.is_none_or(|labels| labels.is_empty()) && list(selector, "matchExpressions").is_empty() {
            refused
                .add(format!("{path}.selector"), "it selects everything, accepted: at least one requirement");
        }
        let mut labels =
            labels.into_iter().flatten().map(|(key, value)| (key, value.as_str().unwrap_or_default()));
        let is_pattern =
            |(key, value): (&String, &str)| wildcard::is_pattern(key) || wildcard::is_pattern(value);
        if !labels.clone().any(is_pattern)
            && let Some((key, value)) = labels.find(|(key, value)| !is_label(key, value))
        {
            let reason =
                format!("no object can have the label {key}={value}, accepted: letters, digits, -, _ and .");
            refused.add(format!("{path}.selector.matchLabels"), reason);
        }
    }
    if modes.namespaced && !list(resources, "namespaces").is_empty() {
        refused.add(
            format!("{path}.namespaces"),
            "a Policy is about its own namespace, accepted: a ClusterPolicy",
        );
    }
}

/// Whether an object can have a label (`k8s.io/apimachinery` `validation.IsQualifiedName`, `IsValidLabelValue`).
fn is_label(key: &str, value: &str) -> bool {
    let is_name = |text: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 63
            && text.chars().all(inside)
            && ends(text.chars().next())
            && ends(text.chars().next_back())
    };
    let name = key.split_once('/').map_or(key, |(_, name)| name);
    is_name(name) && (value.is_empty() || is_name(value))
}

/// What is matched is named by kinds at the least.
fn described(block: &Value, path: &str, refused: &mut Refused<'_>) {
    let listed = ["any", "all"].into_iter().find(|name| !list(block, name).is_empty());
    let each: Vec<(String, &Value)> = match listed {
        Some(name) => {
            let all = list(block, name).iter().enumerate();
            all.map(|(index, filter)| (format!("{path}.{name}[{index}]"), filter)).collect()
        }
        None => vec![(path.to_owned(), block)],
    };
    for (path, filter) in each {
        if present(filter, "resources").is_none_or(|resources| list(resources, "kinds").is_empty()) {
            refused.add(format!("{path}.resources.kinds"), "missing, accepted: at least one kind");
        }
    }
}

/// Rules about every kind can only ask for what every kind has.
fn wildcards(rule: &Value, filter: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    let kinds = filter.get("resources").map(|resources| texts(resources, "kinds")).unwrap_or_default();
    if !kinds.contains(&"*") {
        return;
    }
    let path = format!("{path}.resources.kinds");
    if modes.background {
        refused.add(
            &path,
            "\"*\" is not scanned in the background, accepted: \"*\" with spec.background: false",
        );
    }
    if kinds.len() > 1 {
        refused.add(&path, "\"*\" is every kind, accepted: no kind beside it");
    }
    let validate = rule.get("validate").unwrap_or(&Value::Null);
    if present(rule, "generate").is_some()
        || present(rule, "verifyImages").is_some()
        || present(validate, "foreach").is_some()
    {
        refused.add(&path, "\"*\" is not for such a rule, accepted: pattern, anyPattern, deny");
    }
    let patterns = present(validate, "pattern").into_iter().chain(list(validate, "anyPattern"));
    let beyond =
        |pattern: &Value| pattern.as_object().is_some_and(|map| map.keys().any(|key| key != "metadata"));
    let asks_beyond = |condition: &Value| {
        let key = text(condition, "key");
        !key.contains("request.object.metadata.")
            && (!is_of_requests(key) || key.contains("request.object.spec"))
    };
    let old = validate.pointer("/deny/conditions").and_then(Value::as_array);
    if patterns.into_iter().any(beyond) || old.is_some_and(|old| old.iter().any(asks_beyond)) {
        refused
            .add(&path, "with \"*\" a rule can ask for metadata alone, accepted: the kinds that are meant");
    }
}

/// Whether a variable is about the request or who makes it.
fn is_of_requests(key: &str) -> bool {
    key.split("{{").skip(1).any(|rest| {
        let (inside, rest) = rest.split_once('}').unwrap_or((rest, ""));
        let inside = inside.trim_start();
        rest.starts_with('}')
            && ["request.", "serviceAccountName", "serviceAccountNamespace"]
                .iter()
                .any(|name| inside.starts_with(name))
    })
}

/// Why nothing is left of what is matched.
fn empty(rule: &Value) -> Option<String> {
    let (matched, excluded) = (rule.get("match").unwrap_or(&Value::Null), present(rule, "exclude")?);
    if !list(matched, "all").is_empty() || !list(excluded, "all").is_empty() {
        return None;
    }
    let (any, excluded_any) = (list(matched, "any"), list(excluded, "any"));
    if !any.is_empty() && !excluded_any.is_empty() {
        let at = excluded_any.iter().position(|filter| any.contains(filter))?;
        return Some(format!("any[{at}] is in match.any too, so that the rule matches nothing"));
    }
    let filled = excluded.as_object().is_some_and(|map| map.values().any(|value| !value.is_null()));
    (filled && covers(excluded, matched)).then(|| {
        "it leaves out everything that is matched, as far as Kyverno can see, accepted: match and exclude with any or \
         all"
            .to_owned()
    })
}

/// Whether an `exclude` without lists of filters leaves out whatever a `match` without them is about.
fn covers(excluded: &Value, matched: &Value) -> bool {
    let (none, nothing) = (Value::Null, Value::Null);
    let (ours, theirs) =
        (excluded.get("resources").unwrap_or(&none), matched.get("resources").unwrap_or(&nothing));
    let within = |ours: &Value, theirs: &Value, name: &str| {
        let (ours, theirs) = (list(ours, name), list(theirs, name));
        ours.is_empty() || (!theirs.is_empty() && theirs.iter().all(|one| ours.contains(one)))
    };
    if !["roles", "clusterRoles", "subjects"].iter().all(|name| within(excluded, matched, name)) {
        return false;
    }
    let name = text(ours, "name");
    if !name.is_empty() && !wildcard::matches(name, text(theirs, "name")) {
        return false;
    }
    let (names, other) = (texts(ours, "names"), texts(theirs, "names"));
    if !names.is_empty() {
        return other.iter().any(|name| names.iter().any(|pattern| wildcard::matches(pattern, name)));
    }
    ["namespaces", "kinds"].iter().all(|name| within(ours, theirs, name))
        && ["selector", "namespaceSelector"]
            .iter()
            .all(|name| selects(present(ours, name), present(theirs, name)))
        && present(ours, "annotations") == present(theirs, "annotations")
}

fn selects(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return ours.is_none() && theirs.is_none() };
    let (expressions, other) = (list(ours, "matchExpressions"), list(theirs, "matchExpressions"));
    let labels = |selector: &Value| {
        selector.get("matchLabels").and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let (labels, others) = (labels(ours), labels(theirs));
    (expressions.is_empty() || (!other.is_empty() && other.iter().all(|one| expressions.contains(one))))
        && (labels.is_empty()
            || (!others.is_empty() && others.iter().all(|(key, value)| labels.get(key) == Some(value))))
}
