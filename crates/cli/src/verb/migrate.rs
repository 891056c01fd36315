//! `meshward migrate`: from Kyverno's policies and Pod Security Admission's labels to labels and exemptions of ours, with
//! the verdicts of both sides compared on the caller's own resources.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use meshward_policy::migrate::{Difference, Given, Migration, Proof, migrate, prove};
use serde_json::Value;

use super::lint::{names, pods, written};
use crate::exit::{Failure, Outcome};
use crate::load::{self, Part, Told};
use crate::results::{ObjectReference, Results};
use crate::{results, terminal};
use meshward_kit::machine::Machine;
use written::Written;

const EXAMPLES: &str = "\
Examples:
  meshward migrate policies/ -r manifests/
  meshward migrate namespaces.yaml admission.yaml -r manifests/ --output-dir migrated/
  kubectl get clusterpolicies,polex,namespaces -A -o yaml | meshward migrate - -r pods.yaml

Exit codes: 0 carried over, and all verdicts are equal; 1 some verdicts differ; 2 something could not be read";

/// Turn Kyverno's policies, PSA labels and exemptions into namespace labels and Exemption objects, with a proof
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// ClusterPolicies, Policies, PolicyExceptions, Namespaces, AdmissionConfiguration; files, folders, - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Pods and controllers on which both sides' verdicts are compared
    #[arg(short, long, visible_alias = "resource", value_name = "FILE", num_args = 1..)]
    resources: Vec<PathBuf>,
    /// Write one file an object into this folder instead of printing
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Overwrite files
    #[arg(long, requires = "output_dir")]
    force: bool,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let loaded = load::each_document(&arguments.files, written::read);
    loaded.told.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let mut problems = loaded.told.problems;
    let documents: Vec<Written> = loaded.values.into_iter().flatten().collect();
    if documents.is_empty() && problems.is_empty() {
        let message = "nothing to migrate in it, accepted: ClusterPolicy, Policy, PolicyException, Namespace, \
                       AdmissionConfiguration, PodSecurityConfiguration";
        return Err(Failure::input(format!("{}: {message}", names(&arguments.files))));
    }
    let found = load::each_document(&arguments.resources, named_pods);
    problems.extend(found.told.problems);
    let (places, resources): (Vec<String>, Vec<Value>) = found.values.into_iter().flatten().unzip();
    let values: Vec<Value> = documents.iter().map(Written::value).collect();
    let given = Given { documents: &values, resources: &resources, environment: &Machine };
    let migration = migrate(&given);
    tell(&migration, &documents);
    if !problems.is_empty() {
        // What could not be read might have exempted, or forbidden, something: nothing is written.
        return results::end(&Results { verb: "migrate", objects: Vec::new(), problems });
    }
    if migration.objects.is_empty() {
        return Err(Failure::input(format!("{}: nothing could be carried over", names(&arguments.files))));
    }
    match &arguments.output_dir {
        Some(folder) => write(&migration.objects, folder, arguments.force)?,
        None => migration.objects.iter().for_each(|object| {
            terminal::print(&format!("---\n{}", meshward_manifest::to_yaml(object)));
        }),
    }
    let proof = prove(&given, &migration);
    terminal::print(&sentence(&proof, &places));
    if proof.differences.is_empty() { Ok(()) } else { Err(Failure::Found) }
}

/// The objects of a document that hold pods, each as messages name it.
fn named_pods(part: &Part<'_>, told: &mut Told) -> Vec<(String, Value)> {
    let place = |value: &Value| format!("{}: {}", part.file, ObjectReference::of(value).title());
    pods(part, told).into_iter().map(|value| (place(&value), value)).collect()
}

fn tell(migration: &Migration, documents: &[Written]) {
    for note in &migration.notes {
        let place =
            documents.get(note.document).map(|document| document.place(&note.path)).unwrap_or_default();
        let lost = if note.lost { "not carried over: " } else { "" };
        terminal::warning(&format!("{place}: {lost}{}", note.message));
    }
}

/// One file an object. All names are looked at before the first is written.
fn write(objects: &[Value], folder: &Path, force: bool) -> Outcome {
    let paths: Vec<PathBuf> = objects.iter().map(|object| folder.join(file_name(object))).collect();
    if let Some(path) = paths.iter().find(|path| !force && path.exists()) {
        return Err(Failure::input(format!(
            "{} is there already, accepted: --force to overwrite it",
            path.display()
        )));
    }
    let failed = |path: &Path, error| Failure::input(format!("cannot write {}: {error}", path.display()));
    match fs::create_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(folder, error)),
        _ => {}
    }
    for (path, object) in paths.iter().zip(objects) {
        fs::write(path, meshward_manifest::to_yaml(object)).map_err(|error| failed(path, error))?;
        terminal::print(&format!("{}\n", path.display()));
    }
    Ok(())
}

fn file_name(object: &Value) -> String {
    let ObjectReference { kind, namespace, name, .. } = ObjectReference::of(object);
    let namespace = if namespace.is_empty() { String::new() } else { format!("{namespace}-") };
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '-' };
    let name: String = format!("{}-{namespace}{name}", kind.to_lowercase()).chars().map(plain).collect();
    format!("{name}.yaml")
}

/// The proof as comments, so that the output stays YAML.
fn sentence(proof: &Proof, places: &[String]) -> String {
    let Proof { compared, differences } = proof;
    if *compared == 0 {
        return "# no objects to compare: give them with -r\n".to_owned();
    }
    let plural = if *compared == 1 { "" } else { "s" };
    if differences.is_empty() {
        return format!("# {compared} object{plural}, all verdicts equal\n");
    }
    let mut text = format!("# {compared} object{plural}, {} verdicts differ:\n", differences.len());
    for Difference { resource, mode, before, after } in differences {
        let place = places.get(*resource).map(String::as_str).unwrap_or_default();
        let said = |side: &Option<String>| match side {
            None => "allowed".to_owned(),
            Some(sentence) => sentence.lines().collect::<Vec<_>>().join(" "),
        };
        text += &format!(
            "# {place}: {}\n#   before: {}\n#   after: {}\n",
            mode.as_str(),
            said(before),
            said(after)
        );
    }
    text
}
