//! Policies and exceptions from files. Kyverno's command line drops what it cannot read, with exit code 0; here every
//! such document is a problem with its place, and what is only out of scope is listed.

mod expressions;

use std::path::{Path, PathBuf};

use meshward_manifest::{Object, Place};
use meshward_policy::kyverno::policy::{Exception, Policy, PolicyError};
use meshward_policy::kyverno::quirk::Mode;
use serde_json::Value;

use super::action::Action;
use super::paths::{self, Depth, Found};
use super::problem::{Problem, Problems};
use super::resource::{list, text};
use super::restricted;
use super::schema::{self, EXCEPTION, POLICY};
use crate::input::Input;
use crate::results::Severity;

/// A policy, ready to be evaluated, and what reports say about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The policy.
    pub(crate) policy: Policy,
    /// `namespace/name`, or the name.
    pub(crate) key: String,
    /// Its name alone.
    pub(crate) name: String,
    /// Whether violations block.
    pub(crate) action: Action,
    /// The annotation `policies.kyverno.io/severity`.
    pub(crate) severity: Option<Severity>,
    /// The annotation `policies.kyverno.io/category`.
    pub(crate) category: String,
    /// The document, for what only the author's own words tell.
    pub(crate) document: Value,
}

/// A policy or rule that this program does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutOfScope {
    /// The policy's name.
    pub(crate) policy: String,
    /// The rule; empty for the whole policy.
    pub(crate) rule: String,
    /// What it is: `mutate`, `validate.cel`, `ValidatingPolicy`.
    pub(crate) what: String,
    /// The file it is in.
    pub(crate) file: String,
}

impl OutOfScope {
    /// Whether it could have refused an object: then not evaluating it must not look like passing.
    pub(crate) fn decides(&self) -> bool {
        let decides = ["validate.", "verifyImages", "celPreconditions"];
        decides.iter().any(|what| self.what.starts_with(what)) || self.what.contains("Validating")
    }
}

/// Everything that files of policies hold.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// The policies that can be evaluated, in the order of the files.
    pub(crate) policies: Vec<Loaded>,
    /// Exceptions that stand among the policies.
    pub(crate) exceptions: Vec<Exception>,
    /// What is not evaluated.
    pub(crate) out_of_scope: Vec<OutOfScope>,
    /// Names of policies that are wrong.
    pub(crate) wrong: Vec<String>,
    /// How many of them can be read and are refused all the same; Kyverno counts each as an error.
    pub(crate) refused: usize,
}

/// How policies are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Care {
    /// What can be evaluated but is surely not meant is a problem too.
    pub(crate) thorough: bool,
    /// As Kyverno reads them, or as they are meant.
    pub(crate) mode: Mode,
}

/// Kinds of policies that other engines evaluate.
const OTHER_KINDS: [&str; 6] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "CleanupPolicy",
    "ClusterCleanupPolicy",
];

impl Library {
    /// Reads all policies of these files and folders.
    pub(crate) fn read(paths: &[PathBuf], care: Care, problems: &mut Problems) -> Self {
        let mut library = Library::default();
        for path in paths {
            for found in paths::files(path, Depth::All, problems) {
                library.read_file(&found, care, problems);
            }
        }
        library
    }

    fn read_file(&mut self, found: &Found, care: Care, problems: &mut Problems) {
        let before = problems.all().len();
        let Some(input) = Input::read_readable(&found.path, problems) else { return };
        let any = self.read_input(&input, found.named, care, problems);
        if found.named && !any && problems.all().len() == before {
            let message = format!("{}: no policy in it; accepted: ClusterPolicy, Policy", input.name);
            problems.tell(Problem::of_file(&input.name, message));
        }
    }

    /// Reads the policies of a file. Whether there was anything that belongs among policies.
    pub(crate) fn read_input(
        &mut self,
        input: &Input,
        named: bool,
        care: Care,
        problems: &mut Problems,
    ) -> bool {
        let mut any = false;
        for document in &input.documents {
            for object in document.objects() {
                any |= self.read_object(input, &object, named, care, problems);
            }
        }
        any
    }

    /// Whether the object is one that belongs among policies.
    fn read_object(
        &mut self,
        input: &Input,
        object: &Object<'_>,
        named: bool,
        care: Care,
        problems: &mut Problems,
    ) -> bool {
        let value = object.value.as_ref();
        let (version, kind) = (text(value, "/apiVersion"), text(value, "/kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("kyverno.io", "ClusterPolicy" | "Policy") => {
                self.read_policy(input, object, care, problems);
            }
            ("kyverno.io", "PolicyException") => {
                self.exceptions.extend(exception(input, object, care, problems));
            }
            ("kyverno.io" | "admissionregistration.k8s.io", kind) if OTHER_KINDS.contains(&kind) => {
                self.other(input, value, kind);
            }
            ("policies.kyverno.io", kind) => self.other(input, value, kind),
            ("kyverno.io", "GlobalContextEntry" | "UpdateRequest") => {}
            // Files beside the policies: tests, values, charts' metadata.
            _ if !named && group != "kyverno.io" => return false,
            _ => {
                let message = format!(
                    "no policy: found {}, accepted: ClusterPolicy and Policy of kyverno.io/v1 or v2beta1",
                    if kind.is_empty() {
                        "a document without a kind".into()
                    } else {
                        format!("{version} {kind}")
                    },
                );
                let at = object.get("/kind").or(object.place());
                problems.tell(Problem::at(input, &message, at));
            }
        }
        true
    }

