//! How the command ends: the exit codes scripts rely on, and errors that carry theirs.

use std::fmt;
use std::process::ExitCode;

/// Why a verb did not end well. The number of each is part of the command's contract.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 1: it worked, and the answer is no (drift found, a violation).
    Found,
    /// 2: the input is wrong: flags, a file, a value in it.
    Input(String),
    /// 2: the same, for messages that are laid out already (snippets of the user's file).
    Reported(String),
    /// 2: the input is wrong, as the user was told already.
    Told,
    /// The user's own code for it, already told.
    Code(u8),
    /// 3: the input is right, but it could not be done here (permission, kernel).
    Impossible(String),
}

impl Failure {
    /// An error of the input.
    pub(crate) fn input(message: impl fmt::Display) -> Self {
        Failure::Input(message.to_string())
    }

    /// An error of the machine.
    pub(crate) fn impossible(message: impl fmt::Display) -> Self {
        Failure::Impossible(message.to_string())
    }

    /// Tells the user and gives the process' exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Found => ExitCode::from(1),
            Failure::Told => ExitCode::from(2),
            Failure::Code(code) => ExitCode::from(*code),
            Failure::Input(message) => {
                crate::terminal::error(message);
                ExitCode::from(2)
            }
            Failure::Reported(report) => {
                eprintln!("{report}");
                ExitCode::from(2)
            }
            Failure::Impossible(message) => {
                crate::terminal::error(message);
                ExitCode::from(3)
            }
        }
    }
}

/// What a verb returns.
pub(crate) type Outcome = Result<(), Failure>;
