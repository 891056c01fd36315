//! The namespaces whose labels say what is asked of their pods.

use std::collections::BTreeMap;
use std::path::PathBuf;

use meshward_policy::psa::{PREFIX, Policy};
use serde_json::Value;

use crate::exit::Failure;
use crate::load::{self, Part, Told};
use crate::results::Problem;

/// Namespaces by name.
pub(super) struct Namespaces {
    policies: BTreeMap<String, Policy>,
}

impl Namespaces {
    /// Reads the Namespace objects of files. Labels that the API server would refuse are told, and mean what they mean
    /// to it: an invalid enforce label restricted, any other nothing.
    pub(super) fn read(files: &[PathBuf], problems: &mut Vec<Problem>) -> Result<Self, Failure> {
        let loaded = load::each_document(files, namespaces);
        problems.extend(loaded.told.problems);
        let policies: BTreeMap<String, Policy> = loaded.values.into_iter().flatten().collect();
        if policies.is_empty() && problems.is_empty() {
            let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            return Err(Failure::input(format!("{}: no object of kind Namespace in it", names.join(", "))));
        }
        Ok(Self { policies })
    }

    /// What is asked of the pods of a namespace; those that name none are taken for the only one's.
    pub(super) fn policy(&self, namespace: &str, otherwise: &str) -> Result<Policy, String> {
        let found = match (namespace, self.policies.len()) {
            ("", 1) => self.policies.values().next(),
            ("", _) => self.policies.get(otherwise),
            (name, _) => self.policies.get(name),
        };
        found.copied().ok_or_else(|| {
            let name = if namespace.is_empty() { otherwise } else { namespace };
            let known: Vec<&str> = self.policies.keys().map(String::as_str).collect();
            format!("namespace {name:?} is in none of the namespace files, which have: {}", known.join(", "))
        })
    }
}

fn namespaces(part: &Part<'_>, told: &mut Told) -> Vec<(String, Policy)> {
    let mut found = Vec::new();
    for object in part.document.objects() {
        let text = |pointer: &str| object.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/kind") != "Namespace" {
            continue;
        }
        let (policy, errors) = Policy::from_labels(&*object.value, &Policy::default(), PREFIX);
        for error in errors {
            let key = error.label.replace('~', "~0").replace('/', "~1");
            let place = object.get(&format!("/metadata/labels/{key}")).or_else(|| object.place());
            told.problems.push(part.problem(&error.to_string(), place.map(|place| place.value)));
        }
        found.push((text("/metadata/name").to_owned(), policy));
    }
    found
}
