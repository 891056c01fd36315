//! Exclusions of Kyverno's podSecurity, of a rule or of an exception, as they are written.

use serde_json::Value;

use super::table::{
    CONTROL_NOT_ACTIVE, POWERFUL_WITHOUT_VALUE, REFUSED_BY_KYVERNO, UNKNOWN_CONTROL, UNKNOWN_CONTROL_FIELD,
    VALUE_NEVER_FORBIDDEN, WHOLE_CONTROL,
};
use super::{Report, hint, image, text, texts};
use crate::exemption::{controls, field_has_name, fields_of, slip};
use crate::pss::{Field, Level, Scope, Version, active};

/// Controls that guard the node.
const POWERFUL: [&str; 5] =
    ["HostPath Volumes", "Privileged Containers", "Host Namespaces", "HostProcess", "Capabilities"];

/// `validate.podSecurity` of a rule.
pub(super) fn of_rule(standard: &Value, path: &str, report: &mut Report<'_>) {
    let level = text(standard, "/level").parse().ok();
    let version = match text(standard, "/version") {
        "" => Some(Version::Latest),
        version => version.parse().ok(),
    };
    let list = standard.get("exclude").and_then(Value::as_array);
    for (index, exclusion) in list.into_iter().flatten().enumerate() {
        let path = format!("{path}.exclude[{index}]");
        check(exclusion, &path, report);
        if let (Some(level), Some(version)) = (level, version) {
            not_active(
                text(exclusion, "/controlName"),
                level,
                version,
                &format!("{path}.controlName"),
                report,
            );
        }
    }
}

/// One exclusion, wherever it is written.
pub(super) fn check(exclusion: &Value, path: &str, report: &mut Report<'_>) {
    let control = text(exclusion, "/controlName");
    let all = controls();
    if !all.contains(&control) {
        let message = format!("unknown control {control:?}{}", hint(control, all.iter().copied()));
        return report.add(&UNKNOWN_CONTROL, format!("{path}.controlName"), message, all.join(", "));
    }
    for (index, pattern) in texts(exclusion, "images").iter().enumerate() {
        image::raw(pattern, &format!("{path}.images[{index}]"), report);
    }
    shape(exclusion, control, path, report);
    let fields = fields_of(control);
    let field = text(exclusion, "/restrictedField");
    if !field.is_empty() {
        let named: Vec<&'static Field> =
            fields.iter().copied().filter(|known| field_has_name(known, field)).collect();
        if named.is_empty() {
            return unknown_field(control, field, &format!("{path}.restrictedField"), report);
        }
        values(&named, &texts(exclusion, "values"), path, report);
    }
    wide(exclusion, control, path, report);
}

/// A field that the control does not look at.
pub(super) fn unknown_field(control: &str, field: &str, path: &str, report: &mut Report<'_>) {
    let known: Vec<String> = fields_of(control).iter().flat_map(|field| field.restricted_fields()).collect();
    let names = || known.iter().map(String::as_str);
    let message = format!("{control} does not look at {field:?}{}", hint(field, names()));
    report.add(&UNKNOWN_CONTROL_FIELD, path, message, known.join(", "));
}

fn values(fields: &[&'static Field], values: &[&str], path: &str, report: &mut Report<'_>) {
    for (index, value) in values.iter().enumerate() {
        let slips: Vec<_> = fields.iter().map(|field| slip(field, value)).collect();
        // Kyverno demands values also where a field has none to choose from, or is not set.
        let nothing =
            value.is_empty() || slips.iter().flatten().any(|(_, accepted)| *accepted == ["no values"]);
        if nothing || slips.iter().any(Option::is_none) {
            continue;
        }
        if let Some((problem, accepted)) = slips.into_iter().flatten().next() {
            let bare = value.trim_start_matches("CAP_");
            let near = match accepted.contains(&bare) {
                true => format!("; did you mean {bare:?}?"),
                false => hint(value, accepted.iter().copied()),
            };
            let message = format!("{value:?}: {problem}{near}");
            let instead = match near.rsplit('"').nth(1) {
                Some(meant) => meant.to_owned(),
                None => accepted.join(", "),
            };
            report.add(&VALUE_NEVER_FORBIDDEN, format!("{path}.values[{index}]"), message, instead);
        }
    }
}

/// What Kyverno's own validation refuses (`api/kyverno/v1` `PodSecurityStandard.Validate`).
fn shape(exclusion: &Value, control: &str, path: &str, report: &mut Report<'_>) {
    let fields = fields_of(control);
    let of_containers = fields.iter().all(|field| field.scope == Scope::Container);
    let of_pods = fields.iter().all(|field| matches!(field.scope, Scope::Pod | Scope::Volume));
    let images = !texts(exclusion, "images").is_empty();
    let (field, values) =
        (!text(exclusion, "/restrictedField").is_empty(), !texts(exclusion, "values").is_empty());
    let mut refuse = |message: String, instead: &str| report.add(&REFUSED_BY_KYVERNO, path, message, instead);
    if of_containers && !images {
        refuse(
            format!("{control} is a control of containers: images is missing"),
            "images of the containers",
        );
    }
    if of_pods && images {
        refuse(format!("{control} is a control of the pod: images is not accepted"), "no images");
    }
    if field && !values {
        refuse(
            "restrictedField without values".into(),
            "the values of the field; \"\" for one that is not set",
        );
    }
    if values && !field {
        refuse("values without restrictedField".into(), "the field that the values are of");
    }
}

/// Exemptions of more than anybody can name.
fn wide(exclusion: &Value, control: &str, path: &str, report: &mut Report<'_>) {
    let (field, values) = (text(exclusion, "/restrictedField"), texts(exclusion, "values"));
    unbounded(control, field, !values.is_empty() && !values.contains(&"*"), path, report);
}

/// The same for exclusions and for entries of exemptions.
pub(super) fn unbounded(control: &str, field: &str, values: bool, path: &str, report: &mut Report<'_>) {
    let volume = control == "Volume Types" && (field.is_empty() || field.ends_with(".hostPath"));
    if values || field.ends_with(".drop") {
        return;
    }
    if POWERFUL.contains(&control) || volume {
        let message = match control {
            "HostPath Volumes" | "Volume Types" => "every path of the node is exempted".to_owned(),
            "Capabilities" => "every capability is exempted, SYS_ADMIN too".to_owned(),
            _ => format!("{control} is exempted without naming a value"),
        };
        report.add(&POWERFUL_WITHOUT_VALUE, path, message, "");
    } else if field.is_empty() && fields_of(control).len() > 1 {
        report.add(&WHOLE_CONTROL, path, format!("every field and value of {control} is exempted"), "");
    }
}

/// A control that does not run.
pub(super) fn not_active(control: &str, level: Level, version: Version, path: &str, report: &mut Report<'_>) {
    let runs =
        level != Level::Privileged && active(level, version).any(|(check, _)| check.control == control);
    // A hostPath volume is forbidden by another control at restricted, which Kyverno runs as well.
    let volume = control == "HostPath Volumes" && level == Level::Restricted;
    if !runs && !volume && controls().contains(&control) {
        let message = format!("{control} is not checked at {level}:{version}");
        report.add(&CONTROL_NOT_ACTIVE, path, message, "");
    }
}
