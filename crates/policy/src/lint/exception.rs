//! PolicyExceptions against the policies that they name.

use serde_json::Value;

use super::documents::{is_told, policies, quirk};
use super::table::{
    EXCEPTION_FORGETS_AUTOGEN, EXCEPTION_UNKNOWN_POLICY, EXCEPTION_UNKNOWN_RULE, EXCEPTION_WHOLE_RULE,
    EXPIRED, INVALID, NAME_ONLY,
};
use super::{Given, Report, exclusion, hint, text, texts};
use crate::go::time::Moment;
use crate::kyverno::policy::{Exception, Policy};
use crate::wildcard;

/// Until when Kyverno's cleanup controller leaves an object alone.
const TTL: &str = "cleanup.kyverno.io/ttl";
/// The two forms of a date in that label.
const DATES: [&str; 2] = ["2006-01-02T150405Z", "2006-01-02"];

pub(super) fn check(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let list = object.pointer("/spec/podSecurity").and_then(Value::as_array);
    for (index, exclusion) in list.into_iter().flatten().enumerate() {
        exclusion::check(exclusion, &format!("spec.podSecurity[{index}]"), report);
    }
    match Exception::parse(object) {
        Err(error) if !is_told(&error.path, report) => report.add(&INVALID, error.path, error.reason, ""),
        Err(_) => {}
        Ok(exception) => {
            for touched in exception.quirks_touched() {
                quirk(touched.quirk, &touched.path, report);
            }
            let policies = policies(given.documents);
            for (index, (name, patterns)) in exception.rules().iter().enumerate() {
                named(given, object, (name, patterns), (&policies, index), report);
            }
        }
    }
    by_name(object, report);
    let ttl =
        object.pointer("/metadata/labels").and_then(|labels| labels.get(TTL)?.as_str()).unwrap_or_default();
    let end = DATES.iter().find_map(|layout| Moment::parse(layout, ttl).ok());
    if end.is_some_and(|end| !given.now().is_before(end)) {
        let path = format!("metadata.labels[{TTL}]");
        report.add(&EXPIRED, path, format!("to be cleaned up since {ttl}"), "");
    }
}

/// One element of `spec.exceptions`.
fn named(
    given: &Given<'_>,
    object: &Value,
    (name, patterns): (&str, &[String]),
    (policies, index): (&[(usize, Policy)], usize),
    report: &mut Report<'_>,
) {
    let path = format!("spec.exceptions[{index}]");
    if !policies.is_empty() && !policies.iter().any(|(_, policy)| policy.key() == name) {
        let known: Vec<&str> = policies.iter().map(|(_, policy)| policy.key()).collect();
        let message = format!("no policy {name:?} among those given{}", hint(name, known.iter().copied()));
        return report.add(
            &EXCEPTION_UNKNOWN_POLICY,
            format!("{path}.policyName"),
            message,
            known.join(", "),
        );
    }
    let Some((at, policy)) = policies.iter().find(|(_, policy)| policy.key() == name) else { return };
    let rules: Vec<&str> =
        policy.rule_names().chain(policy.unsupported().iter().map(|rule| rule.rule.as_str())).collect();
    for (number, pattern) in patterns.iter().enumerate() {
        if !rules.iter().any(|rule| wildcard::matches(pattern, rule)) {
            let message = format!("{name} has no rule {pattern:?}{}", hint(pattern, rules.iter().copied()));
            report.add(
                &EXCEPTION_UNKNOWN_RULE,
                format!("{path}.ruleNames[{number}]"),
                message,
                rules.join(", "),
            );
        }
    }
    forgets(object, patterns, &rules, &path, report);
    let document = &given.documents[*at];
    let standard =
        document.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten().find(|rule| {
            rule.pointer("/validate/podSecurity").is_some_and(Value::is_object)
                && patterns.iter().any(|pattern| wildcard::matches(pattern, text(rule, "/name")))
        });
    let narrow =
        object.pointer("/spec/podSecurity").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if let Some(rule) = standard.filter(|_| !narrow) {
        let level = text(rule, "/validate/podSecurity/level");
        let message = format!("every control of {level} is taken out, for every container");
        report.add(&EXCEPTION_WHOLE_RULE, path, message, "");
    }
}

/// Generated rules that the exception does not name although it is about the objects that they are for.
fn forgets(object: &Value, patterns: &[String], rules: &[&str], path: &str, report: &mut Report<'_>) {
    let kinds: Vec<&str> = filters(object).iter().flat_map(|filter| kinds(filter)).collect();
    let controllers = kinds.iter().any(|kind| !matches!(*kind, "Pod" | "Namespace"));
    let matched = |rule: &str| patterns.iter().any(|pattern| wildcard::matches(pattern, rule));
    for rule in rules.iter().filter(|rule| !rule.starts_with("autogen-") && matched(rule)) {
        let generated = [format!("autogen-{rule}"), format!("autogen-cronjob-{rule}")];
        let cron = kinds.iter().any(|kind| kind.ends_with("CronJob") || *kind == "*");
        let plain = kinds.iter().any(|kind| !kind.ends_with("CronJob") && *kind != "Pod");
        let missing: Vec<&str> = generated
            .iter()
            .zip([plain, cron])
            .filter(|(name, asked)| *asked && rules.contains(&name.as_str()) && !matched(name))
            .map(|(name, _)| name.as_str())
            .collect();
        if controllers && !missing.is_empty() {
            let message = format!("{} decides about these kinds, not {rule:?}", missing.join(" and "));
            let instead = format!("{} beside {rule}", missing.join(", "));
            report.add(&EXCEPTION_FORGETS_AUTOGEN, format!("{path}.ruleNames"), message, instead);
        }
    }
}

/// The filters of `spec.match`.
fn filters(object: &Value) -> Vec<&Value> {
    let of = |list: &str| object.pointer(&format!("/spec/match/{list}")).and_then(Value::as_array);
    [of("any"), of("all")].into_iter().flatten().flatten().collect()
}

fn kinds(filter: &Value) -> Vec<&str> {
    filter.get("resources").map(|resources| texts(resources, "kinds")).unwrap_or_default()
}

/// Filters that only say what an object is called.
fn by_name(object: &Value, report: &mut Report<'_>) {
    for list in ["any", "all"] {
        let filters = object.pointer(&format!("/spec/match/{list}")).and_then(Value::as_array);
        for (index, filter) in filters.into_iter().flatten().enumerate() {
            let set = |name: &str| {
                filter.pointer(&format!("/resources/{name}")).is_some_and(|value| !value.is_null())
            };
            let others = ["namespaces", "namespaceSelector", "selector"];
            if set("names") && !others.iter().any(|name| set(name)) {
                let path = format!("spec.match.{list}[{index}].resources.names");
                let message = "objects are selected by name alone: any namespace may have one of that name";
                report.add(&NAME_ONLY, path, message.to_owned(), "namespaces beside names");
            }
        }
    }
}
