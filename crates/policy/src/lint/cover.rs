//! Exclusions and entries of exemptions that another one covers entirely. What cannot be compared is not covered.

use serde_json::Value;

use super::documents::{Kind, kind};
use super::exemption::spec;
use super::table::SHADOWED;
use super::{Finding, Given, Report, text, texts};
use crate::exemption::{AllowSpec, ContainersSpec, Exemption, ExemptionSpec, SubjectsSpec};
use crate::image::ImagePattern;
use crate::wildcard;

pub(super) fn check(given: &Given<'_>, findings: &mut Vec<Finding>) {
    for (document, object) in given.documents.iter().enumerate() {
        let mut report = Report { findings, document };
        match kind(object) {
            Some(Kind::Policy) => {
                let rules = object.pointer("/spec/rules").and_then(Value::as_array);
                for (index, rule) in rules.into_iter().flatten().enumerate() {
                    let list = rule.pointer("/validate/podSecurity/exclude").and_then(Value::as_array);
                    exclusions(
                        list,
                        &format!("spec.rules[{index}].validate.podSecurity.exclude"),
                        &mut report,
                    );
                }
            }
            Some(Kind::Exception) => {
                exclusions(
                    object.pointer("/spec/podSecurity").and_then(Value::as_array),
                    "spec.podSecurity",
                    &mut report,
                );
            }
            _ => {}
        }
    }
    exemptions(given, findings);
}

fn exclusions(list: Option<&Vec<Value>>, path: &str, report: &mut Report<'_>) {
    let list = list.map_or(&[][..], Vec::as_slice);
    for (index, exclusion) in list.iter().enumerate() {
        let other = list.iter().enumerate().find(|(other, wider)| {
            // Of two that are the same, the first stays.
            *other != index && covers(wider, exclusion) && (*other < index || !covers(exclusion, wider))
        });
        if let Some((other, _)) = other {
            let message = format!("exclude[{other}] covers exclude[{index}] entirely");
            report.add(&SHADOWED, format!("{path}[{index}]"), message, "");
        }
    }
}

/// Whether all that one exclusion takes out is taken out by another.
fn covers(wider: &Value, exclusion: &Value) -> bool {
    let same = |name: &str| text(wider, name) == text(exclusion, name);
    let images = (texts(wider, "images"), texts(exclusion, "images"));
    let values = (texts(wider, "values"), texts(exclusion, "values"));
    let any_field = text(wider, "/restrictedField").is_empty() && values.0.is_empty();
    let same_level = images.0.is_empty() == images.1.is_empty();
    same("/controlName")
        && same_level
        && patterns_cover(&images.0, &images.1)
        && (any_field || (same("/restrictedField") && patterns_cover(&values.0, &values.1)))
}

/// Whether every pattern is covered by one of others; an empty list covers everything.
fn patterns_cover(wider: &[&str], patterns: &[&str]) -> bool {
    let covered = |pattern: &&str| wider.iter().any(|wide| pattern_covers(wide, pattern));
    wider.is_empty() || (!patterns.is_empty() && patterns.iter().all(covered))
}

fn pattern_covers(wide: &str, pattern: &str) -> bool {
    // A `?` stands for one character, which a `*` of the other may exceed.
    wide == pattern
        || ((!wildcard::is_pattern(pattern) || !wide.contains('?')) && wildcard::matches(wide, pattern))
}

/// One entry of an exemption that is in force.
struct Part {
    document: usize,
    place: (usize, usize),
    title: String,
    namespace: String,
    spec: ExemptionSpec,
    expires: Option<i64>,
}

impl Part {
    fn allow(&self) -> Option<&AllowSpec> {
        self.spec.entries.get(self.place.0)?.allow.get(self.place.1)
    }

    fn containers(&self) -> Option<&ContainersSpec> {
        self.spec.entries.get(self.place.0)?.containers.as_ref()
    }
}

fn exemptions(given: &Given<'_>, findings: &mut Vec<Finding>) {
    let parts = parts(given);
    for (index, part) in parts.iter().enumerate() {
        let other = parts.iter().enumerate().find(|(other, wider)| {
            *other != index && part_covers(wider, part) && (*other < index || !part_covers(part, wider))
        });
        if let Some((_, wider)) = other {
            let (entry, allow) = part.place;
            let message = format!(
                "{}, entries[{}].allow[{}] covers it entirely",
                wider.title, wider.place.0, wider.place.1
            );
            let mut report = Report { findings, document: part.document };
            report.add(&SHADOWED, format!("spec.entries[{entry}].allow[{allow}]"), message, "");
        }
    }
}

