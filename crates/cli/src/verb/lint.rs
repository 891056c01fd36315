//! `meshward lint`: what is wrong with policies, exceptions, exemptions and namespace labels, before a cluster finds out.
//! The analysis is the library's; here files are read, findings get their lines, and the results are printed.

mod list;
pub(crate) mod written;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use meshward_policy::lint::{self, Given, Severity as Weight};
use serde_json::Value;

use crate::exit::{Failure, Outcome};
use crate::load::{self, Part, Told};
use crate::results::{self, Form, Listed, Problem, Results, Screen};
use crate::terminal;
use meshward_kit::machine::Machine;
use written::Written;

pub(crate) use list::page;

const EXAMPLES: &str = "\
Examples:
  meshward lint policies/
  meshward lint policies/ exemptions/ --resources manifests/
  meshward lint exemption.yaml -o sarif > lint.sarif
  kubectl get clusterpolicies,polex -A -o yaml | meshward lint -
  meshward lint --list

Exit codes: 0 nothing to fail on, 1 findings (see --fail-on), 2 something could not be read (the rest is still looked at)";

/// Find exemptions and exclusions that never match, are wider than needed, expired, shadowed or unsafe
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Policies, exceptions, exemptions, presets, namespaces, admission configurations; files, folders, - for standard input
    #[arg(value_name = "FILE", required_unless_present = "list")]
    files: Vec<PathBuf>,
    /// Pods and controllers: tell what each exclusion saves of them, and print the narrowest form that saves the same
    #[arg(long, value_name = "FILE", num_args = 1..)]
    resources: Vec<PathBuf>,
    /// From which severity on findings end with 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Warning)]
    fail_on: FailOn,
    /// List every lint instead
    #[arg(long, conflicts_with_all = ["files", "resources"])]
    list: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    /// Errors only
    Error,
    /// Errors and warnings
    Warning,
    /// Nothing
    None,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    if arguments.list {
        return list::print(arguments.output);
    }
    let loaded = load::each_document(&arguments.files, written::read);
    loaded.told.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let mut problems = loaded.told.problems;
    let documents: Vec<Written> = loaded.values.into_iter().flatten().collect();
    if documents.is_empty() && problems.is_empty() {
        let message = "nothing to lint in it, accepted: kinds of kyverno.io and meshward.dev, Namespace, \
                       AdmissionConfiguration, PodSecurityConfiguration";
        return Err(Failure::input(format!("{}: {message}", names(&arguments.files))));
    }
    let resources = resources(&arguments.resources, &mut problems)?;
    let values: Vec<Value> = documents.iter().map(Written::value).collect();
    let findings = lint::lint(&Given { documents: &values, resources: &resources, environment: &Machine });
    let objects: Vec<Listed> = documents
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let own = findings.iter().filter(|finding| finding.document == index);
            document.listed(own, arguments.output.shows_excerpts())
        })
        .collect();
    let worst = findings.iter().map(|finding| finding.lint.severity).max();
    let results = Results { verb: "lint", objects, problems };
    terminal::print(&results::render(&results, arguments.output, Screen::standard_output()));
    if arguments.output == Form::Table {
        terminal::print(&written::fixes(&documents, &findings));
    }
    end(&results, worst, arguments.fail_on)
}

/// Whatever could not be read comes first: who reads the results must not take them for complete.
fn end(results: &Results, worst: Option<Weight>, fail_on: FailOn) -> Outcome {
    let enough = match fail_on {
        FailOn::Error => worst >= Some(Weight::Error),
        FailOn::Warning => worst >= Some(Weight::Warning),
        FailOn::None => false,
    };
    match results::end(results) {
        Err(Failure::Found) | Ok(()) if enough => Err(Failure::Found),
        Err(Failure::Found) => Ok(()),
        other => other,
    }
}

/// The pods and controllers of files.
fn resources(files: &[PathBuf], problems: &mut Vec<Problem>) -> Result<Vec<Value>, Failure> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let loaded = load::each_document(files, pods);
    problems.extend(loaded.told.problems);
    let resources: Vec<Value> = loaded.values.into_iter().flatten().collect();
    if resources.is_empty() && problems.is_empty() {
        return Err(Failure::input(format!("{}: no pod or controller in it", names(files))));
    }
    Ok(resources)
}

/// The objects of a document that hold pods.
pub(crate) fn pods(part: &Part<'_>, told: &mut Told) -> Vec<Value> {
    let mut found = Vec::new();
    for object in part.document.objects() {
        match crate::kinds::subject(&object.value) {
            Ok(crate::kinds::Subject::Pod(_)) => found.push(object.value.into_owned()),
            Ok(crate::kinds::Subject::Nothing) => {}
            Err(refused) => {
                let place = object.get(refused.pointer).or_else(|| object.place());
                told.problems.push(part.problem(&refused.message, place.map(|place| place.value)));
            }
        }
    }
    found
}

pub(crate) fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