    fn other(&mut self, input: &Input, value: &Value, kind: &str) {
        self.out_of_scope.push(OutOfScope {
            policy: text(value, "/metadata/name").to_owned(),
            rule: String::new(),
            what: kind.to_owned(),
            file: input.name.clone(),
        });
    }

    fn read_policy(&mut self, input: &Input, object: &Object<'_>, care: Care, problems: &mut Problems) {
        let value = object.value.as_ref();
        let before = problems.all().len();
        version(input, object, &["kyverno.io/v1", "kyverno.io/v2beta1"], problems);
        schema::check(input, object, &POLICY, problems);
        let readable = problems.all().len() == before;
        // They are shown better than the engine can, which refuses them too.
        if care.thorough {
            expressions::check(input, object, problems);
        }
        if problems.all().len() == before {
            match Policy::compile_with(value, care.mode.quirks()) {
                Ok(policy) => return self.add(input, object, policy, care, problems),
                Err(errors) => errors.iter().for_each(|error| {
                    problems.tell(Problem::at(input, &error.to_string(), place(object, error)));
                }),
            }
        }
        self.wrong.push(text(value, "/metadata/name").to_owned());
        self.refused += usize::from(readable);
    }

    fn add(
        &mut self,
        input: &Input,
        object: &Object<'_>,
        policy: Policy,
        care: Care,
        problems: &mut Problems,
    ) {
        let value = object.value.as_ref();
        if care.thorough {
            for (index, rule) in list(&value["spec"]["rules"]).enumerate() {
                let base = format!("/spec/rules/{index}/validate/podSecurity/exclude");
                let wrong = restricted::check(&rule["validate"]["podSecurity"]["exclude"]);
                tell_at(input, object, &base, wrong, problems);
            }
        }
        let key = policy.key().to_owned();
        let name = text(value, "/metadata/name").to_owned();
        self.out_of_scope.extend(policy.unsupported().iter().map(|unsupported| OutOfScope {
            policy: name.clone(),
            rule: unsupported.rule.clone(),
            what: unsupported.what.clone(),
            file: input.name.clone(),
        }));
        self.policies.push(Loaded {
            policy,
            key,
            name,
            action: Action::of(value),
            severity: Severity::from_name(text(value, "/metadata/annotations/policies.kyverno.io~1severity")),
            category: text(value, "/metadata/annotations/policies.kyverno.io~1category").to_owned(),
            document: value.clone(),
        });
    }
}

/// Reads exceptions from files.
pub(crate) fn exceptions(paths: &[PathBuf], care: Care, problems: &mut Problems) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for path in paths {
        let found = paths::files(path, Depth::All, problems);
        for Found { path, named } in found {
            exceptions.extend(exceptions_of(&path, named, care, problems));
        }
    }
    exceptions
}

fn exceptions_of(path: &Path, named: bool, care: Care, problems: &mut Problems) -> Vec<Exception> {
    let Some(input) = Input::read_readable(path, problems) else { return Vec::new() };
    let mut exceptions = Vec::new();
    for document in &input.documents {
        for object in document.objects() {
            let (version, kind) = (text(&object.value, "/apiVersion"), text(&object.value, "/kind"));
            if kind == "PolicyException" && version.starts_with("kyverno.io/") {
                exceptions.extend(exception(&input, &object, care, problems));
            } else if named {
                let message = format!(
                    "no exception: found {version} {kind}, accepted: PolicyException of kyverno.io/v2 or v2beta1"
                );
                problems.tell(Problem::at(&input, &message, object.get("/kind").or(object.place())));
            }
        }
    }
    exceptions
}

/// Reads one exception; what is wrong with it is told.
pub(crate) fn exception(
    input: &Input,
    object: &Object<'_>,
    care: Care,
    problems: &mut Problems,
) -> Option<Exception> {
    let before = problems.all().len();
    version(input, object, &["kyverno.io/v2", "kyverno.io/v2beta1", "kyverno.io/v2alpha1"], problems);
    schema::check(input, object, &EXCEPTION, problems);
    if problems.all().len() > before {
        return None;
    }
    if care.thorough {
        let wrong = restricted::check(&object.value["spec"]["podSecurity"]);
        tell_at(input, object, "/spec/podSecurity", wrong, problems);
    }
    match Exception::parse(&object.value) {
        Ok(exception) => Some(exception),
        Err(error) => {
            problems.tell(Problem::at(input, &error.to_string(), place(object, &error)));
            None
        }
    }
}

fn version(input: &Input, object: &Object<'_>, accepted: &[&str], problems: &mut Problems) {
    let found = text(&object.value, "/apiVersion");
    if !accepted.contains(&found) {
        let message = format!("apiVersion {found:?} is not known, accepted: {}", accepted.join(", "));
        problems.tell(Problem::at(input, &message, object.get("/apiVersion")));
    }
}

fn tell_at(
    input: &Input,
    object: &Object<'_>,
    base: &str,
    wrong: Vec<(String, String)>,
    problems: &mut Problems,
) {
    for (pointer, message) in wrong {
        let place = object.nearest(&format!("{base}{pointer}")).map(|(place, _)| place);
        problems.tell(Problem::at(input, &message, place));
    }
}

/// Where in the file an error of the engine is: its path is dotted, with indexes in brackets.
fn place(object: &Object<'_>, error: &PolicyError) -> Option<Place> {
    let pointer: String = error
        .path
        .split('.')
        .flat_map(|step| step.split('['))
        .map(|step| format!("/{}", step.trim_end_matches(']').replace('~', "~0").replace('/', "~1")))
        .collect();
    object.nearest(&pointer).map(|(place, _)| place)
}
