//! From a manifest to an exemption. Everything that is wrong is told at once, with its place.

use super::allow::Allow;
use super::around::Names;
use super::error::ExemptionError;
use super::near::moment;
use super::preset::{self, Preset};
use super::select::{self, ContainerSelector, KINDS, Words};
use super::{Entry, Exemption, GROUP, Kind, Subjects, VERSION, spec};
use crate::fields;
use crate::go::time::Moment;
use crate::image::ImagePattern;
use crate::kyverno::matching::Selector;
use crate::pss::ContainerKind;
use crate::wildcard;
use serde_json::Value;

type Errors = Vec<ExemptionError>;

/// What both kinds of spec say about themselves.
struct About<'s> {
    reason: &'s str,
    owner: Option<&'s str>,
    expires: Option<&'s str>,
    subjects: Option<&'s spec::Subjects>,
}

impl Exemption {
    /// Reads an `Exemption`, `ClusterExemption` or `MeshPreset`.
    ///
    /// # Errors
    /// Everything that is wrong: unknown fields, controls, presets and kinds, values that can never match, selectors
    /// that contradict each other.
    pub fn parse(document: &Value) -> Result<Exemption, Vec<ExemptionError>> {
        let kind = kind_of(document).map_err(|error| vec![error])?;
        let problems = fields::check(document).unwrap_or_default();
        let mut errors: Errors = problems.iter().map(of_field).collect();
        if errors.is_empty() {
            let written = document.get("spec").cloned().unwrap_or_default();
            let exemption = match kind {
                Kind::MeshPreset => serde_json::from_value(written)
                    .map(|spec| from_preset(document, &spec, &mut errors))
                    .map_err(|error| error.to_string()),
                _ => serde_json::from_value(written)
                    .map(|spec| from_entries(kind, document, &spec, &mut errors))
                    .map_err(|error| error.to_string()),
            };
            match exemption {
                Ok(Some(exemption)) if errors.is_empty() => return Ok(exemption),
                Ok(_) => {}
                Err(reason) => errors.push(ExemptionError::new("spec", &reason, "cannot be read")),
            }
        }
        Err(errors)
    }
}

fn kind_of(document: &Value) -> Result<Kind, ExemptionError> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    let kinds = [Kind::Exemption, Kind::ClusterExemption, Kind::MeshPreset];
    let found = kinds.into_iter().find(|kind| kind.as_str() == text("kind"));
    let kind = found.ok_or_else(|| {
        let error = ExemptionError::new("kind", text("kind"), "unknown kind");
        error.accepting(kinds.map(Kind::as_str))
    })?;
    let version = format!("{GROUP}/{VERSION}");
    if text("apiVersion") == version {
        return Ok(kind);
    }
    let error = ExemptionError::new("apiVersion", text("apiVersion"), "unknown version");
    Err(error.accepting([version.as_str()]))
}

fn of_field(problem: &fields::FieldProblem) -> ExemptionError {
    let (found, what) = match problem.wrong {
        fields::Wrong::Unknown => {
            let name = problem.path.rsplit('.').next().unwrap_or_default();
            (name, "unknown field")
        }
        fields::Wrong::Type => (problem.found, "wrong type"),
    };
    let accepted = problem.accepted.iter().map(String::as_str);
    let mut error = ExemptionError::new(&problem.path, found, what).accepting(accepted);
    error.nearest.clone_from(&problem.nearest);
    error
}

fn from_entries(
    kind: Kind,
    document: &Value,
    spec: &spec::Exemption,
    errors: &mut Errors,
) -> Option<Exemption> {
    let about = About {
        reason: &spec.reason,
        owner: spec.owner.as_deref(),
        expires: spec.expires.as_deref(),
        subjects: spec.subjects.as_ref(),
    };
    let mut exemption = frame(kind, document, &about, errors)?;
    if spec.entries.is_empty() {
        errors.push(ExemptionError::new("spec.entries", "", "empty").accepting(["at least one entry"]));
    }
    let entries = spec.entries.iter().enumerate();
    exemption.entries = entries
        .filter_map(|(index, written)| entry(written, &format!("spec.entries[{index}]"), errors))
        .collect();
    Some(exemption)
}

