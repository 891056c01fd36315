//! `validate.podSecurity` as Kyverno evaluates it: its standards are frozen at 1.34, its versions and overrides mean
//! less than upstream's, and an exclusion takes out one error at a time (`pkg/pss/evaluate.go`). What is strange here is
//! what policies in production rely on, so each such place asks whether its [`Quirk`] is on; the standards themselves
//! are in [`crate::pss`].
//!
//! ```text
//! pod ─ run ─► failures ─┬─ take out what a made-up pod of each exclusion fails as well (Q2) ─┬─► failures ─► sentence
//!                        └─ take out what each exclusion is about                           ─┘
//! ```

mod errors;
mod exclude;
mod parse;
mod touched;

use super::quirk::{Quirk, Quirks};
use crate::pss::{CHECKS, Check, CheckId, Defaults, Level, Pod, Revision, Version, active, run_check};
use errors::FieldError;
use serde_json::Value;
use thiserror::Error;

pub(crate) use exclude::path_matches;
pub use parse::parse_exclusions;
pub(super) use touched::{of_exclusions as exclusions_touched, touched};

/// The newest release whose rules Kyverno 1.19 knows.
const NEWEST: u64 = 34;

/// The control that no `controlName` of Kyverno names.
pub(super) const HOST_PROBES: &str = "Host Probes / Lifecycle Hooks";

/// A control, or a part of it, that is not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// The control.
    pub control: String,
    /// Patterns for images; if there are any, the exclusion is about containers with these images, else about the pod.
    pub images: Vec<String>,
    /// The field, such as `spec.containers[*].securityContext.capabilities.add`; empty for all fields of the control.
    pub field: String,
    /// Patterns for the field's values; empty for all.
    pub values: Vec<String>,
}

/// `validate.podSecurity`.
#[derive(Debug, Clone)]
pub struct PodSecurity {
    /// The level as it is written.
    level: String,
    /// The version as it is written.
    version: String,
    standard: Level,
    release: Version,
    exclusions: Vec<Exclusion>,
}

/// A `podSecurity` that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct PodSecurityError {
    /// Where, such as `exclude[0].controlName`.
    pub path: String,
    /// What was found and what is accepted.
    pub reason: String,
}

/// One check that a pod fails.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    check: &'static Check,
    reason: &'static str,
    /// Upstream's sentence, before anything was taken out.
    detail: String,
    /// `None` for the check that Kyverno knows no fields of.
    errors: Option<Vec<FieldError>>,
}

/// A check that a pod failed, for reports: its identity, and the containers that its sentence names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedControl {
    /// The check's name upstream, such as `capabilities_baseline`.
    pub id: &'static str,
    /// The control's name.
    pub control: &'static str,
    /// The containers' names, as the sentence lists them.
    pub containers: Vec<String>,
}

impl PodSecurity {
    /// Reads `validate.podSecurity`.
    ///
    /// # Errors
    /// [`PodSecurityError`] for an unknown level, version or control, or a wrong type.
    pub fn parse(value: &Value) -> Result<PodSecurity, PodSecurityError> {
        parse::pod_security(value)
    }

    /// The level as it is written.
    pub fn level(&self) -> &str {
        &self.level
    }

