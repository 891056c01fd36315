//! A test file: what it names is read, what it expects is judged.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use meshward_manifest::Object;
use meshward_policy::kyverno::policy::RuleReport;
use meshward_policy::kyverno::quirk::Mode;
use serde_json::Value;

use super::expectation::{Expectation, Row};
use super::render::Printer;
use super::selector::Selector;
use crate::input::Input;
use crate::kyverno::cluster::Cluster;
use crate::kyverno::paths::{self, Depth};
use crate::kyverno::policies::{self, Care, Library};
use crate::kyverno::problem::{Problem, Problems};
use crate::kyverno::resource::{list, prepared, text};
use crate::kyverno::schema::{self, TEST};
use crate::kyverno::session::Session;
use crate::kyverno::user;
use crate::kyverno::values::Values;
use crate::terminal;

/// A test says itself what it expects; what is doubtful in its policies is `apply`'s to tell.
const CARE: Care = Care { thorough: false, mode: Mode::Kyverno };

/// One document of a test file.
#[derive(Debug)]
pub(super) struct Suite {
    /// The test file.
    pub(super) path: PathBuf,
    folder: PathBuf,
    name: String,
    document: Value,
    expectations: Vec<Expectation>,
}

/// Everything a suite names.
pub(super) struct Bench {
    /// Policies and what is out of scope.
    pub(super) library: Library,
    /// Values, user, exceptions, answers.
    pub(super) session: Session,
    /// The objects, each once.
    pub(super) objects: Vec<Value>,
    results: HashMap<(usize, usize, Option<&'static str>), Vec<RuleReport>>,
}

impl Suite {
    /// Reads the suites of a file. One with fields that nobody knows is told, and not judged.
    pub(super) fn read(path: &Path, problems: &mut Problems) -> Vec<Suite> {
        let Some(input) = Input::read_readable(path, problems) else { return Vec::new() };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut suites = Vec::new();
        for document in &input.documents {
            let object = document.object();
            let before = problems.all().len();
            schema::check(&input, &object, &TEST, problems);
            check_head(&input, &object, problems);
            if problems.all().len() == before {
                suites.push(Suite {
                    path: path.to_owned(),
                    folder: folder.clone(),
                    name: text(&document.value, "/name").to_owned(),
                    document: document.value.clone(),
                    expectations: expectations(&input, &object, problems),
                });
            }
        }
        suites
    }

    /// A row for everything that is expected; `None` if nothing is selected.
    pub(super) fn judge(
        &self,
        selector: &Selector,
        lenient: bool,
        printer: &Printer,
        problems: &mut Problems,
    ) -> Option<Vec<Row>> {
        let expectations: Vec<Expectation> =
            self.expectations.iter().filter_map(|expectation| selector.select(expectation)).collect();
        if expectations.is_empty() {
            return None;
        }
        printer.say(&format!("Loading test {} ( {} ) ...", self.name, self.path.display()));
        let mut bench = self.bench(printer, problems);
        printer.say("  Checking results ...");
        let mut rows: Vec<Row> = Vec::new();
        for expectation in &expectations {
            rows.extend(expectation.judge(&mut bench, lenient));
        }
        for (index, row) in rows.iter_mut().enumerate() {
            row.id = index + 1;
        }
        Some(rows)
    }

    fn tell(&self, message: &str, problems: &mut Problems) {
        let name = self.path.display().to_string();
        problems.tell(Problem::of_file(&name, format!("{name}: {message}")));
    }

