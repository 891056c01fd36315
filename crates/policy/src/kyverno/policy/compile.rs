//! From a policy's JSON to rules. Everything that can be wrong is looked for here, and all of it is reported.

use super::background;
use super::refuse;
use super::settings::RuleSettings;
use super::{Body, Check, ForEach, Policy, PolicyError, Rule, Settings, Template, Unsupported};
use crate::go::print::untyped;
use crate::kyverno::autogen;
use crate::kyverno::conditions::Conditions;
use crate::kyverno::matching::Block;
use crate::kyverno::pod_security::{Exclusion, HOST_PROBES, PodSecurity};
use crate::kyverno::quirk::{Quirk, Quirks};
use crate::kyverno::scope::{Entry, Expressions, List};
use crate::kyverno::variables;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// How deep loops may be nested.
const MAX_NESTING: usize = 16;

type Found<T> = Result<T, PolicyError>;

fn wrong(path: impl Into<String>, reason: impl Into<String>) -> PolicyError {
    PolicyError { path: path.into(), reason: reason.into() }
}

/// Compiles a policy. `asked` says that somebody else decides by its match conditions whether it is asked; without,
/// nothing of a policy that has some is evaluated.
pub(super) fn policy(document: &Value, quirks: Quirks, asked: bool) -> Result<Policy, Vec<PolicyError>> {
    let (namespace, name) = names(document).map_err(|error| vec![error])?;
    let spec = document.get("spec").cloned().map(untyped).unwrap_or_default();
    let Some(rules) = spec.get("rules").and_then(Value::as_array) else {
        return Err(vec![wrong("spec.rules", "missing, accepted: a list of rules")]);
    };
    let annotations = document.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let annotation = |name: &str| annotations.and_then(|all| all.get(name)?.as_str());
    let generated = autogen::generate(rules, annotation(autogen::ANNOTATION));
    let mut errors = Vec::new();
    let settings = Settings::parse(&spec, &mut errors);
    let mut policy = Policy {
        quirks,
        settings,
        key: if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() },
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        scored: annotation("policies.kyverno.io/scored") != Some("false"),
        one: spec.get("applyRules").and_then(Value::as_str) == Some("One"),
        asks_who: rules.iter().any(background::asks_who),
        rules: Vec::new(),
        controllers: Vec::new(),
        cron_jobs: Vec::new(),
        unsupported: Vec::new(),
        expressions: Expressions::default(),
    };
    let webhook = !asked && !policy.settings.match_conditions.is_empty();
    read_rules(&mut policy, rules, webhook, &mut errors);
    // What is wrong in a generated rule is wrong in the one it was made from.
    let compile = |rules: &[Value]| -> Vec<Rule> {
        rules.iter().filter_map(|value| rule(value, "").ok()?.ok()).collect()
    };
    if !webhook {
        policy.controllers = compile(&generated.controllers);
        policy.cron_jobs = compile(&generated.cron_jobs);
    }
    check_names(rules, &mut errors);
    check_exclusions(&policy, &mut errors);
    refuse::refusals(&policy, &refuse::Written { document, spec: &spec, rules }, &mut errors);
    let all = rules.iter().chain(&generated.controllers).chain(&generated.cron_jobs);
    all.for_each(|rule| parse_expressions(rule, &mut policy.expressions));
    if errors.is_empty() { Ok(policy) } else { Err(errors) }
}

/// The policy's namespace, empty for a ClusterPolicy, and its name.
fn names(document: &Value) -> Found<(&str, &str)> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if !version.starts_with("kyverno.io/") || !matches!(kind, "ClusterPolicy" | "Policy") {
        let accepted = "accepted: ClusterPolicy or Policy of kyverno.io";
        return Err(wrong("kind", format!("found {version} {kind}, {accepted}")));
    }
    let namespace = match (kind, text("/metadata/namespace")) {
        ("Policy", "") => "default",
        ("Policy", namespace) => namespace,
        _ => "",
    };
    Ok((namespace, name))
}

