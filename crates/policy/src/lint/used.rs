//! What exclusions and exemptions do with the given resources: nothing, or less than they could. Each narrowed form is
//! evaluated before it is offered, so that whoever takes it changes no verdict about these resources.

pub(crate) mod kyverno;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::documents::{Kind, kind};
use super::exemption::spec;
use super::table::{SAVES_NOTHING, WIDER_THAN_NEEDED};
use super::{Finding, Given, Report, namespaces, text};
use crate::exemption::{AllowSpec, Exemption, Who, apply, field_has_name, fields_of, slip, value_of};
use crate::pss::{Field, Level, LevelVersion, evaluate, extract};

/// Fields with the values that are needed of each; `None` for a field that has none to choose from.
type Needed = BTreeMap<String, Option<BTreeSet<String>>>;

/// Who is spoken of.
const GIVEN: &str = "the given resources";

pub(super) fn check(given: &Given<'_>, findings: &mut Vec<Finding>) {
    for (document, object) in given.documents.iter().enumerate() {
        let mut report = Report { findings, document };
        match kind(object) {
            Some(Kind::Exemption) => exemption(given, object, &mut report),
            Some(Kind::Policy) => kyverno::policy(given, object, &mut report),
            Some(Kind::Exception) => kyverno::exception(given, object, &mut report),
            _ => {}
        }
    }
}

fn exemption(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let Ok(exemption) = Exemption::parse(object) else { return };
    if exemption.expired(given.now()) {
        return;
    }
    let Some(spec) = spec(object) else {
        if saved(given, &exemption).1 == 0 {
            report.add(&SAVES_NOTHING, "spec", "no container of the given resources needs it".into(), "");
        }
        return;
    };
    for (number, entry) in spec.entries.iter().enumerate() {
        for (index, allow) in entry.allow.iter().enumerate() {
            let mut single = object.clone();
            single["spec"]["entries"] = json!([{ "containers": entry.containers, "allow": [allow] }]);
            let Ok(exemption) = Exemption::parse(&single) else { continue };
            let (needed, count) = saved(given, &exemption);
            let path = format!("spec.entries[{number}].allow[{index}]");
            if count == 0 {
                let message = format!("{} is exempted for nothing in the given resources", allow.control);
                report.add(&SAVES_NOTHING, path, message, "");
                continue;
            }
            let narrowed = narrowed(&allow.control, &needed);
            single["spec"]["entries"][0]["allow"] = json!(narrowed);
            let same = Exemption::parse(&single).is_ok_and(|exemption| saved(given, &exemption).1 == count);
            if same && is_wider(allow, &needed) {
                report.add(&WIDER_THAN_NEEDED, path, told(GIVEN, &allow.control, &needed), "the allow below");
                report.fixed(json!(narrowed));
            }
        }
    }
}

/// What an exemption takes out of the findings about the resources, and how many those are.
fn saved(given: &Given<'_>, exemption: &Exemption) -> (Needed, usize) {
    let (mut needed, mut count) = (Needed::new(), 0);
    for resource in given.resources {
        let Ok(Some(pod)) = extract(resource) else { continue };
        let namespace = namespace_of(resource);
        let asked = level(given, namespace);
        let mut results = evaluate(asked.level, asked.version, &pod);
        let removed = apply(
            &mut results,
            &pod,
            &Who::of(&pod, namespace),
            std::slice::from_ref(exemption),
            given.now(),
        );
        count += removed.len();
        for removed in &removed {
            let value = value_of(&removed.finding).into_owned();
            add(&mut needed, removed.finding.restricted_field(), removed.finding.field, value);
        }
    }
    (needed, count)
}

fn add(needed: &mut Needed, name: String, field: &Field, value: String) {
    let values = needed.entry(name).or_insert_with(|| has_values(field).then(BTreeSet::new));
    if let Some(values) = values {
        values.insert(value);
    }
}

/// Whether the field has values to choose from.
fn has_values(field: &Field) -> bool {
    slip(field, "\u{0}").is_none_or(|(_, accepted)| accepted != ["no values"])
}

fn narrowed(control: &str, needed: &Needed) -> Vec<AllowSpec> {
    let of = |(field, values): (&String, &Option<BTreeSet<String>>)| AllowSpec {
        control: control.to_owned(),
        field: Some(field.clone()),
        values: values.as_ref().map(|values| values.iter().cloned().collect()),
    };
    needed.iter().map(of).collect()
}

/// Whether the written form names less than could be named, or values that nothing needs.
fn is_wider(allow: &AllowSpec, needed: &Needed) -> bool {
    let open = needed.values().any(Option::is_some) && allow.values.is_none();
    let idle = |pattern: &String| {
        let mut all = needed.values().flatten().flatten();
        pattern == "*" || !all.any(|value| crate::wildcard::matches(pattern, value))
    };
    allow.field.is_none() || open || allow.values.iter().flatten().any(idle)
}

/// What of a part of an exemption pods need, in one sentence, if that is less than it allows. `needed` has the fields of
/// the control with the values that they have in pods, `unset` where they have none.
pub fn wider_than(allow: &AllowSpec, needed: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let fields = fields_of(&allow.control);
    let of = |(name, values): (&String, &BTreeSet<String>)| {
        let field = fields.iter().find(|field| field_has_name(field, name));
        let values = field.is_none_or(|field| has_values(field)).then(|| values.clone());
        (name.clone(), values)
    };
    let needed: Needed = needed.iter().map(of).collect();
    (!needed.is_empty() && is_wider(allow, &needed)).then(|| told("pods", &allow.control, &needed))
}

/// The needed values in one sentence.
fn told(who: &str, control: &str, needed: &Needed) -> String {
    let of = |(field, values): (&String, &Option<BTreeSet<String>>)| match values {
        None => field.clone(),
        Some(values) => {
            format!("{field} [{}]", values.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
    };
    format!("of {control}, {who} need only {}", needed.iter().map(of).collect::<Vec<_>>().join("; "))
}

pub(crate) fn namespace_of(resource: &Value) -> &str {
    match text(resource, "/metadata/namespace") {
        "" => "default",
        name => name,
    }
}

/// The strictest that is asked of pods of a namespace; restricted where nobody says.
fn level(given: &Given<'_>, namespace: &str) -> LevelVersion {
    let all = namespaces::levels(given.documents, namespace);
    all.into_iter().max_by_key(|level| level.level).unwrap_or(LevelVersion::latest(Level::Restricted))
}
