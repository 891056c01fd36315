//! Our own exemptions and presets, as they are written.

use serde_json::Value;

use super::table::{
    EXPIRED, IMAGE_NEVER_MATCHES, INIT_AND_SIDECAR, INVALID, NAME_ONLY, SPOOFABLE_IMAGE, UNKNOWN_CONTROL,
    UNKNOWN_CONTROL_FIELD, UNKNOWN_PRESET, VALUE_NEVER_FORBIDDEN,
};
use super::{Given, Lint, Report, exclusion, image, namespaces, text};
use crate::exemption::{EntrySpec, Exemption, ExemptionError, ExemptionSpec};
use crate::fields;

pub(super) fn check(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let exemption = match Exemption::parse(object) {
        Ok(exemption) => exemption,
        Err(errors) => {
            // Unknown fields and wrong types were told already.
            if fields::check(object).unwrap_or_default().is_empty() {
                errors.into_iter().for_each(|error| refused(error, report));
            }
            return;
        }
    };
    let images = object.pointer("/spec/images").and_then(Value::as_array);
    for (index, pattern) in images.into_iter().flatten().filter_map(Value::as_str).enumerate() {
        image::parsed(pattern, &format!("spec.images[{index}]"), report);
    }
    if exemption.expired(given.now()) {
        let when = text(object, "/spec/expires");
        let owner = if exemption.owner().is_empty() {
            String::new()
        } else {
            format!("; {} answers for it", exemption.owner())
        };
        report.add(&EXPIRED, "spec.expires", format!("expired on {when}{owner}"), "");
    }
    let Some(spec) = spec(object) else { return };
    for (index, entry) in spec.entries.iter().enumerate() {
        let path = format!("spec.entries[{index}]");
        containers(entry, &path, report);
        for (number, allow) in entry.allow.iter().enumerate() {
            let path = format!("{path}.allow[{number}]");
            let field = allow.field.as_deref().unwrap_or_default();
            let values = allow.values.as_ref().is_some_and(|values| !values.iter().any(|value| value == "*"));
            exclusion::unbounded(&allow.control, field, values, &path, report);
            inactive(given, object, &allow.control, &format!("{path}.control"), report);
        }
    }
}

/// The spec of an exemption with entries of its own.
pub(super) fn spec(object: &Value) -> Option<ExemptionSpec> {
    let own = matches!(text(object, "/kind"), "Exemption" | "ClusterExemption");
    own.then(|| serde_json::from_value(object.get("spec")?.clone()).ok()).flatten()
}

fn refused(error: ExemptionError, report: &mut Report<'_>) {
    let lint: &'static Lint = match error.problem {
        "unknown control" => &UNKNOWN_CONTROL,
        "no such field of the control" => &UNKNOWN_CONTROL_FIELD,
        "unknown preset" => &UNKNOWN_PRESET,
        _ if error.path.contains(".values[") => &VALUE_NEVER_FORBIDDEN,
        problem if error.path.contains("images[") && problem.contains("registry") => &SPOOFABLE_IMAGE,
        _ if error.path.contains("images[") => &IMAGE_NEVER_MATCHES,
        _ => &INVALID,
    };
    let near = error.nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    let message = match error.found.as_str() {
        "" => error.problem.to_owned(),
        found => format!("{found:?}: {}{near}", error.problem),
    };
    report.add(lint, error.path, message, error.accepted.join(", "));
}

/// Selections that more containers fit than anybody meant.
fn containers(entry: &EntrySpec, path: &str, report: &mut Report<'_>) {
    let Some(containers) = &entry.containers else { return };
    let path = format!("{path}.containers");
    for (index, pattern) in containers.images.iter().flatten().enumerate() {
        image::parsed(pattern, &format!("{path}.images[{index}]"), report);
    }
    if containers.images.is_none() {
        let what = match (&containers.names, &containers.command, &containers.args) {
            (Some(_), None, None) => "name",
            (None, None, None) => "kind",
            _ => "name and command",
        };
        let message = format!("containers are selected by {what} alone: any image may run under it");
        return report.add(&NAME_ONLY, path, message, "images: [docker.io/istio/proxyv2:1.27.*] beside it");
    }
    let in_init =
        |field: &Option<String>| field.as_ref().is_none_or(|field| field.contains("initContainers"));
    let init = entry.allow.iter().any(|allow| in_init(&allow.field));
    let bare = containers.kinds.is_none() && containers.command.is_none() && containers.args.is_none();
    if init && bare {
        let message = "init containers are meant, but a native sidecar of the same image fits too";
        report.add(&INIT_AND_SIDECAR, path, message.to_owned(), "");
    }
}

/// Whether the namespace's labels ever check the control.
fn inactive(given: &Given<'_>, object: &Value, control: &str, path: &str, report: &mut Report<'_>) {
    if text(object, "/kind") != "Exemption" {
        return;
    }
    let namespace = match text(object, "/metadata/namespace") {
        "" => "default",
        name => name,
    };
    let levels = namespaces::levels(given.documents, namespace);
    let runs = |level: &crate::pss::LevelVersion| {
        let before = report_of(control, *level);
        before.is_empty()
    };
    if let Some(strictest) = levels.iter().max_by_key(|level| level.level)
        && !levels.iter().any(runs)
    {
        exclusion::not_active(control, strictest.level, strictest.version, path, report);
    }
}

/// What would be said about a control at one level.
fn report_of(control: &str, level: crate::pss::LevelVersion) -> Vec<super::Finding> {
    let mut findings = Vec::new();
    let mut report = Report { findings: &mut findings, document: 0 };
    exclusion::not_active(control, level.level, level.version, "", &mut report);
    findings
}
