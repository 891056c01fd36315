//! The list of lints, for the terminal, for programs and for the documentation.

use std::fmt::Write as _;

use meshward_policy::lint::{self, Lint};
use serde_json::{Value, json};

use super::written::about;
use crate::exit::{Failure, Outcome};
use crate::results::Form;
use crate::terminal;

pub(super) fn print(form: Form) -> Outcome {
    let text = match form {
        Form::Table => table(),
        Form::Json => serde_json::to_string_pretty(&value()).unwrap_or_default() + "\n",
        Form::Yaml => meshward_manifest::to_yaml(&value()),
        Form::Markdown => page(),
        Form::Sarif | Form::Junit => {
            return Err(Failure::input("the list has no such form, accepted: table, json, yaml, markdown"));
        }
    };
    terminal::print(&text);
    Ok(())
}

fn value() -> Value {
    let of = |lint: &'static Lint| {
        json!({
            "id": lint.id,
            "severity": lint.severity.as_str(),
            "about": about(lint),
            "instead": lint.instead,
            "quirk": lint.quirk.map(|quirk| format!("Q{}", quirk.number())),
        })
    };
    lint::all().map(of).collect()
}

fn table() -> String {
    let width = lint::all().map(|lint| lint.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for lint in lint::all() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<width$}  {:<7}  {}", lint.id, lint.severity.as_str(), about(lint));
    }
    text
}

/// The page of the reference.
pub(crate) fn page() -> String {
    let mut text = String::from(
        "# Lints\n\nWritten by `cargo xtask docs`; do not edit. `meshward lint` finds these. Ids never change, so that \
         scripts may rely on them.\n\n| id | severity | what it finds | write instead |\n|---|---|---|---|\n",
    );
    for lint in lint::all() {
        let quirk = lint.quirk.map(|quirk| format!("Kyverno's Q{}: ", quirk.number())).unwrap_or_default();
        let (about, instead) = (escaped(about(lint)), escaped(lint.instead));
        let _ = writeln!(text, "| `{}` | {} | {quirk}{about} | {instead} |", lint.id, lint.severity.as_str());
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
}
