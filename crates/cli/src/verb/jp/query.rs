//! `meshward jp query`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use meshward_policy::jmespath::Context;
use serde_json::Value;

use super::{Language, Text, go_json, text_of_standard_input, texts};
use crate::exit::{Failure, Outcome};
use crate::input::Input;
use crate::terminal;
use meshward_kit::machine::Machine;

const EXAMPLES: &str = "\
Examples:
  meshward jp query -i pod.yaml 'spec.containers[].image'
  meshward jp query -i pod.yaml -q query-file 'metadata.name | truncate(@, `9`)'
  kubectl get pod web -o yaml | meshward jp query -c 'metadata.labels'
  cat query-file | meshward jp query -i pod.yaml

Every result comes after a line with its expression, as kyverno prints it; the prompts of kyverno are left out where
nobody types.";

/// Evaluate expressions on an object
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Expressions; without any, and without -q, one is read from standard input
    #[arg(value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// A JSON or YAML file to evaluate them on; without it, standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// A file with an expression
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    query: Vec<PathBuf>,
    /// Results as JSON on one line
    #[arg(short, long)]
    compact: bool,
    /// Results that are strings without quotes
    #[arg(short, long)]
    unquoted: bool,
    #[command(flatten)]
    language: Language,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut queries = texts(&arguments.expressions, &arguments.query)?;
    let input = match &arguments.input {
        Some(file) => value(file)?,
        None if queries.is_empty() => {
            return Err(Failure::input(
                "an expression or an input file is needed; accepted: both, or one of them",
            ));
        }
        None => {
            if std::io::stdin().is_terminal() {
                terminal::note("enter the object as YAML or JSON, then Ctrl-D");
            }
            value(Path::new("-"))?
        }
    };
    if queries.is_empty() {
        queries.push(text_of_standard_input()?);
    }
    queries.iter().try_for_each(|query| evaluate(query, &input, arguments))
}

/// The one document of a file.
fn value(file: &Path) -> Result<Value, Failure> {
    let mut input = Input::read(file)?;
    match input.documents.len() {
        1 => Ok(input.documents.remove(0).value),
        count => Err(Failure::input(format!("{}: found {count} documents, accepted: one", input.name))),
    }
}

fn evaluate(query: &Text, input: &Value, arguments: &Arguments) -> Outcome {
    let expression = query.parse(arguments.language.dialect())?;
    let context = Context::new(&Machine);
    let result = expression.search(input, &context).map_err(|error| {
        Failure::input(format!("{}cannot evaluate {:?}: {error}", query.origin, query.text))
    })?;
    let text = match &*result {
        Value::String(text) if arguments.unquoted => text.clone(),
        value if arguments.compact => go_json::compact(value),
        value => go_json::indented(value),
    };
    terminal::print(&format!("# {}\n{text}\n", query.text));
    Ok(())
}
