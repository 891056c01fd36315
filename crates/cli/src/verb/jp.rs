//! `meshward jp`: JMESPath at the command line, with the subcommands, flags and output of `kyverno jp`.

mod function;
mod go_json;
mod parse;
mod query;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use meshward_policy::jmespath::{Dialect, Expression};

use crate::exit::{Failure, Outcome};
use crate::terminal;

/// Evaluate JMESPath expressions, show how they are understood, list the functions
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Query(query::Arguments),
    Parse(parse::Arguments),
    Function(function::Arguments),
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    match arguments.verb {
        Verb::Query(arguments) => query::run(&arguments),
        Verb::Parse(arguments) => parse::run(&arguments),
        Verb::Function(arguments) => function::run(&arguments),
    }
}

/// `--standard`, which all three have.
#[derive(Args)]
struct Language {
    /// The language of jmespath.org instead of Kyverno's: a missing key is null, and only its own functions
    #[arg(long)]
    standard: bool,
}

impl Language {
    fn dialect(&self) -> Dialect {
        if self.standard { Dialect::Standard } else { Dialect::Kyverno }
    }
}

/// An expression and where it came from.
struct Text {
    /// What stands before its errors: empty for the command line's own.
    origin: String,
    text: String,
}

impl Text {
    fn parse(&self, dialect: Dialect) -> Result<Expression, Failure> {
        Expression::parse(&self.text, dialect).map_err(|error| {
            let caret = error.caret(&self.text);
            Failure::input(format!("{}bad JMESPath expression: {error}\n{caret}", self.origin))
        })
    }
}

/// The expressions of the command line and then those of files, each a whole file; standard input if there are none.
fn texts(expressions: &[String], files: &[PathBuf]) -> Result<Vec<Text>, Failure> {
    let own = expressions.iter().map(|text| Ok(Text { origin: String::new(), text: text.clone() }));
    let read = files.iter().map(|file| {
        let text = read_text(file)?;
        Ok(Text { origin: format!("{}: ", file.display()), text })
    });
    own.chain(read).collect()
}

/// The expression that is typed or piped in.
fn text_of_standard_input() -> Result<Text, Failure> {
    if std::io::stdin().is_terminal() {
        terminal::note("enter a JMESPath expression, then Ctrl-D");
    }
    Ok(Text { origin: "standard input: ".into(), text: read_text(Path::new("-"))? })
}

/// A file with an expression; the line break that editors end it with is not part of it.
fn read_text(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        // One byte more than is accepted is enough to say that it is too long.
        let limit = Expression::MAX_LENGTH as u64 + 1;
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::input(format!("cannot read {}: {error}", file.display())))?;
    text.truncate(text.trim_end().len());
    Ok(text)
}
