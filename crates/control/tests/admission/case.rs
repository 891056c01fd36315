//! The cases that are data: each file has what is in force and requests with their answers.

use std::collections::BTreeMap;
use std::path::Path;

use meshward_control::admission::Asked;
use meshward_manifest::{Documents, Options};
use meshward_policy::psa::Configuration;
use serde_json::{Value, json};

use crate::world::{Made, World, request};

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/admission");

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap();
    let options = Options { spans: false, ..Options::default() };
    Documents::new(&text, options)
        .next()
        .unwrap()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .value
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Which webhooks the API server has; all of them where a case says nothing.
fn asked(paths: &Value) -> Asked {
    let asked = Asked::default();
    if !paths.is_null() {
        let webhook = |path: String| json!({"clientConfig": {"service": {"path": path}}});
        let webhooks: Vec<Value> = texts(paths).into_iter().map(webhook).collect();
        let key = ("ValidatingWebhookConfiguration".to_owned(), "x".to_owned());
        asked.set(&Some(BTreeMap::from([(key, json!({"webhooks": webhooks}))])));
    }
    asked
}

fn made(file: &Value) -> Made {
    let api: BTreeMap<String, Value> =
        file["api"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    let settings = &file["settings"];
    let configuration = match &settings["configuration"] {
        Value::Null => Configuration::default(),
        written => Configuration::from_value(written).unwrap(),
    };
    Made {
        objects: list(&file["objects"]),
        api,
        excluded: texts(&settings["excluded"]),
        granting: texts(&settings["granting"]),
        pod_security_labels: settings["podSecurityLabels"] == true,
        configuration,
        asked: asked(&settings["webhooks"]),
    }
}

/// What of an answer a case writes down: everything, but only the words of texts that it names with `contains`.
fn differences(expected: &Value, found: &Value, at: &str, differences: &mut Vec<String>) {
    let contains = expected.get("contains").map(texts);
    if let Some(parts) = contains {
        let text = found.as_str().unwrap_or_default();
        for part in parts.iter().filter(|part| !text.contains(part.as_str())) {
            differences.push(format!("{at}: {part:?} is not in {text:?}"));
        }
    } else if let (Value::Object(expected), Value::Object(found)) = (expected, found) {
        let mut keys: Vec<&String> = expected.keys().chain(found.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
            self::differences(&of(expected), &of(found), &format!("{at}.{key}"), differences);
        }
    } else if let (Value::Array(expected), Value::Array(found)) = (expected, found)
        && expected.len() == found.len()
    {
        for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
            self::differences(expected, found, &format!("{at}[{index}]"), differences);
        }
    } else if expected != found {
        differences.push(format!("{at}: expected {expected}, found {found}"));
    }
}

/// The answer in the words of cases: what is usual is left out.
fn summary(response: &Value) -> Value {
    let mut summary = json!({"allowed": response["allowed"]});
    let status = &response["status"];
    for name in ["code", "reason", "message"] {
        if !status[name].is_null() {
            summary[name] = status[name].clone();
        }
    }
    let causes: Vec<Value> =
        list(&status["details"]["causes"]).iter().map(|cause| cause["field"].clone()).collect();
    if !causes.is_empty() {
        summary["fields"] = Value::from(causes);
    }
    for (name, from) in [("warnings", "warnings"), ("audit", "auditAnnotations")] {
        if !response[from].is_null() {
            summary[name] = response[from].clone();
        }
    }
    summary
}

/// What was passed on, in short.
fn observed(world: &mut World) -> Vec<Value> {
    let mut all = Vec::new();
    while let Ok(observed) = world.observed.try_recv() {
        for policy in &observed.policies {
            for (report, action) in &policy.rules {
                let (result, subject) = (&report.result, &observed.subject);
                all.push(json!(format!(
                    "{}/{}/{} {} {}.{} {} {} {}",
                    subject.kind,
                    subject.namespace,
                    subject.name,
                    observed.operation,
                    policy.policy.key(),
                    result.rule,
                    action.as_str(),
                    result.status,
                    if policy.blocked { "blocked" } else { "let through" },
                )));
            }
        }
        for used in &observed.exemptions {
            all.push(json!(format!("{} {} {}", used.exemption.kind, used.exemption.key(), used.check)));
        }
    }
    all
}

async fn run(path: &Path, wrong: &mut Vec<String>) -> usize {
    let file = read(path);
    let mut world = World::new(made(&file));
    let (name, cases) = (path.file_stem().unwrap().to_string_lossy(), list(&file["cases"]));
    for case in &cases {
        let title = case["name"].as_str().unwrap();
        let path = case["path"].as_str().or(file["path"].as_str()).unwrap();
        let response = world.review(path, &request(&case["request"])).await;
        let mut found = Vec::new();
        differences(&case["answer"], &summary(&response), "answer", &mut found);
        let seen = Value::from(observed(&mut world));
        let expected = case.get("observed").cloned().unwrap_or_else(|| json!([]));
        differences(&expected, &seen, "observed", &mut found);
        wrong.extend(found.into_iter().map(|text| format!("{name}: {title}: {text}")));
    }
    for line in texts(&file["metrics"]) {
        let scraped = world.scraped();
        if !scraped.lines().any(|found| found == line) {
            wrong.push(format!("{name}: metrics: no line {line}\n{scraped}"));
        }
    }
    cases.len()
}

#[tokio::test]
async fn every_case_is_answered_as_written() {
    let mut files: Vec<_> = std::fs::read_dir(PLACE).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in &files {
        count += run(file, &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 60, "only {count} cases in {PLACE}");
}
