//! Labels of namespaces: those that kube-apiserver reads, and those of the same meaning that are read here.

use serde_json::{Map, Value};

use super::table::{
    PSA_FUTURE_VERSION, PSA_INVALID_LABEL, PSA_MODE_SAYS_NOTHING, PSA_UNKNOWN_LABEL,
    PSA_VERSION_WITHOUT_LEVEL,
};
use super::{Report, hint, text};
use crate::psa::{Labels, Mode, PREFIX, Policy};
use crate::pss::{Level, LevelVersion, NEWEST, Version};

/// The prefix of the labels that are read here.
pub(crate) const OWN: &str = "meshward.dev/";

const NAMES: [&str; 6] = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];

pub(super) fn check(object: &Value, report: &mut Report<'_>) {
    let empty = Map::new();
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).unwrap_or(&empty);
    for prefix in [PREFIX, OWN] {
        let of_prefix = |key: &&String| key.starts_with(prefix);
        for key in labels.keys().filter(of_prefix) {
            let name = &key[prefix.len()..];
            if !NAMES.contains(&name) && prefix == PREFIX {
                let message = format!("unknown label {key:?}{}", hint(name, NAMES));
                report.add(
                    &PSA_UNKNOWN_LABEL,
                    place(key),
                    message,
                    NAMES.map(|n| format!("{prefix}{n}")).join(", "),
                );
            } else if let Some(meant) = crate::nearest::nearest(name, NAMES).filter(|meant| *meant != name) {
                // Other labels of ours may exist; only slips are told.
                let message = format!("unknown label {key:?}; did you mean {meant:?}?");
                report.add(&PSA_UNKNOWN_LABEL, place(key), message, format!("{prefix}{meant}"));
            }
        }
        let (policy, errors) = Policy::from_labels(object, &Policy::default(), prefix);
        for error in &errors {
            let message = format!("{:?}: {}", error.value, error.accepted);
            report.add(&PSA_INVALID_LABEL, place(&error.label), message, "");
        }
        for mode in Mode::ALL {
            versions(labels, prefix, mode, &policy, report);
        }
    }
}

fn place(key: &str) -> String {
    format!("metadata.labels[{key}]")
}

fn versions(labels: &Map<String, Value>, prefix: &str, mode: Mode, policy: &Policy, report: &mut Report<'_>) {
    let (level, version) =
        (format!("{prefix}{}", mode.as_str()), format!("{prefix}{}-version", mode.as_str()));
    if labels.label(&version).is_some() && labels.label(&level).is_none() {
        let message = format!("{version:?} without {level:?}");
        report.add(&PSA_VERSION_WITHOUT_LEVEL, place(&version), message, format!("{level}: restricted"));
    }
    let asked = policy.mode(mode);
    if let Version::Minor(minor) = asked.version
        && minor > NEWEST
        && labels.label(&version).is_some()
    {
        let message = format!("v1.{minor} is newer than v1.{NEWEST}, the newest that is known here");
        report.add(&PSA_FUTURE_VERSION, place(&version), message, "");
    }
    let set = labels.label(&level).is_some() && asked.level != Level::Privileged;
    if mode != Mode::Enforce && set && covers(policy.enforce, asked) {
        let message =
            format!("{} {asked} says nothing that enforce {} does not refuse", mode.as_str(), policy.enforce);
        report.add(&PSA_MODE_SAYS_NOTHING, place(&level), message, "");
    }
}

/// Whether all that one forbids is refused by the other; versions that differ may forbid different things.
fn covers(enforce: LevelVersion, asked: LevelVersion) -> bool {
    enforce.level >= asked.level && enforce.version == asked.version
}

/// What the namespaces among the documents ask for, by name: each level and version of each mode and prefix.
pub(super) fn levels(documents: &[Value], namespace: &str) -> Vec<LevelVersion> {
    let named =
        |object: &&Value| text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == namespace;
    let mut all = Vec::new();
    for object in documents.iter().filter(named) {
        for prefix in [PREFIX, OWN] {
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
            if !labels.is_some_and(|labels| labels.keys().any(|key| key.starts_with(prefix))) {
                continue;
            }
            let (policy, _) = Policy::from_labels(object, &Policy::default(), prefix);
            all.extend(Mode::ALL.map(|mode| policy.mode(mode)));
        }
    }
    all
}
