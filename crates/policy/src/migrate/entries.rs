//! Exclusions of Kyverno as entries of exemptions: each gets a registry, a kind of container, and values that can match.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Given, Plan};
use crate::exemption::{
    AllowSpec, ContainersSpec, EntrySpec, PRESETS, UNSET, controls, field_has_name, fields_of, slip,
};
use crate::image::{ImagePattern, normalise};
use crate::lint::{text, texts};
use crate::pss::{ContainerKind, Field, Scope, extract};
use crate::wildcard;

/// The entries that exempt what exclusions did; what cannot be said is noted.
pub(super) fn entries(
    given: &Given<'_>,
    list: &[Value],
    (document, path): (usize, &str),
    plan: &mut Plan,
) -> Vec<EntrySpec> {
    let mut entries = Vec::new();
    for (index, exclusion) in list.iter().enumerate() {
        let place = format!("{path}[{index}]");
        match entries_of(given, exclusion, (document, &place), plan) {
            Ok(found) => entries.extend(found),
            Err(why) => plan.note(document, place, true, why),
        }
    }
    merged(entries)
}

/// Entries about the same containers become one.
fn merged(entries: Vec<EntrySpec>) -> Vec<EntrySpec> {
    let mut all: Vec<EntrySpec> = Vec::new();
    for entry in entries {
        match all.iter_mut().find(|known| known.containers == entry.containers) {
            Some(known) => entry.allow.into_iter().for_each(|allow| {
                if !known.allow.contains(&allow) {
                    known.allow.push(allow);
                }
            }),
            None => all.push(entry),
        }
    }
    all
}

fn entries_of(
    given: &Given<'_>,
    exclusion: &Value,
    (document, place): (usize, &str),
    plan: &mut Plan,
) -> Result<Vec<EntrySpec>, String> {
    let (control, field) = (text(exclusion, "/controlName"), text(exclusion, "/restrictedField"));
    if !controls().contains(&control) {
        return Err(format!("unknown control {control:?}"));
    }
    let patterns = texts(exclusion, "images");
    let fields: Vec<&'static Field> = fields_of(control)
        .into_iter()
        .filter(|known| field.is_empty() || field_has_name(known, field))
        .collect();
    let of_pod: Vec<&'static Field> =
        fields.iter().copied().filter(|field| field.scope != Scope::Container).collect();
    let of_containers: Vec<&'static Field> =
        fields.iter().copied().filter(|field| field.scope == Scope::Container).collect();
    let values = texts(exclusion, "values");
    if patterns.is_empty() && !of_pod.is_empty() {
        let allow = allows(control, &of_pod, field, &values, "");
        return non_empty(vec![EntrySpec { containers: None, allow }]);
    }
    if of_containers.is_empty() {
        return Err("it has images, but the control has fields of the pod only: it never matched".to_owned());
    }
    let mut containers = ContainersSpec::default();
    if patterns.is_empty() {
        plan.note(document, place, false, "the exclusion has no images: every container is exempted");
        containers.names = Some(vec!["*".to_owned()]);
    } else {
        containers.images = Some(images(given, &patterns)?);
    }
    let mut entries = Vec::new();
    for (list, kinds) in [
        ("initContainers", &["init"][..]),
        ("containers", &["regular"]),
        ("ephemeralContainers", &["ephemeral"]),
    ] {
        let allow = allows(control, &of_containers, field, &values, list);
        if allow.is_empty() {
            continue;
        }
        let mut kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        if list == "initContainers" && has_sidecar(given, &patterns) {
            let message = "native sidecars of these images stay exempted, as Kyverno has it: take `sidecar` out of kinds if \
                           only the init container needs it";
            plan.note(document, place, false, message);
            kinds.push("sidecar".to_owned());
        }
        let containers = ContainersSpec { kinds: Some(kinds), ..containers.clone() };
        entries.push(EntrySpec { containers: Some(containers), allow });
    }
    non_empty(entries)
}