/// The rules as they are written. `webhook` says that only a webhook could evaluate them, because nobody looks at the
/// policy's match conditions otherwise.
fn read_rules(policy: &mut Policy, rules: &[Value], webhook: bool, errors: &mut Vec<PolicyError>) {
    for (index, value) in rules.iter().enumerate() {
        match rule(value, &format!("spec.rules[{index}]")) {
            Ok(Ok(rule)) if webhook => {
                let what = "webhookConfiguration.matchConditions".to_owned();
                policy.unsupported.push(Unsupported { rule: rule.name.to_string(), what });
            }
            Ok(Ok(rule)) => policy.rules.push(rule),
            Ok(Err(unsupported)) => policy.unsupported.push(unsupported),
            Err(error) => errors.push(error),
        }
    }
}

/// Kyverno does not know the control that 1.34 added.
fn check_exclusions(policy: &Policy, errors: &mut Vec<PolicyError>) {
    let quirk = Quirk::HostProbesUnexcludable;
    for rule in policy.rules.iter().filter(|_| policy.quirks.on(quirk)) {
        let Body::PodSecurity(standard) = &rule.body else { continue };
        let unknown = |exclusion: &Exclusion| exclusion.control == HOST_PROBES;
        if let Some(at) = standard.exclusions().iter().position(unknown) {
            let path = format!("{}.validate.podSecurity.exclude[{at}].controlName", rule.path);
            errors.push(wrong(path, format!("Kyverno has no control {HOST_PROBES:?} (quirk {quirk})")));
        }
    }
}

/// Names of rules are unique: exceptions, reports and tests know rules by them.
fn check_names(rules: &[Value], errors: &mut Vec<PolicyError>) {
    let mut names = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
        let place = || format!("spec.rules[{index}].name");
        if name.len() > 63 {
            errors.push(wrong(place(), format!("{} characters long, accepted: at most 63", name.len())));
        }
        if !name.is_empty() && !names.insert(name) {
            errors.push(wrong(
                place(),
                format!("{name:?} names another rule already, accepted: a name of its own"),
            ));
        }
    }
}

/// Parses every expression of a rule, so that evaluation only looks them up.
fn parse_expressions(rule: &Value, expressions: &mut Expressions) {
    let mut found = Vec::new();
    variables::expressions(rule, &mut found);
    plain_expressions(rule, &mut found);
    found.iter().for_each(|expression| expressions.add(expression));
}

/// Expressions that stand without braces: lists of loops and paths of variables.
fn plain_expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("list" | "jmesPath", Value::String(text)) => found.push(text.trim().to_owned()),
                    _ => plain_expressions(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| plain_expressions(value, found)),
        _ => {}
    }
}

fn rule(value: &Value, path: &str) -> Found<Result<Rule, Unsupported>> {
    let map = value.as_object().ok_or_else(|| wrong(path, "wrong type, accepted: a rule"))?;
    let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(wrong(format!("{path}.name"), "missing"));
    }
    one_type(map, path)?;
    let validate = match what(map) {
        Ok(Some(validate)) => validate,
        Ok(None) => {
            let accepted = "accepted: one of validate, mutate, generate, verifyImages";
            return Err(wrong(path, format!("the rule does nothing, {accepted}")));
        }
        Err(what) => return Ok(Err(Unsupported { rule: name.to_owned(), what })),
    };
    let block = |key: &str| match map.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => Block::parse(value)
            .map(Some)
            .map_err(|error| wrong(join(&format!("{path}.{key}"), &error.path), error.reason)),
    };
    let matching = block("match")?.ok_or_else(|| wrong(format!("{path}.match"), "missing"))?;
    Ok(Ok(Rule {
        name: name.into(),
        path: path.to_owned(),
        matching,
        exclude: block("exclude")?,
        context: entries(map, path)?,
        preconditions: conditions(map, "preconditions", path)?,
        settings: RuleSettings::parse(map, validate, path)?,
        allow_existing: validate.get("allowExistingViolations") != Some(&Value::Bool(false)),
        message: validate.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
        body: body(validate, &format!("{path}.validate"))?,
    }))
}

/// A rule does one thing: Kyverno refuses a policy with a rule that does two.
fn one_type(rule: &Map<String, Value>, path: &str) -> Found<()> {
    let types = ["validate", "mutate", "generate", "verifyImages"];
    let mut set = types.into_iter().filter(|key| rule.get(*key).is_some_and(|value| !value.is_null()));
    match (set.next(), set.next()) {
        (Some(one), Some(other)) => {
            let reason = format!("both {one} and {other} are set, accepted: one of {}", types.join(", "));
            Err(wrong(format!("{path}.{other}"), reason))
        }
        _ => Ok(()),
    }
}

