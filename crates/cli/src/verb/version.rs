//! `meshward version`

use clap::{Args, ValueEnum};

use crate::exit::Outcome;
use crate::terminal;

/// Print the version
#[derive(Args)]
pub(crate) struct Arguments {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// One line
    Text,
    /// An object
    Json,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    terminal::print(&match arguments.output {
        Form::Text => format!("meshward {version}\n"),
        Form::Json => format!("{}\n", serde_json::json!({ "version": version })),
    });
    Ok(())
}