fn non_empty(entries: Vec<EntrySpec>) -> Result<Vec<EntrySpec>, String> {
    let entries: Vec<EntrySpec> = entries.into_iter().filter(|entry| !entry.allow.is_empty()).collect();
    if entries.is_empty() { Err("its field or values can never match".to_owned()) } else { Ok(entries) }
}

/// The fields of a list of containers, or of the pod, with the values that each can have.
fn allows(
    control: &str,
    fields: &[&'static Field],
    named: &str,
    values: &[&str],
    list: &str,
) -> Vec<AllowSpec> {
    let mut allows = Vec::new();
    for field in fields {
        for name in field.restricted_fields() {
            let here = list.is_empty() || name.starts_with(&format!("spec.{list}[*]"));
            if !here || !(named.is_empty() || named == name || field.scope == Scope::Annotation) {
                continue;
            }
            let nothing = slip(field, "\u{0}").is_some_and(|(_, accepted)| accepted == ["no values"]);
            let mut kept: BTreeSet<String> = values
                .iter()
                .filter(|value| slip(field, value).is_none())
                .map(|value| (*value).to_owned())
                .collect();
            // Kyverno takes a field that is not set out whatever the values.
            if !values.is_empty() && slip(field, UNSET).is_none() && can_be_unset(field) {
                kept.insert(UNSET.to_owned());
            }
            let open = values.is_empty() || nothing;
            if open || !kept.is_empty() {
                let values = (!open).then(|| kept.into_iter().collect());
                allows.push(AllowSpec { control: control.to_owned(), field: Some(name), values });
            }
        }
    }
    allows
}

/// Whether a check wants the field set.
fn can_be_unset(field: &Field) -> bool {
    ["allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile.type"]
        .iter()
        .any(|name| field.path.ends_with(name))
}

/// Patterns with a registry: as they are written, or the repositories of the resources that they fit, or those of the
/// meshes' public images.
fn images(given: &Given<'_>, patterns: &[&str]) -> Result<Vec<String>, String> {
    let mut images = BTreeSet::new();
    for pattern in patterns {
        let full = pattern
            .split_once('/')
            .is_some_and(|(first, _)| first.contains(['.', ':']) && !wildcard::is_pattern(first));
        let tagged = pattern.trim_end_matches(":*");
        if full && ImagePattern::parse(tagged).is_ok() && !tagged.ends_with('*') {
            images.insert(tagged.to_owned());
            continue;
        }
        let mut found = used(given, pattern);
        if found.is_empty() {
            let fits = |image: &&&str| {
                wildcard::matches(pattern, image) || wildcard::matches(pattern, &format!("{image}:1"))
            };
            let known = PRESETS.iter().flat_map(|preset| preset.images).filter(fits);
            found = known.map(|image| (*image).to_owned()).collect();
        }
        if found.is_empty() {
            return Err(format!(
                "{pattern:?} names no registry, and no given resource has such an image (-r)"
            ));
        }
        images.extend(found);
    }
    Ok(images.into_iter().collect())
}

/// The repositories of the resources' images that a pattern fits.
fn used(given: &Given<'_>, pattern: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for resource in given.resources {
        let Ok(Some(pod)) = extract(resource) else { continue };
        for container in pod.containers() {
            if let Some(image) =
                normalise(container.image()).filter(|_| wildcard::matches(pattern, container.image()))
            {
                found.insert(format!("{}/{}", image.registry, image.path));
            }
        }
    }
    found
}

fn has_sidecar(given: &Given<'_>, patterns: &[&str]) -> bool {
    given.resources.iter().filter_map(|resource| extract(resource).ok().flatten()).any(|pod| {
        pod.containers().iter().any(|container| {
            container.kind == ContainerKind::Sidecar
                && patterns.iter().any(|pattern| wildcard::matches(pattern, container.image()))
        })
    })
}
