//! What is wrong with the input while the rest is still worked on: told at once, counted, and in the end the exit code.

use meshward_manifest::{ManifestError, Place, Span};

use crate::input::Input;
use crate::results::{self, Position, Source};

/// One thing that is wrong with the input.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The file as the user named it; empty if it is about none.
    pub(crate) file: String,
    /// Where in it, where that is known.
    pub(crate) position: Option<Position>,
    /// What was found and what is accepted.
    pub(crate) message: String,
    /// The same laid out for people, with the line it is about.
    report: String,
}

impl Problem {
    /// A file as a whole.
    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let report = format!("error: {message}");
        Self { file: file.to_owned(), position: None, message, report }
    }

    /// A document that cannot be read.
    pub(crate) fn broken(input: &Input, error: &ManifestError) -> Self {
        let span = Span::empty(error.at);
        Self::at(input, &error.problem.to_string(), Some(Place { key: None, value: span }))
    }

    /// A place in a file.
    pub(crate) fn at(input: &Input, message: &str, place: Option<Place>) -> Self {
        let source = Source::whole(input.bytes());
        Self {
            file: input.name.clone(),
            position: place.map(|place| source.position(place.value)),
            message: message.to_owned(),
            report: input.error(message, place),
        }
    }
}

impl From<results::Problem> for Problem {
    fn from(problem: results::Problem) -> Self {
        let results::Problem { file, position, message, report } = problem;
        match report {
            Some(report) => Self { file: file.to_string(), position, message, report },
            None => Self::of_file(&file, format!("{file}: {message}")),
        }
    }
}

/// All that is wrong.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    /// Tells the user, and remembers.
    pub(crate) fn tell(&mut self, problem: Problem) {
        eprintln!("{}", problem.report);
        self.found.push(problem);
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// What is wrong, as results list it.
    pub(crate) fn for_results(&self) -> Vec<results::Problem> {
        let problem = |problem: &Problem| results::Problem {
            file: problem.file.as_str().into(),
            position: problem.position,
            message: problem.message.clone(),
            // It has been told already.
            report: None,
        };
        self.found.iter().map(problem).collect()
    }

    /// What is wrong, in the order it was found.
    pub(crate) fn all(&self) -> &[Problem] {
        &self.found
    }
}