    /// Paths of a field that is a list of them, or one.
    fn paths(&self, field: &str) -> Vec<PathBuf> {
        let names: Vec<&str> = match &self.document[field] {
            Value::String(name) => vec![name],
            names => list(names).filter_map(Value::as_str).collect(),
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            let path = self.folder.join(name);
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths
    }

    fn bench(&self, printer: &Printer, problems: &mut Problems) -> Bench {
        printer.say("  Loading values/variables ...");
        let values = match (&self.document["values"], self.paths("variables").first()) {
            (Value::Null, Some(path)) => Values::read(path, problems),
            (inline, _) => Values::of(inline),
        };
        if !["", "CREATE", "UPDATE", "DELETE", "CONNECT"].contains(&values.operation()) {
            let found = values.operation();
            let accepted = "accepted: CREATE, UPDATE, DELETE, CONNECT";
            self.tell(&format!("invalid request.operation value {found:?}, {accepted}"), problems);
        }
        let user = self.paths("userinfo").first().map(|path| {
            printer.say("  Loading user infos ...");
            user::read(path, problems)
        });
        printer.say("  Loading policies ...");
        let library = Library::read(&self.paths("policies"), CARE, problems);
        printer.say("  Loading resources ...");
        let definitions = self.definitions(problems);
        let mut objects = self.objects("resources", &definitions, problems);
        unique(&mut objects, printer);
        printer.say("  Loading exceptions ...");
        let exceptions = policies::exceptions(&self.paths("exceptions"), CARE, problems);
        if library.out_of_scope.iter().any(|one| one.what == "mutate") {
            printer.say("  Warning: mutate rules are not applied; other rules are asked about the objects as they are written");
        }
        printer.say(&applying(&library, objects.len(), exceptions.len()));
        let cluster = self.cluster(&objects, &definitions, problems);
        let session = Session { values, user: user.unwrap_or_default(), exceptions, cluster, reports: false };
        Bench { library, session, objects, results: HashMap::new() }
    }

    /// Every object of the files that a field names.
    fn objects(&self, field: &str, definitions: &[Value], problems: &mut Problems) -> Vec<Value> {
        let mut objects = Vec::new();
        for path in self.paths(field) {
            for found in paths::files(&path, Depth::Own, problems) {
                let Some(input) = Input::read_readable(&found.path, problems) else { continue };
                let documents = input.documents.iter();
                let all = documents.flat_map(|document| document.objects().collect::<Vec<_>>());
                objects.extend(all.map(|object| prepared(object.value.into_owned(), definitions)));
            }
        }
        objects
    }

    fn cluster_resources(&self, problems: &mut Problems) -> Vec<Value> {
        let paths = self.paths("clusterResources");
        let inputs = paths.iter().filter_map(|path| Input::read_readable(path, problems));
        inputs.flat_map(|input| input.documents).map(|document| document.value).collect()
    }

    /// Definitions of custom resources that the test's cluster has.
    fn definitions(&self, problems: &mut Problems) -> Vec<Value> {
        let resources = self.cluster_resources(problems);
        let names = resources.iter().flat_map(|resource| list(&resource["spec"]["crds"]));
        let paths: Vec<PathBuf> =
            names.filter_map(Value::as_str).map(|name| self.folder.join(name)).collect();
        let inputs = paths.iter().filter_map(|path| Input::read_readable(path, problems));
        inputs.flat_map(|input| input.documents).map(|document| document.value).collect()
    }

    /// Only a test that says what its cluster has can ask it for objects.
    fn cluster(&self, objects: &[Value], definitions: &[Value], problems: &mut Problems) -> Cluster {
        let mut cluster = Cluster::default().with_responses(&self.document["apiCallResponses"]);
        let entries = &self.document["globalContextEntries"];
        let read = |name: &str| -> Vec<Value> {
            let mut unread = Problems::default();
            let input = Input::read_readable(&self.folder.join(name), &mut unread);
            let documents = input.map(|input| input.documents).unwrap_or_default();
            documents.into_iter().map(|document| document.value).collect()
        };
        cluster = cluster.with_entries(entries, read);
        if list(&self.document["clusterResources"]).next().is_none() {
            return cluster;
        }
        let mut known = objects.to_vec();
        known.extend(self.objects("targetResources", definitions, problems));
        known.extend(self.objects("paramResources", definitions, problems));
        for resource in self.cluster_resources(problems) {
            known.extend(list(&resource["spec"]["resources"]).cloned());
        }
        known.extend(definitions.iter().cloned());
        cluster.with_objects(known, true)
    }
}

impl Bench {
    /// What the rules of a policy say about an object, found once.
    pub(super) fn results(
        &mut self,
        policy: usize,
        object: usize,
        operation: Option<&'static str>,
    ) -> &[RuleReport] {
        let (loaded, value) = (&self.library.policies[policy], &self.objects[object]);
        let session = &self.session;
        let results = self.results.entry((policy, object, operation));
        results.or_insert_with(|| session.evaluate(loaded, value, operation))
    }
}

/// What a test expects; entries that cannot be meant are told.
fn expectations(input: &Input, object: &Object<'_>, problems: &mut Problems) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for (index, entry) in list(&object.value["results"]).enumerate() {
        match Expectation::of(entry) {
            Ok(expectation) => expectations.push(expectation),
            Err((field, message)) => {
                let place = object.nearest(&format!("/results/{index}{field}")).map(|(place, _)| place);
                problems.tell(Problem::at(input, &message, place));
            }
        }
    }
    expectations
}

/// A test says what it is; files from before Kyverno 1.12 do not, and are read with a warning.
fn check_head(input: &Input, object: &Object<'_>, problems: &mut Problems) {
    let (version, kind) = (text(&object.value, "/apiVersion"), text(&object.value, "/kind"));
    match (version, kind) {
        ("cli.kyverno.io/v1alpha1", "Test") => {}
        ("", "") => terminal::warning(&format!(
            "{}: no apiVersion and kind, as before Kyverno 1.12; Kyverno 1.19 refuses it",
            input.name
        )),
        _ => {
            let message =
                format!("no test: found {version} {kind}, accepted: Test of cli.kyverno.io/v1alpha1");
            problems.tell(Problem::at(input, &message, object.get("/kind").or(object.place())));
        }
    }
}

/// The first of several objects with the same group, kind, namespace and name stays.
fn unique(objects: &mut Vec<Value>, printer: &Printer) {
    let key = |object: &Value| {
        let version = text(object, "/apiVersion");
        let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let part = |pointer: &str| text(object, pointer).to_owned();
        (group, part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
    };
    let mut seen = std::collections::HashSet::new();
    objects.retain(|object| {
        let new = seen.insert(key(object));
        if !new {
            let (_, kind, namespace, name) = key(object);
            printer.say(&format!("  warning: found duplicated resource {kind} {name} {namespace}"));
        }
        new
    });
}

fn applying(library: &Library, objects: usize, exceptions: usize) -> String {
    let count = |count: usize, one: &str, many: &str| {
        let what = if count == 1 { one } else { many };
        format!("{count} {what}")
    };
    let others = library.out_of_scope.iter().filter(|one| one.rule.is_empty()).count();
    let policies = library.policies.len() + library.wrong.len() + others;
    format!(
        "  Applying {} to {} with {} ...",
        count(policies, "policy", "policies"),
        count(objects, "resource", "resources"),
        count(exceptions, "exception", "exceptions")
    )
}
