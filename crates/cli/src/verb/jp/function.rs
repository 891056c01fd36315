//! `meshward jp function`

use std::fmt::Write;

use clap::Args;
use meshward_policy::jmespath::{Function, function, functions};

use super::Language;
use crate::exit::{Failure, Outcome};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward jp function
  meshward jp function truncate split";

/// List functions with their arguments and what they do
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Names; without any, all functions
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    language: Language,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let dialect = arguments.language.dialect();
    if let Some(unknown) = arguments.names.iter().find(|name| function(dialect, name).is_none()) {
        return Err(Failure::input(format!("no function {unknown:?}; `meshward jp function` lists them")));
    }
    let wanted = |function: &&&Function| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == function.name())
    };
    terminal::print(
        &functions(dialect).iter().filter(wanted).map(|function| entry(function)).collect::<String>(),
    );
    Ok(())
}

fn entry(function: &Function) -> String {
    let whole = function.to_string();
    let signature = whole.strip_suffix(&format!(" ({})", function.doc())).unwrap_or(&whole);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "Name: {}\n  Signature: {signature}\n  Note:      {}\n",
        function.name(),
        function.doc()
    );
    text
}