    /// The version as it is written; may be empty.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The rule's exclusions.
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.exclusions
    }

    /// The checks that the pod of an object fails, after the rule's own exclusions; `None` for a kind without a pod.
    pub(super) fn failures(&self, object: &Value, quirks: Quirks) -> Option<Vec<Failure>> {
        let pod = pod_of(object, quirks)?;
        let mut failures = self.run(&pod, quirks);
        self.exclude(&pod, &self.exclusions, &mut failures, quirks);
        Some(failures)
    }

    /// Takes out what further exclusions, those of exceptions, name.
    pub(super) fn except(
        &self,
        object: &Value,
        exclusions: &[Exclusion],
        failures: &mut Vec<Failure>,
        quirks: Quirks,
    ) {
        if let Some(pod) = pod_of(object, quirks) {
            self.exclude(&pod, exclusions, failures, quirks);
        }
    }

    /// Kyverno's sentence about failures of a rule.
    pub(super) fn message(&self, rule: &str, kind: &str, failures: &[Failure]) -> String {
        let text: String = failures
            .iter()
            .map(|failure| {
                let errors: Vec<String> =
                    failure.errors.iter().flatten().map(|error| error.text(kind)).collect();
                format!("(Forbidden reason: {}, field error list: [{}])", failure.reason, errors.join(", "))
            })
            .collect();
        format!(
            "Validation rule '{rule}' failed. It violates PodSecurity \"{}:{}\": {text}",
            self.level, self.version
        )
    }

    /// All checks that run and fail, before exclusions.
    fn run(&self, pod: &Pod<'_>, quirks: Quirks) -> Vec<Failure> {
        let mut failures: Vec<Failure> = self
            .checks(quirks)
            .into_iter()
            .filter_map(|(check, revision)| {
                let result = run_check(check, revision, pod);
                let (reason, detail) = result.text()?;
                let has_fields = check.id != CheckId::HostProbesAndHostLifecycle
                    || !quirks.on(Quirk::HostProbesUnexcludable);
                let errors = has_fields.then(|| errors::of(check.id, &result, quirks));
                Some(Failure { check, reason, detail, errors })
            })
            .collect();
        if quirks.on(Quirk::OrderLost) {
            failures.sort_by_key(|failure| failure.check.id.as_str());
        }
        failures
    }

    /// The checks that run, each with its revision.
    fn checks(&self, quirks: Quirks) -> Vec<(&'static Check, &'static Revision)> {
        let level = match self.standard {
            Level::Privileged if quirks.on(Quirk::PrivilegedChecksAll) => Level::Restricted,
            level => level,
        };
        if level == Level::Privileged {
            return Vec::new();
        }
        if !quirks.on(Quirk::FrozenStandards) {
            return active(level, self.release).collect();
        }
        let known = CHECKS.iter().filter(|check| check.id != CheckId::ProcMountRestricted);
        let of_level = known.filter(|check| check.level <= level);
        of_level.filter_map(|check| Some((check, self.frozen_revision(check)?))).collect()
    }

    /// The newest revision of a check for the version, or else the first one whatever its version.
    fn frozen_revision(&self, check: &'static Check) -> Option<&'static Revision> {
        let minor = match self.release {
            Version::Minor(minor) => minor.min(NEWEST),
            Version::Latest => NEWEST,
        };
        let fits = |revision: &&&'static Revision| revision.minimum <= minor;
        let all: Vec<&'static Revision> = check.revisions.iter().collect();
        all.iter().rev().find(fits).or(all.first()).copied()
    }
}

/// The failed checks for reports.
pub(super) fn failed_controls(failures: &[Failure]) -> Vec<FailedControl> {
    let of = |failure: &Failure| FailedControl {
        id: failure.check.id.as_str(),
        control: failure.check.control,
        containers: containers_of(&failure.detail),
    };
    failures.iter().map(of).collect()
}

/// The names that stand between `container` and `must` in a sentence, as Kyverno reads them back out of it.
fn containers_of(detail: &str) -> Vec<String> {
    let named = detail.split_once("container").and_then(|(_, rest)| rest.split_once("must"));
    let Some((names, _)) = named else { return Vec::new() };
    let names = names.strip_prefix('s').unwrap_or(names).replace(['"', ' '], "");
    names.split(',').map(str::to_owned).collect()
}

/// The pod of an object as Kyverno sees it; of a CronJob, the metadata of the job.
fn pod_of(object: &Value, quirks: Quirks) -> Option<Pod<'_>> {
    let frozen = quirks.on(Quirk::FrozenStandards);
    let (metadata, spec) = match object.get("kind").and_then(Value::as_str)? {
        "Pod" => ("/metadata", "/spec"),
        "DaemonSet" | "Deployment" | "Job" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            ("/spec/template/metadata", "/spec/template/spec")
        }
        "CronJob" if frozen => ("/spec/jobTemplate/metadata", "/spec/jobTemplate/spec/template/spec"),
        "CronJob" => ("/spec/jobTemplate/spec/template/metadata", "/spec/jobTemplate/spec/template/spec"),
        _ => return None,
    };
    let defaults = if frozen { Defaults::None } else { Defaults::ApiServer };
    Some(Pod::of_parts(object.pointer(metadata), object.pointer(spec), "").with_defaults(defaults))
}
