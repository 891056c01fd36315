//! The same for exclusions of Kyverno's rules and for its exceptions, as Kyverno evaluates them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::documents::{Kind, exceptions, kind, policies};
use super::super::table::{SAVES_NOTHING, WIDER_THAN_NEEDED};
use super::super::{Given, Report, text, texts};
use super::{GIVEN, Needed, add, told};
use crate::exemption::UNSET;
use crate::kyverno::policy::{Exception, Input, Policy, Status};
use crate::kyverno::quirk::{Quirk, Quirks};
use crate::pss::{CheckResult, Finding, Level, LevelVersion, Version, evaluate, extract};
use crate::wildcard;

/// What Kyverno says: one entry a rule and resource.
type Verdicts = Vec<(usize, String, Status, String)>;

pub(super) fn policy(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let known: Vec<Exception> =
        exceptions(given.documents).into_iter().map(|(_, exception)| exception).collect();
    let Some(base) = verdicts_of(given, object, &known) else { return };
    let rules = object.pointer("/spec/rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, rule) in rules.iter().enumerate() {
        let list = rule.pointer("/validate/podSecurity/exclude").and_then(Value::as_array);
        let list = list.map_or(&[][..], Vec::as_slice);
        let place = format!("/spec/rules/{index}/validate/podSecurity/exclude");
        for (number, exclusion) in list.iter().enumerate() {
            let path = format!("spec.rules[{index}].validate.podSecurity.exclude[{number}]");
            let with = |others: Vec<Value>| {
                verdicts_of(given, &replaced(object, &place, list, number, others), &known)
            };
            one(given, exclusion, level(rule), (&base, &with, &path), report);
        }
    }
}

/// One exclusion: left out, and narrowed.
fn one(
    given: &Given<'_>,
    exclusion: &Value,
    level: LevelVersion,
    (base, with, path): (&Verdicts, &dyn Fn(Vec<Value>) -> Option<Verdicts>, &str),
    report: &mut Report<'_>,
) {
    let control = text(exclusion, "/controlName");
    if with(Vec::new()).as_ref() == Some(base) {
        let message = format!("the exclusion of {control} changes nothing about the given resources");
        return report.add(&SAVES_NOTHING, path, message, "");
    }
    let needed = needed(given, exclusion, level);
    let narrowed: Vec<Value> =
        needed.iter().map(|(field, values)| exclusion_of(exclusion, field, values.as_ref())).collect();
    let written = (text(exclusion, "/restrictedField"), texts(exclusion, "values"));
    let idle = |pattern: &&str| {
        let mut all = needed.values().flatten().flatten();
        !all.any(|value| wildcard::matches(pattern, value) || value == UNSET)
    };
    let wider = written.0.is_empty() || (needed.values().all(Option::is_some) && written.1.iter().any(idle));
    if wider
        && !narrowed.is_empty()
        && with(narrowed.clone()).is_some_and(|found| statuses(&found) == statuses(base))
    {
        report.add(&WIDER_THAN_NEEDED, path, told(GIVEN, control, &needed), "the exclusions below");
        report.fixed(Value::Array(narrowed));
    }
}

/// A document with one element of a list replaced by others.
fn replaced(object: &Value, place: &str, list: &[Value], number: usize, others: Vec<Value>) -> Value {
    let mut object = object.clone();
    if let Some(written) = object.pointer_mut(place) {
        let mut elements: Vec<Value> = list.to_vec();
        elements.splice(number..=number, others);
        *written = Value::Array(elements);
    }
    object
}

/// An exclusion of one field with the values that are needed. Kyverno wants values in any case; a field that is not set
/// is the empty one.
fn exclusion_of(
    exclusion: &Value,
    field: &str,
    values: Option<&std::collections::BTreeSet<String>>,
) -> Value {
    let values: Vec<&str> = match values {
        None => vec![""],
        Some(values) => values.iter().map(|value| if value == UNSET { "" } else { value }).collect(),
    };
    let mut narrow = json!({ "controlName": text(exclusion, "/controlName") });
    if let Some(images) = exclusion.get("images") {
        narrow["images"] = images.clone();
    }
    narrow["restrictedField"] = json!(field);
    narrow["values"] = json!(values);
    narrow
}

/// What the resources have of what the exclusion is about.
fn needed(given: &Given<'_>, exclusion: &Value, level: LevelVersion) -> Needed {
    let mut needed = Needed::new();
    let (control, images) = (text(exclusion, "/controlName"), texts(exclusion, "images"));
    let about = |result: &CheckResult<'_>, finding: &Finding<'_>| {
        let holder = match finding.container() {
            Some(container) => images.iter().any(|pattern| wildcard::matches(pattern, container.image())),
            None => images.is_empty(),
        };
        result.check.control == control && holder
    };
    for resource in given.resources {
        let Ok(Some(pod)) = extract(resource) else { continue };
        for result in &evaluate(level.level, level.version, &pod) {
            for finding in result.findings.iter().filter(|finding| about(result, finding)) {
                let value = crate::exemption::value_of(finding).into_owned();
                add(&mut needed, finding.restricted_field(), finding.field, value);
            }
        }
    }
    needed
}

