//! Everything that is read before the first object is judged.

use std::path::PathBuf;

use meshward_policy::kyverno::policy::Exception;
use serde_json::Value;

use super::form::Shape;
use super::{Arguments, asked};
use crate::exit::Failure;
use crate::input::Input;
use crate::kyverno::cluster::Cluster;
use crate::kyverno::paths::{self, Depth};
use crate::kyverno::policies::{self, Care, Library};
use crate::kyverno::problem::{Problem, Problems};
use crate::kyverno::resource::{list, prepared, text};
use crate::kyverno::session::Session;
use crate::kyverno::user;
use crate::kyverno::values::Values;
use crate::load;
use crate::terminal;

/// What the objects are judged with.
pub(super) struct Prepared {
    pub(super) library: Library,
    pub(super) session: Session,
    pub(super) definitions: Vec<Value>,
    /// Whether whole results are needed.
    pub(super) reports: bool,
    exceptions: usize,
}

impl Prepared {
    /// Reads everything; what is wrong is told, and the rest is used.
    ///
    /// # Errors
    /// [`Failure`] for settings on the command line that cannot be used.
    pub(super) fn read(
        arguments: &Arguments,
        shape: Shape,
        problems: &mut Problems,
    ) -> Result<(Self, Vec<load::Found>), Failure> {
        let mut values = match &arguments.values_file {
            Some(path) => Values::read(path, problems),
            None => Values::default(),
        };
        for setting in &arguments.set {
            values.set(setting).map_err(|error| Failure::input(format!("--set: {error}")))?;
        }
        let user = arguments.userinfo.as_ref().map(|path| user::read(path, problems)).unwrap_or_default();
        let care = Care { thorough: true, mode: arguments.mode };
        let live = arguments.cluster.then(|| asked::connect(arguments)).transpose()?;
        let mut library = Library::read(&arguments.policies, care, problems);
        let mut exceptions = policies::exceptions(&arguments.exception, care, problems);
        if arguments.exceptions_within_policies {
            exceptions.append(&mut library.exceptions);
        }
        let definitions = read_all(&arguments.crd_paths, problems);
        if let Some(live) = live.as_deref().filter(|_| arguments.policies.is_empty()) {
            asked::policies(live, &mut library, care, problems)?;
            exceptions.append(&mut library.exceptions);
        }
        let inputs = match &live {
            Some(live) => asked::objects(live, &library, arguments, problems)?.into_iter().collect(),
            None => inputs(&arguments.resource, problems),
        };
        if arguments.exceptions_within_resources {
            exceptions.extend(exceptions_among(&inputs, care, problems));
        }
        let cluster = match live {
            Some(live) => Cluster::of_live(live),
            None => cluster(&library, &inputs, &definitions),
        };
        let prepared = Self {
            exceptions: exceptions.len(),
            session: Session { values, user, exceptions, cluster, reports: shape.needs_reports() },
            reports: shape.needs_reports(),
            library,
            definitions,
        };
        Ok((prepared, inputs))
    }

    /// `Applying 3 policy rule(s) to 2 resource(s)...`
    pub(super) fn heading(&self, inputs: &[load::Found]) -> String {
        let evaluated: usize =
            self.library.policies.iter().map(|loaded| loaded.policy.rule_names().count()).sum();
        let rules = evaluated + self.library.out_of_scope.len();
        let objects: usize = inputs.iter().map(load::Found::count).sum();
        let with = match self.exceptions {
            0 => String::new(),
            count => format!(" with {count} exception(s)"),
        };
        format!("\nApplying {rules} policy rule(s) to {objects} resource(s){with}...\n")
    }

    /// Rules that were not evaluated. Those that could have refused an object are problems: not having asked them is
    /// not the same as that they had nothing against it.
    pub(super) fn tell_out_of_scope(&self, problems: &mut Problems) {
        for one in &self.library.out_of_scope {
            let rule = if one.rule.is_empty() { String::new() } else { format!(", rule {}", one.rule) };
            let message = format!(
                "policy {}{rule}: {} is not supported, so it was not evaluated",
                one.policy, one.what
            );
            match one.decides() {
                true => problems.tell(Problem::of_file(&one.file, message)),
                false if one.what == "mutate" => {
                    terminal::warning(&format!(
                        "{message}; other rules are asked about the objects as they are written"
                    ));
                }
                false => terminal::warning(&message),
            }
        }
    }
}

/// Every document of these files.
fn read_all(paths: &[PathBuf], problems: &mut Problems) -> Vec<Value> {
    let inputs = paths.iter().filter_map(|path| Input::read_readable(path, problems));
    inputs.flat_map(|input| input.documents).map(|document| document.value).collect()
}

/// The files with objects. They are read when they are judged; who cannot be opened is told now.
fn inputs(paths: &[PathBuf], problems: &mut Problems) -> Vec<load::Found> {
    let mut inputs = Vec::new();
    for path in paths {
        for found in paths::files(path, Depth::Own, problems) {
            let name = found.path.display().to_string();
            match load::Found::to_read_again(found.path) {
                Ok(input) => inputs.push(input),
                Err(error) => {
                    problems.tell(Problem::of_file(&name, format!("cannot read {name}: {error}")));
                }
            }
        }
    }
    inputs
}

fn exceptions_among(inputs: &[load::Found], care: Care, problems: &mut Problems) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    // Files that cannot be read are told when they are judged.
    for input in inputs.iter().filter_map(|found| Input::of(found).ok()) {
        // Documents that are broken are told when they are judged.
        for document in meshward_manifest::Documents::new(input.bytes(), Default::default()).flatten() {
            for object in document.objects() {
                let version = text(&object.value, "/apiVersion");
                if text(&object.value, "/kind") == "PolicyException" && version.starts_with("kyverno.io/") {
                    exceptions.extend(policies::exception(&input, &object, care, problems));
                }
            }
        }
    }
    exceptions
}

/// Where a policy asks the cluster, the objects answer, and have to be kept.
fn cluster(library: &Library, inputs: &[load::Found], definitions: &[Value]) -> Cluster {
    let asks = |loaded: &policies::Loaded| asks_cluster(&loaded.document["spec"]["rules"]);
    if !library.policies.iter().any(asks) {
        return Cluster::default();
    }
    let mut objects = Vec::new();
    for input in inputs.iter().filter_map(|found| Input::of(found).ok()) {
        let options = meshward_manifest::Options { spans: false, ..Default::default() };
        for document in meshward_manifest::Documents::new(input.bytes(), options).flatten() {
            objects.extend(document.objects().map(|object| prepared(object.value.into_owned(), definitions)));
        }
    }
    let is_entry = |object: &Value| {
        text(object, "/kind") == "GlobalContextEntry"
            && text(object, "/apiVersion").starts_with("kyverno.io/")
    };
    let entries: Vec<Value> = objects.iter().filter(|object| is_entry(object)).cloned().collect();
    Cluster::default().with_objects(objects, false).with_global_entries(&entries)
}

fn asks_cluster(value: &Value) -> bool {
    match value {
        Value::Object(map) => {
            let mut entries = map.get("context").into_iter().flat_map(list);
            entries.any(|entry| entry.get("apiCall").is_some() || entry.get("globalReference").is_some())
                || map.values().any(asks_cluster)
        }
        Value::Array(values) => values.iter().any(asks_cluster),
        _ => false,
    }
}
