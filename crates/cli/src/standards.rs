//! The Pod Security Standards' verdicts about an object of a file: each offending value with its line, its place in the
//! whole object, and what to write instead. `check` and `explain` share it.

pub(crate) mod advice;
mod exemptions;

use meshward_manifest::{Object, Place, Span};
use meshward_policy::exemption::{Removed, Who};
use meshward_policy::pss::{Aggregate, CheckResult, Finding, Level, LevelVersion, evaluate};

use crate::kinds::PodOf;
use crate::load::Part;
use crate::results::{Exempted, FieldValue, ObjectReference, Problem, Severity, Source, Status, Verdict};

pub(crate) use exemptions::Exemptions;

/// An object in a file, with its pod.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    /// The text around it.
    pub(crate) source: Source<'a>,
    /// The object.
    pub(crate) object: &'a Object<'a>,
    /// Its pod.
    pub(crate) pod: &'a PodOf<'a>,
}

/// Who judges: the standards, and the exemptions from them.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The exemptions.
    pub(crate) exemptions: Exemptions,
    /// The namespace of objects that name none.
    pub(crate) namespace: String,
}

/// What a policy says about an object.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// One verdict a check that is violated, or would be without an exemption.
    pub(crate) verdicts: Vec<Verdict>,
    /// Upstream's sentence about all violations, from `violates PodSecurity …` on; `None` where there are none.
    pub(crate) sentence: Option<String>,
}

/// The results of all checks, exempted findings taken out, and those findings.
pub(crate) struct Examined<'a> {
    /// What every check that runs has left.
    pub(crate) results: Vec<CheckResult<'a>>,
    /// What was taken out.
    pub(crate) removed: Vec<Removed<'a>>,
    /// Whose pod it is.
    pub(crate) who: Who<'a>,
}

impl Judge {
    /// Runs the checks of a policy on an object's pod.
    pub(crate) fn examine<'a>(&'a self, policy: LevelVersion, written: Written<'a>) -> Examined<'a> {
        let pod = &written.pod.pod;
        let named = written.object.value.pointer("/metadata/namespace").and_then(serde_json::Value::as_str);
        let namespace = named.filter(|namespace| !namespace.is_empty()).unwrap_or(&self.namespace);
        let who = Who::of(pod, namespace);
        let mut results = evaluate(policy.level, policy.version, pod);
        let removed = self.exemptions.apply(&mut results, pod, &who);
        Examined { results, removed, who }
    }

    /// What a policy says about an object.
    pub(crate) fn judge(&self, policy: LevelVersion, written: Written<'_>) -> Judgement {
        let examined = self.examine(policy, written);
        let aggregate = Aggregate::new(&examined.results);
        let sentence = (!aggregate.allowed()).then(|| aggregate.violates(policy));
        let verdict = |result: &CheckResult<'_>| {
            let exempted = self.exempted(result, &examined.removed, written);
            let Some((reason, detail)) = result.text() else {
                return (!exempted.is_empty()).then(|| {
                    let message = format!("exempted by {}", exempted_by(&exempted));
                    Verdict { exempted, ..of_check(policy, result, Status::Skip, message) }
                });
            };
            let mut verdict = of_check(policy, result, Status::Fail, sentence_of(reason, &detail));
            verdict.exempted = exempted;
            verdict.fields = result.findings.iter().map(|finding| written.field(result, finding)).collect();
            verdict.properties.insert("reason".into(), reason.into());
            verdict.properties.insert("detail".into(), detail);
            Some(verdict)
        };
        Judgement { verdicts: examined.results.iter().filter_map(verdict).collect(), sentence }
    }

    fn exempted(
        &self,
        result: &CheckResult<'_>,
        removed: &[Removed<'_>],
        written: Written<'_>,
    ) -> Vec<Exempted> {
        let of_check = removed.iter().filter(|removed| removed.check.id == result.check.id);
        of_check
            .map(|removed| Exempted {
                field: written.field(result, &removed.finding),
                by: self.exemptions.title(removed.exemption),
                reason: self.exemptions.reason(removed.exemption),
            })
            .collect()
    }
}

/// The exemptions, each once.
fn exempted_by(exempted: &[Exempted]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for exempted in exempted {
        if !names.contains(&exempted.by.as_str()) {
            names.push(&exempted.by);
        }
    }
    names.join(", ")
}

/// A verdict of one check, without fields.
pub(crate) fn of_check(
    policy: LevelVersion,
    result: &CheckResult<'_>,
    status: Status,
    message: String,
) -> Verdict {
    let check = result.check;
    let (severity, category) = match check.level {
        Level::Restricted => (Severity::Medium, "Pod Security Standards (Restricted)"),
        Level::Privileged | Level::Baseline => (Severity::High, "Pod Security Standards (Baseline)"),
    };
    Verdict {
        control: Some(check.control),
        severity: Some(severity),
        category: category.into(),
        ..Verdict::new(policy_name(policy), check.id.as_str(), status, message)
    }
}

/// The object as results name it.
pub(crate) fn reference(part: &Part<'_>, object: &Object<'_>) -> ObjectReference {
    let position = object.place().map(|place| part.source.position(place.value));
    ObjectReference { file: part.file.clone(), position, ..ObjectReference::of(&object.value) }
}

/// Values of the wrong type: no check can read them, and nobody else will say so.
pub(crate) fn malformed(part: &Part<'_>, object: &Object<'_>, pod: &PodOf<'_>) -> Vec<Problem> {
    let problem = |malformed: &meshward_policy::pss::Malformed| {
        let pointer = format!("{}{}", pod.base, malformed.pointer);
        let place = object.get(&pointer).or_else(|| object.place());
        let message = format!("{pointer}: expected {}, found {}", malformed.expected, malformed.found);
        part.problem(&message, place.map(|place| place.value))
    };
    pod.pod.malformed(pod.root).iter().map(problem).collect()
}

/// A policy as the results name it.
pub(crate) fn policy_name(policy: LevelVersion) -> String {
    format!("PodSecurity {policy}")
}

fn sentence_of(reason: &str, detail: &str) -> String {
    if detail.is_empty() { reason.to_owned() } else { format!("{reason} ({detail})") }
}

impl Written<'_> {
    /// A finding with its place in the whole object and in the file.
    pub(crate) fn field(&self, result: &CheckResult<'_>, finding: &Finding<'_>) -> FieldValue {
        let pointer = format!("{}{}", self.pod.base, finding.pointer());
        let position = self.object.nearest(&pointer).map(|(place, found)| {
            let span = if found { place.value } else { owner(place) };
            self.source.position(span)
        });
        FieldValue {
            path: self.path(finding),
            value: finding.value.cloned().unwrap_or_default(),
            position,
            remark: advice::remark(result, finding),
        }
    }

    /// The finding's field, from the root of the object.
    pub(crate) fn path(&self, finding: &Finding<'_>) -> String {
        format!("{}{}", self.prefix(), finding.path())
    }

    /// What stands before a field of the pod in the whole object: empty, or `spec.template.`.
    pub(crate) fn prefix(&self) -> String {
        let pointer = format!("{}{}", self.pod.base, self.pod.pod.base());
        let steps = pointer.split('/').skip(1);
        steps.fold(String::new(), |prefix, step| prefix + step + ".")
    }
}

/// Where something is missing: the key of the map that lacks it, because the map itself may be long.
fn owner(place: Place) -> Span {
    place.key.unwrap_or(place.value)
}
