//! Findings as the field errors of Kyverno's fork of the standards: one for each field of a container where we have one
//! for each value.

use crate::kyverno::quirk::{Quirk, Quirks};
use crate::pss::{CheckId, CheckResult, ContainerKind, Finding, Holder};
use serde_json::Value;

/// One field that a check has something against.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldError {
    field: String,
    /// The field with `*` for every number.
    pub(super) starred: String,
    /// The check that found it.
    pub(super) check: CheckId,
    /// The container that the field is in.
    pub(super) at: Option<At>,
    /// The bad values; none for a field that must be set.
    pub(super) values: Vec<String>,
    kind: Kind,
}

/// A container of the pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At {
    pub(super) kind: ContainerKind,
    pub(super) index: usize,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It must be set.
    Required,
    /// It must not have this value.
    Value,
    /// It must not have these values.
    List,
}

impl FieldError {
    /// The name of the container that the field is in.
    pub(super) fn container(&self) -> Option<&str> {
        self.at.as_ref().map(|at| at.name.as_str())
    }

    /// Whether the field is not set and must be.
    pub(super) fn is_required(&self) -> bool {
        self.kind == Kind::Required
    }

    /// Kyverno's text, with the path in an object of a kind. As in Kyverno, `metadata` is taken for that of a template
    /// even in a Pod.
    pub(super) fn text(&self, kind: &str) -> String {
        let field = match kind {
            "DaemonSet" | "Deployment" | "Job" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
                self.field.replace("spec", "spec.template.spec")
            }
            "CronJob" => self.field.replace("spec", "spec.jobTemplate.spec.template.spec"),
            _ => self.field.clone(),
        };
        let field = field.replace("metadata", "spec.template.metadata");
        let found = |values: String| format!("{field} is forbidden, forbidden values found: {values}");
        match (self.kind, self.values.first()) {
            (Kind::Required, _) => format!("{field}: Required value"),
            (Kind::List, _) => found(format!("[{}]", self.values.join(" "))),
            (Kind::Value, Some(value)) => found(value.clone()),
            (Kind::Value, None) => format!("{field}: Forbidden"),
        }
    }
}

/// The errors of a failed check, in the fork's order.
pub(super) fn of(check: CheckId, result: &CheckResult<'_>, quirks: Quirks) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    for finding in &result.findings {
        let error = one(check, finding, quirks);
        match errors.last_mut() {
            Some(last) if last.kind == Kind::List && last.field == error.field => {
                last.values.extend(error.values);
                last.values.sort_unstable();
                last.values.dedup();
            }
            _ => errors.push(error),
        }
    }
    let pod_level = |error: &FieldError| error.at.is_none();
    match check {
        CheckId::RunAsNonRoot | CheckId::SeccompProfileRestricted => {
            errors.sort_by_key(|error| error.kind == Kind::Required);
        }
        CheckId::CapabilitiesRestricted => errors.sort_by_key(|error| error.field.ends_with(".add")),
        CheckId::WindowsHostProcess => errors.sort_by_key(pod_level),
        _ => {}
    }
    errors
}

fn one(check: CheckId, finding: &Finding<'_>, quirks: Quirks) -> FieldError {
    let (kind, values) = values(check, finding, quirks);
    let path = finding.path();
    FieldError {
        starred: starred(&path),
        field: path,
        check,
        at: match finding.holder {
            Holder::Container(container) => {
                Some(At { kind: container.kind, index: container.index, name: container.name.to_owned() })
            }
            _ => None,
        },
        values,
        kind,
    }
}

fn values(check: CheckId, finding: &Finding<'_>, quirks: Quirks) -> (Kind, Vec<String>) {
    let text = finding.value_text().into_owned();
    let single = |text: String| (Kind::Value, if text.is_empty() { Vec::new() } else { vec![text] });
    match check {
        CheckId::RestrictedVolumes if quirks.on(Quirk::VolumesWithoutValues) => (Kind::Value, Vec::new()),
        CheckId::RestrictedVolumes if finding.field.path != "hostPath" => match finding.holder {
            Holder::Volume { name, .. } => single(name.to_owned()),
            _ => single(text),
        },
        CheckId::HostPathVolumes | CheckId::RestrictedVolumes => {
            single(finding.value.and_then(Value::as_str).unwrap_or_default().to_owned())
        }
        CheckId::CapabilitiesBaseline => (Kind::List, vec![text]),
        CheckId::CapabilitiesRestricted if finding.field.path.ends_with(".add") => (Kind::List, vec![text]),
        CheckId::CapabilitiesRestricted => match finding.value.and_then(Value::as_array) {
            Some(dropped) if !dropped.is_empty() => {
                let mut dropped: Vec<String> =
                    dropped.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                dropped.sort_unstable();
                dropped.dedup();
                (Kind::List, dropped)
            }
            _ => (Kind::Required, Vec::new()),
        },
        CheckId::AllowPrivilegeEscalation if finding.value.is_none() => {
            let has_context = finding
                .container()
                .and_then(|container| container.object?.get("securityContext"))
                .is_some_and(|context| !context.is_null());
            if has_context { single("nil".to_owned()) } else { (Kind::Required, Vec::new()) }
        }
        CheckId::RunAsNonRoot | CheckId::SeccompProfileRestricted if finding.value.is_none() => {
            (Kind::Required, Vec::new())
        }
        _ => single(text),
    }
}

/// `*` for every run of digits, also inside of annotations' keys.
fn starred(path: &str) -> String {
    let mut starred = String::with_capacity(path.len());
    let mut digits = false;
    for c in path.chars() {
        if !c.is_ascii_digit() {
            starred.push(c);
        } else if !digits {
            starred.push('*');
        }
        digits = c.is_ascii_digit();
    }
    starred
}
