//! `meshward completions`

use clap::Args;
use clap_complete::Shell;

use crate::exit::Outcome;
use crate::terminal;

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = "Example:\n  meshward completions bash > /etc/bash_completion.d/meshward")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::command(), "meshward", &mut script);
    terminal::print(&String::from_utf8_lossy(&script));
    Ok(())
}
