//! `meshward jp parse`

use std::path::PathBuf;

use clap::Args;

use super::{Language, text_of_standard_input, texts};
use crate::exit::Outcome;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward jp parse 'request.object.metadata.name | truncate(@, `9`)'
  meshward jp parse -f query-file
  echo 'a.b[0]' | meshward jp parse";

/// Show how expressions are understood, as a tree
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Expressions; without any, and without -f, one is read from standard input
    #[arg(value_name = "EXPRESSION")]
    expressions: Vec<String>,
    /// A file with an expression
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    file: Vec<PathBuf>,
    #[command(flatten)]
    language: Language,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let mut texts = texts(&arguments.expressions, &arguments.file)?;
    if texts.is_empty() {
        texts.push(text_of_standard_input()?);
    }
    texts.iter().try_for_each(|text| {
        let expression = text.parse(arguments.language.dialect())?;
        for (name, _) in expression.unknown_functions() {
            terminal::warning(&format!(
                "{}unknown function {name}: it fails when it is reached",
                text.origin
            ));
        }
        terminal::print(&format!("# {}\n{}\n", text.text, expression.peer_tree()));
        Ok(())
    })
}
