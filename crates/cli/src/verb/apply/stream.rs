//! Objects on their way through the policies: judged by all processors, handed over in the order of the input and then
//! let go of.

use meshward_manifest::Object;
use meshward_policy::kyverno::policy::RuleReport;
use serde_json::Value;

use super::prepare::Prepared;
use crate::kyverno::problem::Problems;
use crate::kyverno::resource::prepared;
use crate::load::{self, Found, Part, Told};
use crate::results::{Excerpt, ObjectReference, Position};

/// An object and what the policies say about it.
pub(super) struct Judged {
    /// Which object.
    pub(super) object: ObjectReference,
    /// The images of its containers, by the containers' names.
    pub(super) images: Vec<(String, String)>,
    /// Results by the policy's place in the library, without policies that have none.
    pub(super) results: Vec<(usize, Vec<Reported>)>,
    /// The lines that failures are about.
    pub(super) excerpt: Option<Excerpt>,
}

/// A rule's result, and where in the file the value is that it is about.
pub(super) struct Reported {
    pub(super) report: RuleReport,
    pub(super) field: Option<(String, Option<Position>)>,
}

/// Judges every object of the inputs. Documents that cannot be read are told and passed over.
pub(super) fn run(
    prepared: &Prepared,
    inputs: Vec<Found>,
    problems: &mut Problems,
    mut hand_over: impl FnMut(Judged),
) {
    let inputs = inputs.into_iter().map(Ok).collect();
    let judge_all = |part: &Part<'_>, told: &mut Told| -> Vec<Judged> {
        part.document.objects().filter_map(|object| judge(prepared, part, &object, told)).collect()
    };
    load::in_order(inputs, prepared.reports, judge_all, |loaded| {
        loaded.told.problems.into_iter().for_each(|problem| problems.tell(problem.into()));
        loaded.values.into_iter().flatten().for_each(&mut hand_over);
    });
}

fn judge(prepared: &Prepared, part: &Part<'_>, object: &Object<'_>, told: &mut Told) -> Option<Judged> {
    if !object.value.get("kind").is_some_and(Value::is_string) {
        let message = "no Kubernetes object: found a document without a kind";
        told.problems.push(part.problem(message, object.place().map(|place| place.value)));
        return None;
    }
    let value = self::prepared(object.value.as_ref().clone(), &prepared.definitions);
    let source = part.source;
    let mut reference = ObjectReference::of(&value);
    reference.file = part.file.clone();
    // Objects of a cluster stand in no file.
    let position = |span| (!part.file.is_empty()).then(|| source.position(span));
    reference.position = object.place().and_then(|place| position(place.value));
    let mut results = Vec::new();
    for (index, loaded) in prepared.library.policies.iter().enumerate() {
        let reports = prepared.session.evaluate(loaded, &value, None);
        if reports.is_empty() {
            continue;
        }
        let reported = |report: RuleReport| {
            let pointer = failed_at(&report.result.message);
            let field = pointer.filter(|_| prepared.reports).map(|pointer| {
                let place = object.nearest(&pointer).and_then(|(place, _)| position(place.value));
                (dotted(&pointer), place)
            });
            Reported { report, field }
        };
        results.push((index, reports.into_iter().map(reported).collect::<Vec<_>>()));
    }
    let fields = results.iter().flat_map(|(_, reported)| reported).filter_map(|one| one.field.as_ref());
    let excerpt = source.excerpt(fields.filter_map(|(_, position)| *position));
    let images = if prepared.reports { images(&value) } else { Vec::new() };
    Some(Judged { object: reference, images, results, excerpt })
}

/// The place that Kyverno's message about a pattern names, as a JSON pointer.
fn failed_at(message: &str) -> Option<String> {
    let (_, path) = message.split_once(" failed at path ")?;
    let path = path.split_whitespace().next()?;
    Some(path.trim_end_matches('/').to_owned())
}

/// `/spec/containers/0/image` as `spec.containers[0].image`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{step}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

fn images(object: &Value) -> Vec<(String, String)> {
    let template = ["/spec/jobTemplate/spec/template/spec", "/spec/template/spec", "/spec"];
    let Some(spec) = template.into_iter().find_map(|pointer| object.pointer(pointer)) else {
        return Vec::new();
    };
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.into_iter().filter_map(|list| spec.get(list)?.as_array()).flatten();
    let named = containers.filter_map(|container| {
        Some((container.get("name")?.as_str()?.to_owned(), container.get("image")?.as_str()?.to_owned()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_place() {
        let message = "validation error: x. rule r failed at path /spec/containers/0/image/";
        let pointer = failed_at(message).unwrap();
        assert_eq!(pointer, "/spec/containers/0/image");
        assert_eq!(dotted(&pointer), "spec.containers[0].image");
        assert_eq!(failed_at("validation rule 'r' passed."), None);
    }
}