pub(super) fn exception(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let Ok(own) = Exception::parse(object) else { return };
    let policies: Vec<(usize, Policy)> = policies(given.documents)
        .into_iter()
        .filter(|(_, policy)| own.rules().iter().any(|(name, _)| *name == policy.key()))
        .collect();
    if policies.is_empty() {
        return;
    }
    let others: Vec<Exception> = given
        .documents
        .iter()
        .enumerate()
        .filter(|(index, other)| *index != report.document && kind(other) == Some(Kind::Exception))
        .filter_map(|(_, other)| Exception::parse(other).ok())
        .collect();
    let verdicts = |exception: Option<Exception>| {
        let exceptions: Vec<Exception> = exception.into_iter().chain(others.iter().cloned()).collect();
        policies.iter().flat_map(|(_, policy)| verdicts(given, policy, &exceptions)).collect::<Verdicts>()
    };
    let base = verdicts(Some(own.clone()));
    if verdicts(None) == base {
        return report.add(
            &SAVES_NOTHING,
            "spec",
            "the exception changes nothing about the given resources".into(),
            "",
        );
    }
    let level = policies
        .iter()
        .filter_map(|(at, _)| standard(&given.documents[*at]))
        .map(level)
        .max_by_key(|l| l.level);
    let Some(level) = level else { return };
    let list = object.pointer("/spec/podSecurity").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (number, exclusion) in list.iter().enumerate() {
        let with = |others: Vec<Value>| {
            let changed = replaced(object, "/spec/podSecurity", list, number, others);
            Exception::parse(&changed).ok().map(|exception| verdicts(Some(exception)))
        };
        one(given, exclusion, level, (&base, &with, &format!("spec.podSecurity[{number}]")), report);
    }
    if list.is_empty() {
        let narrowed = whole(given, &policies, &own, level);
        let mut changed = object.clone();
        changed["spec"]["podSecurity"] = Value::Array(narrowed.clone());
        let found = Exception::parse(&changed).ok().map(|exception| verdicts(Some(exception)));
        if !narrowed.is_empty() && found.is_some_and(|found| failures(&found) == failures(&base)) {
            let message = "the given resources need only the exclusions below, not the whole rule";
            report.add(&WIDER_THAN_NEEDED, "spec", message.to_owned(), "podSecurity as below");
            report.fixed(json!({ "podSecurity": narrowed }));
        }
    }
}

/// What the resources that a whole exception takes out need, by control, image and field.
pub(crate) fn whole(
    given: &Given<'_>,
    policies: &[(usize, Policy)],
    own: &Exception,
    level: LevelVersion,
) -> Vec<Value> {
    let exceptions = [own.clone()];
    let mut needed: BTreeMap<(String, String), Needed> = BTreeMap::new();
    for resource in given.resources {
        let taken = |(_, policy): &(usize, Policy)| {
            policy
                .report(&input(given, resource, &exceptions))
                .iter()
                .any(|report| report.exceptions.contains(&own.key().to_owned()))
        };
        if !policies.iter().any(taken) {
            continue;
        }
        let Ok(Some(pod)) = extract(resource) else { continue };
        for result in &evaluate(level.level, level.version, &pod) {
            for finding in &result.findings {
                let image =
                    finding.container().map(|container| container.image().to_owned()).unwrap_or_default();
                let key = (result.check.control.to_owned(), image);
                let value = crate::exemption::value_of(finding).into_owned();
                add(needed.entry(key).or_default(), finding.restricted_field(), finding.field, value);
            }
        }
    }
    let of = |((control, image), needed): (&(String, String), &Needed)| {
        let mut frame = json!({ "controlName": control });
        if !image.is_empty() {
            frame["images"] = json!([image]);
        }
        needed.iter().map(|(field, values)| exclusion_of(&frame, field, values.as_ref())).collect::<Vec<_>>()
    };
    needed.iter().flat_map(of).collect()
}

/// A policy's first rule with a standard.
pub(crate) fn standard(object: &Value) -> Option<&Value> {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array)?;
    rules.iter().find(|rule| rule.pointer("/validate/podSecurity").is_some_and(Value::is_object))
}

pub(crate) fn level(rule: &Value) -> LevelVersion {
    let level = text(rule, "/validate/podSecurity/level").parse().unwrap_or(Level::Restricted);
    let version = text(rule, "/validate/podSecurity/version").parse().unwrap_or(Version::Latest);
    LevelVersion { level, version }
}

fn verdicts_of(given: &Given<'_>, object: &Value, exceptions: &[Exception]) -> Option<Verdicts> {
    let quirks = Quirks::KYVERNO.without(Quirk::HostProbesUnexcludable);
    Some(verdicts(given, &Policy::compile_with(object, quirks).ok()?, exceptions))
}

fn verdicts(given: &Given<'_>, policy: &Policy, exceptions: &[Exception]) -> Verdicts {
    let of = |(index, resource): (usize, &Value)| {
        let results = policy.evaluate(&input(given, resource, exceptions)).into_iter();
        results
            .map(move |result| {
                (index, format!("{}/{}", result.policy, result.rule), result.status, result.message)
            })
            .collect::<Vec<_>>()
    };
    given.resources.iter().enumerate().flat_map(of).collect()
}

fn statuses(verdicts: &Verdicts) -> Vec<Status> {
    verdicts.iter().map(|(_, _, status, _)| *status).collect()
}

fn failures(verdicts: &Verdicts) -> Vec<(usize, &str)> {
    let failed =
        |verdict: &&(usize, String, Status, String)| matches!(verdict.2, Status::Fail | Status::Error);
    verdicts.iter().filter(failed).map(|(index, rule, ..)| (*index, rule.as_str())).collect()
}

pub(crate) fn input<'a>(given: &Given<'a>, resource: &'a Value, exceptions: &'a [Exception]) -> Input<'a> {
    let created = Input::created(resource, given.environment);
    Input { namespace_labels: labels(given, resource), exceptions, ..created }
}

/// The labels of a resource's namespace, if it is among the documents.
fn labels<'a>(given: &Given<'a>, resource: &Value) -> &'a Value {
    let name = super::namespace_of(resource);
    let found = given
        .documents
        .iter()
        .find(|object| text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == name);
    found.and_then(|object| object.pointer("/metadata/labels")).unwrap_or(&Value::Null)
}
