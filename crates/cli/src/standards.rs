//! The Pod Security Standards' verdicts about an object of a file: each offending value with its line, its place in the
//! whole object, and what to write instead. `check` and `explain` share it.

pub(crate) mod advice;

use meshward_manifest::{Object, Place, Span};
use meshward_policy::pss::{Aggregate, CheckResult, Finding, Level, LevelVersion};

use crate::kinds::PodOf;
use crate::results::{FieldValue, Severity, Source, Status, Verdict};

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

/// What a policy says about an object.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// One verdict a violated check.
    pub(crate) verdicts: Vec<Verdict>,
    /// Upstream's sentence about all of them, from `violates PodSecurity …` on; `None` where nothing is violated.
    pub(crate) sentence: Option<String>,
}

impl Judgement {
    /// Makes a judgement of the checks' results, exempted findings taken out.
    pub(crate) fn new(policy: LevelVersion, results: &[CheckResult<'_>], written: Written<'_>) -> Judgement {
        let aggregate = Aggregate::new(results);
        let sentence = (!aggregate.allowed()).then(|| aggregate.violates(policy));
        let violated = results.iter().filter_map(|result| Some((result, result.text()?)));
        let verdict = |(result, (reason, detail)): (&CheckResult<'_>, (&str, String))| {
            let mut verdict = of_check(policy, result, Status::Fail, sentence_of(reason, &detail));
            verdict.fields = result.findings.iter().map(|finding| written.field(result, finding)).collect();
            verdict.properties.insert("reason".into(), reason.into());
            verdict.properties.insert("detail".into(), detail);
            verdict
        };
        Judgement { verdicts: violated.map(verdict).collect(), sentence }
    }
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
