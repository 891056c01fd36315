//! What is printed: Kyverno's own words, or one of the forms that all verbs have.

use clap::ValueEnum;

use super::Arguments;
use crate::exit::Failure;
use crate::results::Form;
use crate::terminal;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Kyverno's lines about failures, and the numbers.
    Text,
    /// Kyverno's table.
    Table,
    /// Policy reports; as JSON or not.
    Reports { json: bool },
    /// Exceptions for what failed; as JSON or not.
    Exceptions { json: bool },
    /// One of our own forms.
    Ours(Form),
}

impl Shape {
    /// The shape that the flags ask for. Kyverno's own flags come first; then `-o`, if it is a form.
    ///
    /// # Errors
    /// [`Failure`] for a word that can only be a misspelt form.
    pub(super) fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let json = arguments.output_format == "json";
        let form = arguments.output.as_deref().map(form).transpose()?.flatten();
        Ok(match form {
            _ if arguments.policy_report => Shape::Reports { json },
            _ if arguments.generate_exceptions => Shape::Exceptions { json },
            Some(form) => Shape::Ours(form),
            None if arguments.table => Shape::Table,
            None => Shape::Text,
        })
    }

    /// Whether Kyverno says first what is going to happen.
    pub(super) fn has_heading(self) -> bool {
        matches!(self, Shape::Text | Shape::Table)
    }

    /// Whether whole results are needed, and not only verdicts.
    pub(super) fn needs_reports(self) -> bool {
        !self.has_heading()
    }
}

/// A form of ours. Kyverno's `-o` is where it writes mutated objects: a file or a folder, which nothing is written to.
fn form(word: &str) -> Result<Option<Form>, Failure> {
    if let Ok(form) = Form::from_str(word, true) {
        return Ok(Some(form));
    }
    let is_path = word == "-" || word.contains(['/', '.', '\\']);
    if !is_path {
        let names: Vec<String> = Form::value_variants()
            .iter()
            .filter_map(|form| Some(form.to_possible_value()?.get_name().to_owned()))
            .collect();
        return Err(Failure::input(format!(
            "--output: found {word:?}, accepted: {}, or a path with a slash or a dot, as Kyverno takes it",
            names.join(", ")
        )));
    }
    terminal::warning(&format!(
        "--output {word} does nothing: nothing is mutated, so that nothing is written"
    ));
    Ok(None)
}
