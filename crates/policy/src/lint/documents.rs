//! What each document is, and what is wrong with its fields before anybody asks what they mean.

use serde_json::Value;

use super::table::{INVALID, UNKNOWN_FIELD, UNKNOWN_KIND, UNSUPPORTED_RULE, WRONG_TYPE, of_quirk};
use super::{Given, Report, admission, exception, exclusion, exemption, hint, namespaces, text};
use crate::fields::{self, Wrong};
use crate::kyverno::policy::{Exception, Policy};
use crate::kyverno::quirk::{Quirk, Quirks};

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Policy,
    Exception,
    Exemption,
    Namespace,
    Admission,
    /// Of a group of ours, but no kind or version that is known.
    Unknown,
    /// Of a known kind that is not evaluated here.
    Unsupported,
}

/// Kinds of kyverno.io that are not evaluated here.
const OTHERS: [&str; 8] = [
    "CleanupPolicy",
    "ClusterCleanupPolicy",
    "GlobalContextEntry",
    "UpdateRequest",
    "AdmissionReport",
    "ClusterAdmissionReport",
    "BackgroundScanReport",
    "ClusterBackgroundScanReport",
];
const KYVERNO: [&str; 3] = ["ClusterPolicy", "Policy", "PolicyException"];
const OWN: [&str; 3] = ["Exemption", "ClusterExemption", "MeshPreset"];

