//! `validate.podSecurity` exactly as Kyverno evaluates it: its standards are frozen at 1.34, its versions and overrides
//! mean less than upstream's, and an exclusion takes out one error at a time (`pkg/pss/evaluate.go`). What is strange
//! here is what policies in production rely on; the standards themselves are in [`crate::pss`].
//!
//! ```text
//! pod ─ run ─► failures ─┐
//! probe of each exclusion ─ run ─► failures ─ take out ─► failures that remain ─► sentence
//! ```

mod errors;

use crate::pss::{CHECKS, Check, CheckId, Defaults, Level, Pod, Revision, Version, run_check};
use crate::wildcard;
use errors::FieldError;
use serde_json::{Map, Value, json};
use thiserror::Error;

/// The newest release whose rules Kyverno 1.19 knows.
const NEWEST: u64 = 34;

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
    minor: u64,
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
    /// `None` for the check that Kyverno knows no fields of.
    errors: Option<Vec<FieldError>>,
}

impl PodSecurity {
    /// Reads `validate.podSecurity`.
    ///
    /// # Errors
    /// [`PodSecurityError`] for an unknown level, version or control, or a wrong type.
    pub fn parse(value: &Value) -> Result<PodSecurity, PodSecurityError> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (level, version) = (text("level"), text("version"));
        if level.parse::<Level>().is_err() {
            return Err(wrong("level", &level, "privileged, baseline, restricted"));
        }
        let minor = match version.as_str() {
            "" | "latest" => NEWEST,
            version => match version.parse() {
                Ok(Version::Minor(minor)) => minor.min(NEWEST),
                _ => return Err(wrong("version", version, "latest, v1.N")),
            },
        };
        let exclusions = parse_exclusions(value.get("exclude").unwrap_or(&Value::Null), "exclude")?;
        Ok(PodSecurity { level, version, minor, exclusions })
    }

    /// The checks that the pod of an object fails, after the rule's own exclusions; `None` for a kind without a pod.
    pub(super) fn failures(&self, object: &Value) -> Option<Vec<Failure>> {
        let pod = pod_of(object)?;
        let mut failures = self.run(&pod);
        self.exclude(&pod, &self.exclusions, &mut failures);
        Some(failures)
    }

    /// Takes out what further exclusions, those of exceptions, name.
    pub(super) fn except(&self, object: &Value, exclusions: &[Exclusion], failures: &mut Vec<Failure>) {
        if let Some(pod) = pod_of(object) {
            self.exclude(&pod, exclusions, failures);
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

    /// All checks of the level, in Kyverno's order. Every level but baseline runs all of them, and none overrides
    /// another.
    fn run(&self, pod: &Value) -> Vec<Failure> {
        let view = Pod::new(pod).with_defaults(Defaults::None);
        let mut checks: Vec<&'static Check> = CHECKS
            .iter()
            .filter(|check| check.id != CheckId::ProcMountRestricted)
            .filter(|check| self.level != "baseline" || check.level == Level::Baseline)
            .collect();
        checks.sort_by_key(|check| check.id.as_str());
        let fails = |check: &'static Check| {
            let result = run_check(check, self.revision(check)?, &view);
            let reason = result.reason()?;
            let has_fields = check.id != CheckId::HostProbesAndHostLifecycle;
            let errors = has_fields.then(|| errors::of(check.id, &result));
            Some(Failure { check, reason, errors })
        };
        checks.into_iter().filter_map(fails).collect()
    }

    /// The newest revision of a check for the version, or else the first one whatever its version.
    fn revision(&self, check: &'static Check) -> Option<&'static Revision> {
        let fits = |revision: &&&'static Revision| revision.minimum <= self.minor.min(NEWEST);
        let all: Vec<&'static Revision> = check.revisions.iter().collect();
        all.iter().rev().find(fits).or(all.first()).copied()
    }

    fn exclude(&self, pod: &Value, exclusions: &[Exclusion], failures: &mut Vec<Failure>) {
        for exclusion in exclusions {
            let probe = probe(pod, exclusion);
            for found in self.run(&probe) {
                if found.check.control != exclusion.control {
                    continue;
                }
                for error in found.errors.iter().flatten().filter(|error| exclusion.covers(error)) {
                    let failure = failures.iter_mut().find(|failure| failure.check.id == found.check.id);
                    let Some(errors) = failure.and_then(|failure| failure.errors.as_mut()) else { continue };
                    let by_container = !exclusion.images.is_empty();
                    let same = |other: &FieldError| {
                        other.starred == error.starred
                            && (!by_container || other.container == error.container)
                    };
                    if let Some(at) = errors.iter().position(same) {
                        errors.remove(at);
                    }
                }
            }
            failures.retain(|failure| failure.errors.as_ref().is_none_or(|errors| !errors.is_empty()));
        }
    }
}

impl Exclusion {
    /// Whether an error of the control is one that the exclusion is about: all of its values must be.
    fn covers(&self, error: &FieldError) -> bool {
        let listed = |value: &String| self.values.iter().any(|pattern| wildcard::matches(pattern, value));
        (self.field.is_empty() || self.field == error.starred)
            && (self.values.is_empty() || error.values.iter().all(listed))
    }
}

/// Reads a list of exclusions, of a rule or of an exception.
///
/// # Errors
/// [`PodSecurityError`].
pub fn parse_exclusions(value: &Value, path: &str) -> Result<Vec<Exclusion>, PodSecurityError> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(wrong(path, &value.to_string(), "a list")),
    };
    let parse = |(index, value): (usize, &Value)| {
        let at = |name: &str| format!("{path}[{index}].{name}");
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let texts = |name: &str| match value.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(list) => {
                let all =
                    list.as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
                all.flatten().ok_or_else(|| wrong(&at(name), &list.to_string(), "a list of texts"))
            }
        };
        let control = text("controlName");
        let controls = controls();
        if !controls.contains(&control.as_str()) {
            return Err(wrong(&at("controlName"), &control, &controls.join(", ")));
        }
        let (images, values) = (texts("images")?, texts("values")?);
        Ok(Exclusion { control, images, field: text("restrictedField"), values })
    };
    list.iter().enumerate().map(parse).collect()
}