/// What a rule validates; the error names what it does instead, or in another way.
fn what(rule: &Map<String, Value>) -> Result<Option<&Map<String, Value>>, String> {
    let set = |map: &Map<String, Value>, key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let others = ["mutate", "generate", "verifyImages", "celPreconditions"];
    if let Some(other) = others.into_iter().find(|key| set(rule, key)) {
        return Err(other.to_owned());
    }
    let Some(Value::Object(validate)) = rule.get("validate") else { return Ok(None) };
    match ["cel", "manifests", "assert"].into_iter().find(|key| set(validate, key)) {
        Some(other) => Err(format!("validate.{other}")),
        None => Ok(Some(validate)),
    }
}

fn join(path: &str, rest: &str) -> String {
    match rest {
        "" => path.to_owned(),
        rest if rest.starts_with('[') => format!("{path}{rest}"),
        rest => format!("{path}.{rest}"),
    }
}

fn entries(map: &Map<String, Value>, path: &str) -> Found<Vec<Entry>> {
    let list = match map.get("context") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(wrong(format!("{path}.context"), "wrong type, accepted: a list of entries")),
    };
    let parse = |(index, value)| {
        Entry::parse(value).map_err(|reason| wrong(format!("{path}.context[{index}]"), reason))
    };
    list.iter().enumerate().map(parse).collect()
}

fn conditions(map: &Map<String, Value>, key: &str, path: &str) -> Found<Conditions> {
    Conditions::parse(map.get(key).unwrap_or(&Value::Null))
        .map_err(|error| wrong(join(&format!("{path}.{key}"), &error.path), error.reason))
}

fn body(validate: &Map<String, Value>, path: &str) -> Found<Body> {
    match validate.get("podSecurity").filter(|value| !value.is_null()) {
        None => check(validate, path, 0).map(Body::Check),
        Some(value) => {
            only(validate, &["podSecurity", "pattern", "anyPattern", "deny", "foreach"], path)?;
            PodSecurity::parse(value)
                .map(Body::PodSecurity)
                .map_err(|error| wrong(join(&format!("{path}.podSecurity"), &error.path), error.reason))
        }
    }
}

/// The one of several fields that is set.
fn only<'n>(map: &Map<String, Value>, names: &[&'n str], path: &str) -> Found<&'n str> {
    let mut set = names.iter().filter(|name| map.get(**name).is_some_and(|value| !value.is_null())).copied();
    match (set.next(), set.next()) {
        (Some(name), None) => Ok(name),
        (None, _) => Err(wrong(path, format!("nothing to check, accepted: one of {}", names.join(", ")))),
        (Some(one), Some(other)) => {
            Err(wrong(path, format!("both {one} and {other} are set, accepted: one of {}", names.join(", "))))
        }
    }
}

fn check(map: &Map<String, Value>, path: &str, nesting: usize) -> Found<Check> {
    let name = only(map, &["pattern", "anyPattern", "deny", "foreach"], path)?;
    let value = map.get(name).unwrap_or(&Value::Null);
    let path = format!("{path}.{name}");
    match (name, value) {
        ("pattern", value) => Ok(Check::Pattern(Template::new(value))),
        ("anyPattern", Value::Array(patterns)) => {
            Ok(Check::AnyPattern(patterns.iter().map(Template::new).collect()))
        }
        ("deny", Value::Object(deny)) => conditions(deny, "conditions", &path).map(Check::Deny),
        ("foreach", Value::Array(loops)) if nesting < MAX_NESTING => {
            let parse = |(index, value)| for_each(value, &format!("{path}[{index}]"), nesting);
            loops.iter().enumerate().map(parse).collect::<Found<_>>().map(Check::ForEach)
        }
        _ => Err(wrong(path, "wrong type or nested too deep")),
    }
}

fn for_each(value: &Value, path: &str, nesting: usize) -> Found<ForEach> {
    let map = value.as_object().ok_or_else(|| wrong(path, "wrong type, accepted: an object with list"))?;
    let list = map.get("list").and_then(Value::as_str);
    Ok(ForEach {
        list: List::new(list.ok_or_else(|| wrong(format!("{path}.list"), "missing"))?),
        element_scope: map.get("elementScope").and_then(Value::as_bool),
        context: entries(map, path)?,
        preconditions: conditions(map, "preconditions", path)?,
        check: check(map, path, nesting + 1)?,
    })
}