/// What a document is; `None` for objects that nobody exempts anything with.
pub(crate) fn kind(object: &Value) -> Option<Kind> {
    let (version, name) = (text(object, "/apiVersion"), text(object, "/kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let known = |kinds: &[&str]| kinds.contains(&name) && fields::versions(name).contains(&version);
    Some(match (group, name) {
        ("", "Namespace") if version == "v1" => Kind::Namespace,
        ("apiserver.config.k8s.io", "AdmissionConfiguration")
        | ("pod-security.admission.config.k8s.io", "PodSecurityConfiguration") => Kind::Admission,
        ("kyverno.io", "PolicyException") if known(&KYVERNO) => Kind::Exception,
        ("kyverno.io", _) if known(&KYVERNO) => Kind::Policy,
        ("meshward.dev", _) if known(&OWN) => Kind::Exemption,
        ("kyverno.io", other) if OTHERS.contains(&other) => Kind::Unsupported,
        ("policies.kyverno.io", _) => Kind::Unsupported,
        ("kyverno.io" | "meshward.dev", _) => Kind::Unknown,
        _ => return None,
    })
}

pub(super) fn check(given: &Given<'_>, object: &Value, report: &mut Report<'_>) {
    let Some(kind) = kind(object) else { return };
    check_fields(object, report);
    match kind {
        Kind::Policy => policy(object, report),
        Kind::Exception => exception::check(given, object, report),
        Kind::Exemption => exemption::check(given, object, report),
        Kind::Namespace => namespaces::check(object, report),
        Kind::Admission => admission::check(object, report),
        Kind::Unknown => unknown(object, report),
        Kind::Unsupported => {
            let message =
                format!("{} {} is not evaluated here", text(object, "/apiVersion"), text(object, "/kind"));
            report.add(&UNSUPPORTED_RULE, "", message, "");
        }
    }
}

fn unknown(object: &Value, report: &mut Report<'_>) {
    let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let (group, accepted) =
        if version.starts_with("meshward.dev/") { ("meshward.dev", OWN) } else { ("kyverno.io", KYVERNO) };
    if accepted.contains(&kind) {
        let versions: Vec<String> =
            fields::versions(kind).iter().map(|version| format!("{group}/{version}")).collect();
        let message = format!("unknown apiVersion {version:?} of kind {kind}");
        return report.add(&UNKNOWN_KIND, "apiVersion", message, versions.join(", "));
    }
    let message = format!("unknown kind {kind:?} of {group}{}", hint(kind, accepted));
    report.add(&UNKNOWN_KIND, "kind", message, accepted.join(", "));
}

fn check_fields(object: &Value, report: &mut Report<'_>) {
    for problem in fields::check(object).unwrap_or_default() {
        let accepted = problem.accepted.join(", ");
        match problem.wrong {
            Wrong::Unknown => {
                let name = problem.path.rsplit('.').next().unwrap_or_default().to_owned();
                let nearest = problem.nearest.as_ref().map(|name| format!("; did you mean {name:?}?"));
                let message = format!("unknown field {name:?}{}", nearest.unwrap_or_default());
                let instead = problem.nearest.clone().unwrap_or_else(|| format!("one of {accepted}"));
                report.add(&UNKNOWN_FIELD, problem.path, message, instead);
            }
            Wrong::Type => {
                report.add(&WRONG_TYPE, problem.path, format!("found {}", problem.found), accepted);
            }
        }
        if let Some(last) = report.findings.last_mut() {
            last.pointer = problem.pointer;
        }
    }
}

fn policy(object: &Value, report: &mut Report<'_>) {
    let rules = object.pointer("/spec/rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, rule) in rules.iter().enumerate() {
        let standard = rule.pointer("/validate/podSecurity").filter(|standard| standard.is_object());
        if let Some(standard) = standard {
            exclusion::of_rule(standard, &format!("spec.rules[{index}].validate.podSecurity"), report);
        }
    }
    // The quirk that makes a policy invalid has a lint of its own.
    let quirks = Quirks::KYVERNO.without(Quirk::HostProbesUnexcludable);
    match Policy::compile_with(object, quirks) {
        Err(errors) => errors.into_iter().for_each(|error| {
            if !is_told(&error.path, report) {
                report.add(&INVALID, error.path, error.reason, "");
            }
        }),
        Ok(policy) => {
            for touched in policy.quirks_touched() {
                quirk(touched.quirk, &touched.path, report);
            }
            for unsupported in policy.unsupported() {
                let at = rules.iter().position(|rule| text(rule, "/name") == unsupported.rule);
                let path = at.map_or_else(|| "spec".to_owned(), |at| format!("spec.rules[{at}]"));
                let message = format!("rule {:?}: {} is not evaluated", unsupported.rule, unsupported.what);
                report.add(&UNSUPPORTED_RULE, path, message, "");
            }
        }
    }
}

/// Whether an error about a place was found as a lint of its own.
pub(super) fn is_told(path: &str, report: &Report<'_>) -> bool {
    let same = |found: &str| !found.is_empty() && (found == path || found.starts_with(&format!("{path}.")));
    report
        .findings
        .iter()
        .filter(|finding| finding.document == report.document)
        .any(|found| same(&found.path))
}

/// A quirk that matters, unless what makes it matter was told already in plainer words.
pub(super) fn quirk(quirk: Quirk, path: &str, report: &mut Report<'_>) {
    use super::table::{IMAGE_NEVER_MATCHES, IMAGE_WITHOUT_REGISTRY, REFUSED_BY_KYVERNO, SPOOFABLE_IMAGE};
    let path = path.trim_end_matches('.');
    let parent = path.rsplit_once('.').map_or(path, |(parent, _)| parent);
    let told = match quirk {
        Quirk::RawImages => {
            report.has(path, &[&SPOOFABLE_IMAGE, &IMAGE_NEVER_MATCHES, &IMAGE_WITHOUT_REGISTRY])
        }
        Quirk::OneErrorAtATime | Quirk::LevelsApart => report.has(parent, &[&REFUSED_BY_KYVERNO]),
        _ => false,
    };
    if !told {
        let message = format!("Kyverno: {} (Q{})", quirk.text(), quirk.number());
        let lint = of_quirk(quirk);
        let instead = format!("{}; in strict mode: {}", lint.instead, quirk.strict_text());
        report.add(lint, path, message, instead);
    }
}

/// The policies and exceptions of the given documents that can be used, each with its place in the list.
pub(crate) fn policies(documents: &[Value]) -> Vec<(usize, Policy)> {
    let quirks = Quirks::KYVERNO.without(Quirk::HostProbesUnexcludable);
    let of = |(index, object): (usize, &Value)| {
        let policy = (kind(object) == Some(Kind::Policy)).then(|| Policy::compile_with(object, quirks).ok());
        Some((index, policy.flatten()?))
    };
    documents.iter().enumerate().filter_map(of).collect()
}

pub(crate) fn exceptions(documents: &[Value]) -> Vec<(usize, Exception)> {
    let of = |(index, object): (usize, &Value)| {
        let exception = (kind(object) == Some(Kind::Exception)).then(|| Exception::parse(object).ok());
        Some((index, exception.flatten()?))
    };
    documents.iter().enumerate().filter_map(of).collect()
}
