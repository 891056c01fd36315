//! Reports and Events of the cases in `tests/cases/scan`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use meshward_control::admission::Deadline;
use meshward_control::events::of_news;
use meshward_control::hooks::{Api, Apis};
use meshward_control::live::{Granting, Snapshot};
use meshward_control::lookup::{Asker, Outside};
use meshward_control::report::{Bounds, Content, Form, Line, News, render};
use meshward_control::scan::{Other, Rules, judge};
use meshward_manifest::{Documents, Options};
use meshward_policy::kyverno::matching::Gvk;
use serde_json::{Value, json};
use tokio::sync::watch;

/// When everything is found that was not known before.
const NOW: i64 = 2000;

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap();
    Documents::new(&text, Options::default()).next().unwrap().unwrap().value
}

fn list<'a>(case: &'a Value, name: &str) -> Vec<&'a Value> {
    case.get(name).and_then(Value::as_array).into_iter().flatten().collect()
}

/// The kind of an object as the API server would tell it.
fn served(object: &Value) -> Api {
    let gvk = Gvk::of(object);
    let groups = json!([{"metadata": {"name": gvk.group}, "versions": [{"version": gvk.version, "resources": [{
        "resource": gvk.kind.to_lowercase() + "s", "responseKind": {"group": "", "version": "", "kind": gvk.kind},
        "scope": if object.pointer("/metadata/namespace").is_some() { "Namespaced" } else { "Cluster" },
        "verbs": ["list", "watch"],
    }]}]}]);
    let groups: Vec<_> = serde_json::from_value(groups).unwrap();
    Apis::read(&groups, &Apis::default()).objects().next().unwrap().clone()
}

/// The object in other versions.
fn others(case: &Value) -> Vec<Other> {
    let other = |object: &Value| {
        let unread = object.get("unread").and_then(Value::as_str);
        let read = unread.map_or_else(|| Ok(object.clone()), |why| Err(why.to_owned()));
        Other { served: served(object), object: read }
    };
    list(case, "others").into_iter().map(other).collect()
}

fn story(case: &Value) -> String {
    let granting = list(case, "granting").into_iter().map(|name| name.as_str().unwrap().to_owned());
    let snapshot = Snapshot::of(list(case, "inForce"), &Granting::new(granting.collect()));
    assert_eq!(snapshot.policies.broken().count(), 0);
    let rules = Rules::default().with_labels(false);
    let outside = Outside::new(None, watch::channel(None).1);
    let before: Vec<Line> =
        list(case, "before").into_iter().map(|line| serde_json::from_value(line.clone()).unwrap()).collect();
    let mut text = String::new();
    for object in list(case, "objects") {
        let asker = Asker::at_once(&outside, Deadline::after(Duration::from_secs(1)));
        let found = judge(object, &served(object), &others(case), &snapshot, &rules, &asker).unwrap();
        let mut content = Content::new(found.lines, &Bounds::default());
        let hash = content.hash();
        let news = content.date(&before, NOW);
        assert_eq!(content.hash(), hash, "times do not count");
        if content.is_empty() {
            writeln!(text, "nothing about {}", found.subject.name).unwrap();
            continue;
        }
        let report = render(&found.subject, &content, "HASH", Form::PolicyReport);
        writeln!(text, "{}", serde_json::to_string_pretty(&report).unwrap()).unwrap();
        for told in of_news(&News { subject: found.subject.clone(), lines: news }, &snapshot) {
            let name = |of: &ObjectReference| {
                format!("{} {}", of.kind.clone().unwrap_or_default(), of.name.clone().unwrap_or_default())
            };
            let related = told.related.as_ref().map(|of| format!(" and {}", name(of))).unwrap_or_default();
            let event = &told.event;
            writeln!(
                text,
                "Event {:?} {} ({}) on {}{related}: {}",
                event.severity,
                event.reason,
                event.action,
                name(&told.regarding),
                event.note
            )
            .unwrap();
        }
        for one in &found.uses {
            writeln!(
                text,
                "use of {} entry {} allow {}: {} = {}",
                one.exemption.key(),
                one.entry,
                one.allow,
                one.field,
                one.value
            )
            .unwrap();
        }
    }
    text
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/scan");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let case = read(&file);
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        insta::with_settings!({description => case["about"].as_str().unwrap(), omit_expression => true}, {
            insta::assert_snapshot!(name, story(&case));
        });
    }
}