fn parts(given: &Given<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    for (document, object) in given.documents.iter().enumerate() {
        let Some(spec) = (kind(object) == Some(Kind::Exemption)).then(|| spec(object)).flatten() else {
            continue;
        };
        let Ok(exemption) = Exemption::parse(object) else { continue };
        if exemption.expired(given.now()) {
            continue;
        }
        let namespace = match (text(object, "/kind"), text(object, "/metadata/namespace")) {
            ("Exemption", "") => "default",
            (_, namespace) => namespace,
        };
        for (number, entry) in spec.entries.iter().enumerate() {
            parts.extend((0..entry.allow.len()).map(|allow| Part {
                document,
                place: (number, allow),
                title: format!("{} {}", exemption.kind(), exemption.key()),
                namespace: namespace.to_owned(),
                spec: spec.clone(),
                expires: exemption.expires().map(|moment| moment.seconds),
            }));
        }
    }
    parts
}

fn part_covers(wider: &Part, part: &Part) -> bool {
    let (Some(wide), Some(allow)) = (wider.allow(), part.allow()) else { return false };
    let expiry = match (wider.expires, part.expires) {
        (None, _) => true,
        (Some(wider), Some(part)) => wider >= part,
        (Some(_), None) => false,
    };
    let values = list_covers(wide.values.as_deref(), allow.values.as_deref());
    expiry
        && wide.control == allow.control
        && (wide.field.is_none() || wide.field == allow.field)
        && values
        && containers_cover(wider.containers(), part.containers())
        && subjects_cover(wider, part)
}

fn list_covers(wider: Option<&[String]>, list: Option<&[String]>) -> bool {
    let texts = |list: &[String]| list.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    match (wider, list) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wider), Some(list)) => {
            let (wider, list) = (texts(wider), texts(list));
            patterns_cover(&wider.split('\n').collect::<Vec<_>>(), &list.split('\n').collect::<Vec<_>>())
        }
    }
}

fn containers_cover(wider: Option<&ContainersSpec>, containers: Option<&ContainersSpec>) -> bool {
    let (wide, own) = match (wider, containers) {
        (None, None) => return true,
        (Some(wide), Some(own)) => (wide, own),
        _ => return false,
    };
    let images = match (&wide.images, &own.images) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(own)) => own.iter().all(|own| wide.iter().any(|wide| image_covers(wide, own))),
    };
    images
        && list_covers(wide.names.as_deref(), own.names.as_deref())
        && list_covers(wide.kinds.as_deref(), own.kinds.as_deref())
        && (wide.command.is_none() || wide.command == own.command)
        && (wide.args.is_none() || wide.args == own.args)
        && (wide.env.is_none() || wide.env == own.env)
        && (wide.mounts.is_none() || wide.mounts == own.mounts)
        && (wide.hooks.is_none() || wide.hooks == own.hooks)
}

/// The same pattern, or the same repository without a tag or digest.
fn image_covers(wide: &str, own: &str) -> bool {
    let (Ok(wide), Ok(own)) = (ImagePattern::parse(wide), ImagePattern::parse(own)) else { return false };
    let (wide, own) = (wide.to_string(), own.to_string());
    let rest = own.strip_prefix(&wide);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

fn subjects_cover(wider: &Part, part: &Part) -> bool {
    let none = SubjectsSpec::default();
    let subjects = |part: &Part| part.spec.subjects.clone().unwrap_or_default();
    let (wide, own) = (subjects(wider), subjects(part));
    let own_namespaces = match part.namespace.as_str() {
        "" => own.namespaces.clone().unwrap_or_default(),
        name => vec![name.to_owned()],
    };
    let namespaces = match (wider.namespace.as_str(), &wide.namespaces) {
        ("", Some(wide)) => list_covers(Some(wide), Some(&own_namespaces)),
        ("", None) => false,
        (name, _) => part.namespace == name,
    };
    namespaces
        && (wide.pod_labels == none.pod_labels || wide.pod_labels == own.pod_labels)
        && list_covers(wide.service_accounts.as_deref(), own.service_accounts.as_deref())
}
