//! Which quirks a `podSecurity` depends on as it is written, whatever pods come.

use super::{Exclusion, PodSecurity};
use crate::go::text::clean_path;
use crate::image::ImagePattern;
use crate::kyverno::quirk::Quirk;
use crate::pss::{CHECKS, Level, Scope, Version};
use crate::wildcard;

/// A quirk and the place that makes it matter, relative to the list of exclusions or to `podSecurity`.
pub(in crate::kyverno) type Place = (Quirk, String);

/// The quirks of a rule's `podSecurity`.
pub(in crate::kyverno) fn touched(standard: &PodSecurity) -> Vec<Place> {
    let mut places = Vec::new();
    if standard.standard == Level::Privileged {
        places.push((Quirk::PrivilegedChecksAll, "level".to_owned()));
    }
    if matches!(standard.release, Version::Minor(minor) if minor != super::NEWEST) {
        places.push((Quirk::FrozenStandards, "version".to_owned()));
    }
    let restricted = standard.standard != Level::Baseline;
    for (quirk, path) in of_exclusions(&standard.exclusions, restricted) {
        places.push((quirk, format!("exclude{path}")));
    }
    places
}

/// The quirks of a list of exclusions; paths begin with the index in brackets.
pub(in crate::kyverno) fn of_exclusions(exclusions: &[Exclusion], restricted: bool) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, exclusion) in exclusions.iter().enumerate() {
        let mut add = |quirk, name: &str| places.push((quirk, format!("[{index}].{name}")));
        levels(exclusion, &mut add);
        images(exclusion, &mut add);
        fields(exclusion, &mut add);
        let same_field = |other: &Exclusion| {
            other.control == exclusion.control && other.field == exclusion.field && !other.values.is_empty()
        };
        if !exclusion.values.is_empty() && exclusions[..index].iter().any(same_field) {
            add(Quirk::ValuesAllOrNothing, "values");
        }
        let types = |other: &Exclusion| other.control == "Volume Types";
        if restricted && exclusion.control == "HostPath Volumes" && !exclusions.iter().any(types) {
            add(Quirk::VolumesWithoutValues, "controlName");
        }
        if exclusion.control == super::HOST_PROBES {
            add(Quirk::HostProbesUnexcludable, "controlName");
        }
    }
    if exclusions.len() > 1 {
        places.push((Quirk::OrderLost, String::new()));
    }
    places
}

fn levels(exclusion: &Exclusion, add: &mut impl FnMut(Quirk, &str)) {
    let checks = CHECKS.iter().filter(|check| check.control == exclusion.control);
    let scopes: Vec<Scope> =
        checks.flat_map(|check| check.revisions).flat_map(|r| r.fields).map(|field| field.scope).collect();
    let containers = scopes.contains(&Scope::Container);
    let pods = scopes.iter().any(|scope| *scope != Scope::Container);
    match (containers, pods, exclusion.images.is_empty()) {
        (true, _, true) => {
            add(Quirk::OneErrorAtATime, "images");
            add(Quirk::LevelsApart, "images");
        }
        (true, true, false) if exclusion.field.is_empty() => add(Quirk::LevelsApart, "images"),
        (false, true, false) => add(Quirk::PodFieldsIgnoreImages, "images"),
        _ => {}
    }
}

fn images(exclusion: &Exclusion, add: &mut impl FnMut(Quirk, &str)) {
    for (at, pattern) in exclusion.images.iter().enumerate() {
        let exact = ImagePattern::parse(pattern).is_ok_and(|exact| exact == ImagePattern::lenient(pattern));
        // Only a full name with its tag or digest means the same as text and as an image.
        let full =
            exact && (pattern.contains('@') || pattern.rsplit('/').next().is_some_and(|n| n.contains(':')));
        if !full || !pattern.starts_with(ImagePattern::lenient(pattern).registry().unwrap_or_default()) {
            add(Quirk::RawImages, &format!("images[{at}]"));
        }
    }
    if exclusion.field.starts_with("spec.initContainers[*]") {
        add(Quirk::SidecarsAreInit, "restrictedField");
    }
}

fn fields(exclusion: &Exclusion, add: &mut impl FnMut(Quirk, &str)) {
    /// Fields that are forbidden to be missing.
    const REQUIRED: [&str; 4] =
        ["capabilities.drop", "allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile.type"];
    let field = exclusion.field.as_str();
    if exclusion.values.is_empty() {
        return;
    }
    if REQUIRED.iter().any(|required| field.ends_with(required)) {
        add(Quirk::MissingIgnoresValues, "values");
    }
    if exclusion.control == "Volume Types" {
        add(Quirk::VolumesWithoutValues, "values");
    }
    for (at, value) in exclusion.values.iter().enumerate() {
        let unclean = wildcard::is_pattern(value) || clean_path(value) != *value;
        if field == super::exclude::HOST_PATH && unclean {
            add(Quirk::HostPathsAreText, &format!("values[{at}]"));
        }
    }
}
