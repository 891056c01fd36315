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
        let (code, message) = match self {
            Failure::Found => (1, None),
            Failure::Input(message) => (2, Some(message)),
            Failure::Impossible(message) => (3, Some(message)),
        };
        if let Some(message) = message {
            crate::terminal::error(message);
        }
        ExitCode::from(code)
    }
}

/// What a verb returns.
pub(crate) type Outcome = Result<(), Failure>;