/// The names of controls that Kyverno knows: all but that of the check that 1.34 added.
fn controls() -> Vec<&'static str> {
    let known = CHECKS.iter().filter(|check| check.id != CheckId::HostProbesAndHostLifecycle);
    let mut names: Vec<_> = known.map(|check| check.control).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn wrong(path: &str, found: &str, accepted: &str) -> PodSecurityError {
    PodSecurityError { path: path.to_owned(), reason: format!("unknown {found:?}, accepted: {accepted}") }
}

/// The pod that an exclusion is tried on: only the containers with its images and nothing of the pod, or only the pod
/// with one empty container.
fn probe(pod: &Value, exclusion: &Exclusion) -> Value {
    const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];
    let mut spec = Map::new();
    if exclusion.images.is_empty() {
        if let Some(Value::Object(own)) = pod.get("spec") {
            spec.clone_from(own);
        }
        LISTS.iter().for_each(|list| drop(spec.remove(*list)));
        spec.insert("containers".to_owned(), json!([{"name": "fake"}]));
        return json!({"metadata": pod.get("metadata"), "spec": spec});
    }
    for list in LISTS {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        let meant = |container: &&Value| {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            exclusion.images.iter().any(|pattern| wildcard::matches(pattern, image))
        };
        let meant: Vec<Value> = containers.into_iter().flatten().filter(meant).cloned().collect();
        spec.insert(list.to_owned(), Value::Array(meant));
    }
    json!({"metadata": {}, "spec": spec})
}

/// The pod of an object as Kyverno sees it; of a CronJob, the metadata of the job.
fn pod_of(object: &Value) -> Option<Value> {
    let (metadata, spec) = match object.get("kind").and_then(Value::as_str)? {
        "Pod" => ("/metadata", "/spec"),
        "DaemonSet" | "Deployment" | "Job" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => {
            ("/spec/template/metadata", "/spec/template/spec")
        }
        "CronJob" => ("/spec/jobTemplate/metadata", "/spec/jobTemplate/spec/template/spec"),
        _ => return None,
    };
    Some(json!({"metadata": object.pointer(metadata), "spec": object.pointer(spec)}))
}
