//! What an entry allows: a control, a field of it, values of the field.

use super::error::ExemptionError;
use super::near::Miss;
use super::select::{ContainerSelector, KINDS, Trait};
use super::spec;
use super::values;
use crate::pss::{CHECKS, Field, Finding, Scope};
use crate::wildcard;
use std::collections::BTreeSet;

/// What is allowed.
#[derive(Debug, Clone)]
pub(super) struct Allow {
    control: &'static str,
    field: Option<String>,
    values: Option<Vec<String>>,
}

/// The two controls that a hostPath volume violates: one at baseline, the other at restricted.
const VOLUMES: [&str; 2] = ["HostPath Volumes", "Volume Types"];

impl Allow {
    /// Checks what is written; everything wrong is added to `errors`.
    pub(super) fn check(
        written: &spec::Allow,
        containers: Option<&ContainerSelector>,
        path: &str,
        errors: &mut Vec<ExemptionError>,
    ) -> Option<Allow> {
        let before = errors.len();
        let Some(control) = controls().into_iter().find(|name| *name == written.control) else {
            let error = ExemptionError::new(format!("{path}.control"), &written.control, "unknown control");
            errors.push(error.accepting(controls()));
            return None;
        };
        let all = fields_of(control);
        let named: Vec<&'static Field> = match &written.field {
            None => all,
            Some(name) => {
                let named: Vec<_> = all.iter().copied().filter(|field| names(field, name)).collect();
                if named.is_empty() {
                    let accepted: BTreeSet<String> =
                        all.iter().flat_map(|field| field.restricted_fields()).collect();
                    let error =
                        ExemptionError::new(format!("{path}.field"), name, "no such field of the control");
                    errors.push(error.accepting(accepted.iter().map(String::as_str)));
                    return None;
                }
                named
            }
        };
        check_holder(written, &named, containers, path, errors);
        check_values(written, &named, path, errors);
        let (field, values) = (written.field.clone(), written.values.clone());
        (errors.len() == before).then_some(Allow { control, field, values })
    }

    /// Whether a check's findings may be meant at all.
    pub(super) fn is_about(&self, control: &str, finding: &Finding<'_>) -> bool {
        let host_path = finding.field.scope == Scope::Volume && finding.field.path == "hostPath";
        control == self.control
            || (host_path && VOLUMES.contains(&control) && VOLUMES.contains(&self.control))
    }

    /// Whether the finding is allowed; where it is not, each part that does not hold is added.
    pub(super) fn misses(&self, finding: &Finding<'_>, found: &mut Vec<Miss>) {
        let name = finding.restricted_field();
        if let Some(field) = self.field.as_ref().filter(|field| !same_name(field, &name, finding.field)) {
            found.push(Miss { part: Trait::Field, found: name, wanted: field.clone() });
        }
        let fits = |patterns: &Vec<String>| patterns.iter().any(|pattern| values::matches(pattern, finding));
        if let Some(patterns) = self.values.as_ref().filter(|patterns| !fits(patterns)) {
            let is = values::value_of(finding).into_owned();
            found.push(Miss { part: Trait::Value, found: is, wanted: format!("[{}]", patterns.join(", ")) });
        }
    }
}

/// Whether the fields can be of what the entry is about.
fn check_holder(
    written: &spec::Allow,
    named: &[&'static Field],
    containers: Option<&ContainerSelector>,
    path: &str,
    errors: &mut Vec<ExemptionError>,
) {
    let of_pod = |field: &&&Field| field.scope != Scope::Container;
    let Some(containers) = containers else {
        if !named.iter().any(|field| of_pod(&field)) {
            let problem = "the field is one of containers, but the entry does not say of which";
            let found = written.field.as_deref().unwrap_or(&written.control);
            errors.push(ExemptionError::new(path, found, problem).accepting(["containers beside allow"]));
        }
        return;
    };
    let Some(field) = written.field.as_deref().filter(|_| named.iter().all(|field| !of_pod(&field))) else {
        return;
    };
    let list = |kind: &crate::pss::ContainerKind| field.starts_with(&format!("spec.{}[*]", kind.list()));
    if !containers.kinds.is_empty() && !containers.kinds.iter().any(list) {
        let fits = KINDS.iter().filter(|kind| list(kind)).map(|kind| kind.as_str());
        let problem = "no container of these kinds has the field";
        errors.push(ExemptionError::new(format!("{path}.field"), field, problem).accepting(fits));
    }
}

fn check_values(
    written: &spec::Allow,
    named: &[&'static Field],
    path: &str,
    errors: &mut Vec<ExemptionError>,
) {
    let Some(given) = &written.values else { return };
    if given.is_empty() {
        let problem = "an empty list allows nothing";
        errors.push(
            ExemptionError::new(format!("{path}.values"), "", problem)
                .accepting(["at least one value", "no values at all, for every value"]),
        );
    }
    for (index, value) in given.iter().enumerate() {
        let slips: Vec<_> = named.iter().map(|field| values::slip(field, value)).collect();
        if slips.iter().any(Option::is_none) {
            continue;
        }
        if let Some((problem, accepted)) = slips.into_iter().flatten().next() {
            let error =
                ExemptionError::new(format!("{path}.values[{index}]"), value, problem).accepting(accepted);
            errors.push(without_prefix(error, value));
        }
    }
}

/// Names of capabilities are written without the prefix that the kernel's headers have.
fn without_prefix(mut error: ExemptionError, value: &str) -> ExemptionError {
    let bare = value.trim_start_matches("CAP_");
    if bare != value && error.accepted.iter().any(|name| name == bare) {
        error.nearest = Some(bare.to_owned());
    }
    error
}

/// The names of all controls.
pub(crate) fn controls() -> Vec<&'static str> {
    let mut names: Vec<&str> = CHECKS.iter().map(|check| check.control).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The fields that the checks of a control read.
pub(crate) fn fields_of(control: &str) -> Vec<&'static Field> {
    let checks = CHECKS.iter().filter(|check| check.control == control);
    let mut fields: Vec<&'static Field> = Vec::new();
    for field in checks.flat_map(|check| check.revisions).flat_map(|revision| revision.fields).copied() {
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// Whether a name as it is written is one of a field.
pub(crate) fn names(field: &Field, written: &str) -> bool {
    field.restricted_fields().iter().any(|name| same_name(written, name, field))
}

/// Keys of annotations may be written with wildcards, or in full where the field's name has one.
fn same_name(written: &str, name: &str, field: &Field) -> bool {
    let annotation = field.scope == Scope::Annotation;
    written == name || (annotation && (wildcard::matches(written, name) || wildcard::matches(name, written)))
}
