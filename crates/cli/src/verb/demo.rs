//! `meshward demo`: the whole of redirection on one machine, told while it happens. Nothing is hard-coded: addresses,
//! ports, process ids and times are what was observed, and an observation that is not as it should be ends the
//! demonstration with an error that says what was seen.

mod actor;
mod network;
mod paper;
mod pod;
mod standing;
mod status;
mod story;

use std::error::Error;

use clap::Args;

use crate::exit::{Failure, Outcome};

/// Show a mesh pod without privileges: two network namespaces, a proxy, real traffic, no cluster
///
/// Works as root, and as any user where user namespaces are allowed. Everything it makes is gone when it ends, however
/// it ends. Ends with 0 when all that was observed is as it should be, with 3 otherwise.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Wait for Enter before each step
    #[arg(long)]
    step: bool,

    /// Be one of the demonstration's own processes
    #[arg(long, hide = true)]
    actor: bool,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    if arguments.actor { actor::play() } else { story::tell(arguments.step) }
}

/// An error of the machine, with what it is caused by.
fn impossible(error: impl Error) -> Failure {
    Failure::impossible(with_causes(&error))
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