fn from_preset(document: &Value, spec: &spec::MeshPreset, errors: &mut Errors) -> Option<Exemption> {
    let about = About {
        reason: &spec.reason,
        owner: spec.owner.as_deref(),
        expires: spec.expires.as_deref(),
        subjects: Some(&spec.subjects),
    };
    let exemption = frame(Kind::MeshPreset, document, &about, errors);
    let Some(preset) = Preset::named(&spec.preset) else {
        let error = ExemptionError::new("spec.preset", &spec.preset, "unknown preset");
        errors.push(error.accepting(preset::PRESETS.iter().map(|preset| preset.name)));
        return None;
    };
    if spec.images.as_ref().is_some_and(Vec::is_empty) {
        errors.push(ExemptionError::new("spec.images", "", "empty").accepting(["at least one image"]));
    }
    let written = preset.entry(spec.images.as_deref());
    let before = errors.len();
    let entry = entry(&written, "spec", errors);
    // What can be wrong with an entry of a preset is only what the object brought: its images.
    for error in &mut errors[before..] {
        error.path = error.path.replace("spec.containers.images", "spec.images");
    }
    let mut exemption = exemption?;
    exemption.entries = entry.into_iter().collect();
    exemption.preset = Some(preset);
    Some(exemption)
}

/// Everything but the entries.
fn frame(kind: Kind, document: &Value, about: &About<'_>, errors: &mut Errors) -> Option<Exemption> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, own) = (text("/metadata/name"), text("/metadata/namespace"));
    if name.is_empty() {
        errors.push(ExemptionError::new("metadata.name", "", "missing"));
    }
    if about.reason.trim().is_empty() {
        let problem = "missing: whoever finds the exemption must know whether it may go";
        errors.push(ExemptionError::new("spec.reason", "", problem));
    }
    let namespace = match kind {
        Kind::Exemption if own.is_empty() => "default",
        Kind::Exemption => own,
        _ if !own.is_empty() => {
            let problem = "the kind is not namespaced";
            errors.push(
                ExemptionError::new("metadata.namespace", own, problem)
                    .accepting(["spec.subjects.namespaces"]),
            );
            ""
        }
        _ => "",
    };
    let subjects = subjects(kind, about.subjects, errors);
    let expires = about.expires.and_then(|written| expiry(written, errors));
    Some(Exemption {
        kind,
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        reason: about.reason.to_owned(),
        owner: about.owner.unwrap_or_default().to_owned(),
        expires,
        preset: None,
        subjects,
        entries: Vec::new(),
    })
}

fn expiry(written: &str, errors: &mut Errors) -> Option<Moment> {
    let read = moment(written);
    if read.is_none() {
        let error = ExemptionError::new("spec.expires", written, "no moment");
        errors.push(error.accepting(["RFC 3339, such as 2027-03-31T00:00:00Z"]));
    }
    read
}

fn subjects(kind: Kind, written: Option<&spec::Subjects>, errors: &mut Errors) -> Subjects {
    let none = spec::Subjects::default();
    let written = written.unwrap_or(&none);
    let namespaces = written.namespaces.clone().unwrap_or_default();
    let place = "spec.subjects.namespaces";
    match (kind, &written.namespaces) {
        (Kind::Exemption, Some(names)) => {
            let problem = "an Exemption is about its own namespace only";
            let error = ExemptionError::new(place, &names.join(", "), problem);
            errors.push(error.accepting(["a ClusterExemption"]));
        }
        (Kind::ClusterExemption | Kind::MeshPreset, _) if namespaces.is_empty() => {
            let problem = "missing: the object is about no namespace";
            errors.push(
                ExemptionError::new(place, "", problem).accepting(["names or patterns, \"*\" for all"]),
            );
        }
        _ => {}
    }
    let service_accounts = written.service_accounts.clone().unwrap_or_default();
    for (place, list) in [(place, &namespaces), ("spec.subjects.serviceAccounts", &service_accounts)] {
        names(list, place, errors);
    }
    Subjects { namespaces, labels: labels(written.pod_labels.as_ref(), errors), service_accounts }
}

