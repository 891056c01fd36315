//! Manifests: the reader alone, and the whole way from a file to rules.

use meshward_manifest::{Chunks, Document, Documents, Limits, Object, Options, Place, Span};
use meshward_mesh::{Plan, PodTemplate, REDIRECT_ANNOTATION, Wanted, pods};
use meshward_redirect::dialect::{self, InvalidOption, Surroundings};
use meshward_redirect::{Mesh, RuleSet};
use serde_json::Value;

use super::check_message;
use super::rules::check_rules;

const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 64, nodes: 20_000, repeated_nodes: 4096 };

/// Any bytes as a stream of documents: every place is a place in them.
pub fn manifest(data: &[u8]) {
    for strict in [false, true] {
        let options = Options { limits: LIMITS, spans: true, strict };
        let mut values = Vec::new();
        for document in Documents::new(data, options) {
            match document {
                Ok(document) => {
                    check_document(data, &document);
                    values.push(Some(document.value));
                }
                Err(error) => {
                    assert!(
                        error.at.offset as usize <= data.len() && error.at.line > 0 && error.at.column > 0
                    );
                    check_message(&error.to_string());
                    values.push(None);
                }
            }
        }
        let apart = Chunks::new(data).flat_map(|chunk| match chunk {
            Ok(chunk) => Documents::of_chunk(chunk, Options { spans: false, ..options })
                .map(|document| document.ok().map(|document| document.value))
                .collect(),
            Err(_) => vec![None],
        });
        assert_eq!(apart.collect::<Vec<_>>(), values);
    }
}

fn check_document(data: &[u8], document: &Document) {
    check_span(data, &document.span);
    for warning in document.warnings.iter().take(100) {
        check_message(&warning.to_string());
    }
    let mut left = 300;
    check_value(data, &document.object(), &document.value, "", &mut left);
    for object in document.objects().take(100) {
        assert!(object.place().is_some());
        check_place(data, &object.annotation("sidecar.istio.io/inject").expect("a place near it"));
    }
}

/// Whatever is in the value has its place.
fn check_value(data: &[u8], object: &Object<'_>, value: &Value, pointer: &str, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let place = object.get(pointer).unwrap_or_else(|| panic!("no place for {pointer:?}"));
    check_place(data, &place);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_value(data, object, item, &format!("{pointer}/{index}"), left);
            }
        }
        Value::Object(fields) => {
            for (key, item) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                check_value(data, object, item, &format!("{pointer}/{key}"), left);
            }
        }
        _ => {}
    }
}

fn check_place(data: &[u8], place: &Place) {
    check_span(data, &place.value);
    if let Some(key) = &place.key {
        check_span(data, key);
    }
}

fn check_span(data: &[u8], span: &Span) {
    let text = data.get(span.range()).unwrap_or_else(|| panic!("{span:?} of {} bytes", data.len()));
    assert!(std::str::from_utf8(text).is_ok(), "{span:?} cuts a character");
    assert!(span.start.line > 0 && span.start.column > 0);
    assert!(span.start.line as usize <= data.len() + 1 && span.start.column as usize <= data.len() + 1);
}

/// Manifests with pods: each gets rules, a reason or errors, and what is recorded of it means the same.
pub fn mesh_plan(data: &[u8]) {
    let options = Options { limits: LIMITS, spans: false, strict: false };
    let documents: Vec<Document> = Documents::new(data, options).flatten().take(16).collect();
    let objects: Vec<Object<'_>> = documents.iter().flat_map(Document::objects).take(64).collect();
    let namespace = objects
        .iter()
        .find(|object| object.value.get("kind").and_then(Value::as_str) == Some("Namespace"))
        .map(|object| &*object.value);
    for object in &objects {
        for pod in pods(&object.value) {
            for namespace in [None, namespace] {
                check_pod(&object.value, &pod, namespace);
            }
        }
    }
}

fn check_pod(object: &Value, pod: &PodTemplate<'_>, namespace: Option<&Value>) {
    match meshward_mesh::plan(pod, namespace) {
        Ok(Wanted::Nothing(reason)) => check_message(&reason.to_string()),
        Err(error) => {
            assert!(!error.problems.is_empty());
            error.problems.iter().for_each(|problem| check_message(&problem.to_string()));
        }
        Ok(Wanted::Redirect(plan)) => {
            plan.warnings.iter().for_each(|warning| check_message(&warning.to_string()));
            match build(&plan) {
                Ok(rules) => {
                    check_rules(&rules);
                    check_record(object, pod, namespace, &plan, &rules);
                }
                Err(error) => check_message(&error.to_string()),
            }
        }
    }
}

fn build(plan: &Plan) -> Result<RuleSet, InvalidOption> {
    Ok(dialect::build(plan.mesh, &plan.settings, Surroundings::default())?.rules)
}

/// The pod with its plan in an annotation gets the same rules again.
fn check_record(
    object: &Value,
    pod: &PodTemplate<'_>,
    namespace: Option<&Value>,
    plan: &Plan,
    rules: &RuleSet,
) {
    let record = plan.to_annotation();
    if record.len() > meshward_mesh::LONGEST_ANNOTATION {
        return;
    }
    let mut recorded = object.clone();
    let Some(annotations) = recorded
        .pointer_mut(&format!("{}/metadata/annotations", pod.pointer()))
        .and_then(Value::as_object_mut)
        .filter(|annotations| annotations.len() < meshward_mesh::MOST_ENTRIES)
    else {
        return;
    };
    annotations.insert(REDIRECT_ANNOTATION.into(), record.clone().into());
    let again =
        pods(&recorded).into_iter().find(|other| other.pointer() == pod.pointer()).expect("the same pod");
    match meshward_mesh::plan(&again, namespace) {
        Ok(Wanted::Redirect(again)) => {
            assert_eq!(again.to_annotation(), record);
            assert_eq!(build(&again).as_ref(), Ok(rules));
        }
        other => panic!("{record}: {other:?}"),
    }
    assert!(Mesh::ALL.contains(&plan.mesh));
}
