//! Tables on disk, and what every case needs to be evaluated.

use meshward_manifest::{Documents, Options};
use meshward_policy::jmespath::Offline;
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Exception, Input};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The rows of every file in a folder of `tests/cases`, each with the file and its number.
pub(crate) fn rows(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for document in documents(&file) {
            let Value::Array(list) = document else { panic!("{name}: not a list of cases") };
            rows.extend(
                list.into_iter().enumerate().map(|(index, row)| (format!("{name} case {}", index + 1), row)),
            );
        }
    }
    assert!(!rows.is_empty(), "no cases in {}", folder.display());
    rows
}

/// The documents of a file.
pub(crate) fn documents(file: &Path) -> Vec<Value> {
    let bytes = fs::read(file).unwrap();
    let documents = Documents::new(&bytes, Options::default());
    let read = documents.map(|d| d.unwrap_or_else(|error| panic!("{}: {error}", file.display())).value);
    read.filter(|value| !value.is_null()).collect()
}

pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The keys of a row that a test knows, so that a slip in a table is found.
pub(crate) fn only(row: &Value, known: &[&str], name: &str) {
    for key in row.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{name}: unknown key {key}");
    }
}

/// A request as cases give it.
pub(crate) struct Request<'a> {
    pub(crate) object: &'a Value,
    pub(crate) old: &'a Value,
    pub(crate) operation: &'a str,
    pub(crate) exceptions: &'a [Exception],
    pub(crate) user: &'a UserInfo,
    pub(crate) labels: &'a Value,
}

impl<'a> Request<'a> {
    pub(crate) fn create(object: &'a Value, user: &'a UserInfo) -> Request<'a> {
        Request {
            object,
            old: &Value::Null,
            operation: "CREATE",
            exceptions: &[],
            user,
            labels: &Value::Null,
        }
    }

    pub(crate) fn input(&self) -> Input<'a> {
        Input {
            old_object: self.old,
            operation: self.operation,
            namespace_labels: self.labels,
            user: self.user,
            exceptions: self.exceptions,
            ..Input::created(self.object, &Offline)
        }
    }
}

/// A pod of the parts that a case gives.
pub(crate) fn pod(given: &Value) -> Value {
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "prod"}});
    merge(&mut pod, given);
    pod
}

/// A ClusterPolicy with one rule about pods.
pub(crate) fn policy(validate: &Value) -> Value {
    json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
        "spec": {"rules": [{
            "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate,
        }]},
    })
}

pub(crate) fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => into.clone_from(from),
    }
}