/// Names in a list that nothing can have.
fn names(list: &[String], path: &str, errors: &mut Errors) {
    for (index, name) in list.iter().enumerate() {
        let fine =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '*' | '?');
        if name.is_empty() || name.len() > 253 || !name.chars().all(fine) {
            let error = ExemptionError::new(format!("{path}[{index}]"), name, "no object has such a name");
            errors.push(error.accepting(["lower case letters, digits, -, ., and the wildcards * and ?"]));
        }
    }
}

fn labels(written: Option<&spec::LabelSelector>, errors: &mut Errors) -> Option<Selector> {
    let place = "spec.subjects.podLabels";
    let written = written?;
    for (key, value) in written.match_labels.iter().flatten() {
        if wildcard::is_pattern(key) || wildcard::is_pattern(value) {
            let error =
                ExemptionError::new(format!("{place}.matchLabels.{key}"), value, "no label has a wildcard");
            errors.push(error.accepting(["the label's whole name and value"]));
        }
    }
    let value = serde_json::to_value(written).unwrap_or_default();
    match Selector::parse(&value, place) {
        Ok(selector) => Some(selector),
        Err(error) => {
            errors.push(
                ExemptionError::new(error.path, "", "cannot be read").accepting([error.reason.as_str()]),
            );
            None
        }
    }
}

fn entry(written: &spec::Entry, path: &str, errors: &mut Errors) -> Option<Entry> {
    let before = errors.len();
    let containers = match &written.containers {
        None => None,
        Some(written) => Some(containers(written, &format!("{path}.containers"), errors)?),
    };
    if written.allow.is_empty() {
        errors.push(
            ExemptionError::new(format!("{path}.allow"), "", "empty").accepting(["at least one control"]),
        );
    }
    let allow = written.allow.iter().enumerate().filter_map(|(index, written)| {
        Allow::check(written, containers.as_ref(), &format!("{path}.allow[{index}]"), errors)
    });
    let allow: Vec<Allow> = allow.collect();
    (errors.len() == before).then_some(Entry { containers, allow })
}

fn containers(written: &spec::Containers, path: &str, errors: &mut Errors) -> Option<ContainerSelector> {
    if *written == spec::Containers::default() {
        let error = ExemptionError::new(path, "", "no selector, so that every container is meant");
        errors
            .push(error.accepting(["names", "kinds", "images", "command", "args", "env", "mounts", "hooks"]));
        return None;
    }
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let lists = [("names", &written.names), ("kinds", &written.kinds), ("images", &written.images)];
    for (name, list) in lists {
        if list.as_ref().is_some_and(Vec::is_empty) {
            let error =
                ExemptionError::new(format!("{path}.{name}"), "", "an empty list selects no container");
            errors.push(error.accepting(["at least one", "no list at all"]));
        }
    }
    names(&list(&written.names), &format!("{path}.names"), errors);
    let mut kinds: Vec<ContainerKind> = Vec::new();
    for (index, name) in list(&written.kinds).iter().enumerate() {
        match select::kind(name) {
            Some(kind) => kinds.push(kind),
            None => {
                let error =
                    ExemptionError::new(format!("{path}.kinds[{index}]"), name, "unknown kind of container");
                errors.push(error.accepting(KINDS.iter().map(|kind| kind.as_str())));
            }
        }
    }
    let mut images = Vec::new();
    for (index, pattern) in list(&written.images).iter().enumerate() {
        match ImagePattern::parse(pattern) {
            Ok(pattern) => images.push(pattern),
            Err(error) => {
                errors.push(ExemptionError::new(format!("{path}.images[{index}]"), pattern, error.reason))
            }
        }
    }
    Some(ContainerSelector {
        names: list(&written.names),
        kinds,
        images,
        command: written.command.as_deref().map(Words::new),
        args: written.args.as_deref().map(Words::new),
        env: written.env.as_deref().map(Names::new),
        mounts: written.mounts.as_deref().map(Names::new),
        hooks: written.hooks.as_deref().map(Names::new),
    })
}
