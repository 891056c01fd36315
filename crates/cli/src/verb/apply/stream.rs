//! Objects on their way through the policies: batches of documents, each worked on by all cores, handed over in the order
//! of the input and then let go of.

use std::num::NonZero;
use std::thread;

use meshward_manifest::{Chunks, Document, Documents, ManifestError, Options};
use meshward_policy::kyverno::policy::RuleReport;
use serde_json::Value;

use super::prepare::Prepared;
use crate::input::Input;
use crate::kyverno::problem::{Problem, Problems};
use crate::kyverno::resource::prepared;
use crate::results::{Excerpt, ObjectReference, Position, Source};

/// Documents that one thread works on before the results are handed over.
const BATCH: usize = 64;
/// As much as the main thread has: evaluation follows the nesting of objects and patterns.
const STACK: usize = 8 << 20;

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
pub(super) fn run(prepared: &Prepared, problems: &mut Problems, mut hand_over: impl FnMut(Judged)) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    for input in &prepared.inputs {
        let mut chunks = Chunks::new(input.bytes());
        let mut any = false;
        loop {
            let batch: Vec<_> = chunks.by_ref().take(threads * BATCH).collect();
            if batch.is_empty() {
                break;
            }
            any = true;
            let options = Options { spans: prepared.reports, ..Options::default() };
            let parsed = parallel(batch, threads, |chunk| match chunk {
                Ok(chunk) => Documents::of_chunk(chunk, options).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            });
            judge_batch(prepared, input, parsed, threads, problems, &mut hand_over);
        }
        if !any {
            let message = format!("{}: no document; accepted: YAML or JSON with at least one", input.name);
            problems.tell(Problem::of_file(&input.name, message));
        }
    }
}

fn judge_batch(
    prepared: &Prepared,
    input: &Input,
    parsed: Vec<Vec<Result<Document, ManifestError>>>,
    threads: usize,
    problems: &mut Problems,
    hand_over: &mut impl FnMut(Judged),
) {
    let mut documents = Vec::new();
    for document in parsed.into_iter().flatten() {
        match document {
            Ok(document) => documents.push(document),
            Err(error) => problems.tell(Problem::broken(input, &error)),
        }
    }
    let objects: Vec<_> = documents.iter().flat_map(Document::objects).collect();
    let judged = parallel(objects, threads, |object| judge(prepared, input, &object));
    for judged in judged {
        match judged {
            Ok(judged) => hand_over(judged),
            Err(problem) => problems.tell(problem),
        }
    }
}

fn judge(
    prepared: &Prepared,
    input: &Input,
    object: &meshward_manifest::Object<'_>,
) -> Result<Judged, Problem> {
    if !object.value.get("kind").is_some_and(Value::is_string) {
        let message = "no Kubernetes object: found a document without a kind";
        return Err(Problem::at(input, message, object.place()));
    }
    let value = self::prepared(object.value.as_ref().clone(), &prepared.definitions);
    let source = Source::whole(input.bytes());
    let mut reference = ObjectReference::of(&value);
    reference.file = input.name.as_str().into();
    reference.position = object.place().map(|place| source.position(place.value));
    let mut results = Vec::new();
    for (index, loaded) in prepared.library.policies.iter().enumerate() {
        let reports = prepared.session.evaluate(loaded, &value, None);
        if reports.is_empty() {
            continue;
        }
        let reported = |report: RuleReport| {
            let pointer = failed_at(&report.result.message);
            let field = pointer.filter(|_| prepared.reports).map(|pointer| {
                let place = object.nearest(&pointer).map(|(place, _)| source.position(place.value));
                (dotted(&pointer), place)
            });
            Reported { report, field }
        };
        results.push((index, reports.into_iter().map(reported).collect::<Vec<_>>()));
    }
    let fields = results.iter().flat_map(|(_, reported)| reported).filter_map(|one| one.field.as_ref());
    let excerpt = source.excerpt(fields.filter_map(|(_, position)| *position));
    let images = if prepared.reports { images(&value) } else { Vec::new() };
    Ok(Judged { object: reference, images, results, excerpt })
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

/// Applies a function to every item on several threads; the order stays.
fn parallel<T: Send, R: Send>(items: Vec<T>, threads: usize, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if threads < 2 || items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    let size = items.len().div_ceil(threads);
    let mut slots: Vec<(Option<T>, Option<R>)> = items.into_iter().map(|item| (Some(item), None)).collect();
    let work = &work;
    thread::scope(|scope| {
        for share in slots.chunks_mut(size) {
            let task = move || share.iter_mut().for_each(|slot| slot.1 = slot.0.take().map(work));
            // What a thread that cannot be started leaves undone is done below.
            let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, task);
        }
    });
    slots.into_iter().filter_map(|(item, result)| result.or_else(|| item.map(work))).collect()
}

/// How many objects an input holds, without parsing what is plainly one.
pub(super) fn count(bytes: &[u8]) -> usize {
    let one = |chunk: meshward_manifest::Chunk<'_>| {
        let text = chunk.bytes();
        let looks_like_several = text.trim_ascii_start().starts_with(b"{") || holds(text, b"List");
        if !looks_like_several {
            return usize::from(!is_empty(text));
        }
        let options = Options { spans: false, ..Options::default() };
        Documents::of_chunk(chunk, options).map(|document| document.map_or(1, |d| d.objects().count())).sum()
    };
    Chunks::new(bytes).map(|chunk| chunk.map_or(0, one)).sum()
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Nothing but blank lines, comments and markers.
fn is_empty(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').all(|line| {
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"#") || line == b"---" || line == b"..."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_without_reading_them() {
        assert_eq!(count(b"a: 1\n---\n# nothing\n---\nb: 2\n...\n"), 2);
        assert_eq!(count(b"kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"), 3);
        assert_eq!(count(b"{\"kind\": \"A\"} {\"kind\": \"B\"}"), 2);
        assert_eq!(count(b""), 0);
    }

    #[test]
    fn work_on_several_threads_keeps_the_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(parallel(items.clone(), 4, |item| item), items);
        assert!(parallel(Vec::<usize>::new(), 4, |item| item).is_empty());
        assert_eq!(parallel(vec![1, 2, 3], 8, |item| item * 2), [2, 4, 6]);
    }

    #[test]
    fn a_message_names_its_place() {
        let message = "validation error: x. rule r failed at path /spec/containers/0/image/";
        let pointer = failed_at(message).unwrap();
        assert_eq!(pointer, "/spec/containers/0/image");
        assert_eq!(dotted(&pointer), "spec.containers[0].image");
        assert_eq!(failed_at("validation rule 'r' passed."), None);
    }
}
