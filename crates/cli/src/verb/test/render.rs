//! What `test` prints: Kyverno's words and tables on standard output, or one document for all tests.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::Counts;
use super::expectation::{Outcome, Row};
use crate::kyverno::table::{self, Cell, Paint};
use crate::terminal;

/// Forms beside the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A list of rows
    Json,
    /// The same as YAML
    Yaml,
    /// A table
    Markdown,
    /// For continuous integration
    Junit,
}

/// Prints suites as they come, and what is left at the end.
pub(super) struct Printer {
    form: Option<Form>,
    detailed: bool,
    fail_only: bool,
    paint: Paint,
    kept: Vec<(PathBuf, Row)>,
}

const HEADINGS: [&str; 7] = ["ID", "POLICY", "RULE", "RESOURCE", "RESULT", "REASON", "MESSAGE"];

impl Printer {
    pub(super) fn new(form: Option<Form>, detailed: bool, fail_only: bool, no_colours: bool) -> Self {
        let colours = form.is_none() && !no_colours && terminal::colours_on(std::io::stdout().is_terminal());
        let paint = if colours { Paint::Colours } else { Paint::Plain };
        Self { form, detailed, fail_only, paint, kept: Vec::new() }
    }

    /// A line about what is being done: beside the tables, or out of a document's way.
    pub(super) fn say(&self, line: &str) {
        match self.form {
            None => terminal::print(&format!("{line}\n")),
            Some(_) => eprintln!("{line}"),
        }
    }

    /// The rows of a suite.
    pub(super) fn suite(&mut self, path: &Path, rows: Vec<Row>) {
        if self.form.is_none() && !self.fail_only {
            terminal::print(&format!("\n{}\n", self.table(&rows)));
        }
        let keep = |row: &Row| !self.fail_only || row.outcome == Outcome::Broken;
        let rows = rows.into_iter().filter(|row| (self.form.is_some() || self.fail_only) && keep(row));
        let rows: Vec<_> = rows.map(|row| (path.to_owned(), row)).collect();
        self.kept.extend(rows);
    }

    /// The numbers, and what was kept.
    pub(super) fn finish(mut self, counts: &Counts) {
        let Counts { passed, failed, .. } = counts;
        match self.fail_only {
            false => self.say(&format!("\nTest Summary: {passed} tests passed and {failed} tests failed")),
            true => self.say(&format!("\nTest Summary: {failed} out of {} tests failed", passed + failed)),
        }
        if !counts.not_judged.is_empty() {
            self.say(&not_judged(&counts.not_judged));
        }
        self.say("");
        if self.fail_only {
            for (index, (_, row)) in self.kept.iter_mut().enumerate() {
                row.id = index + 1;
            }
        }
        match self.form {
            Some(form) => terminal::print(&self.document(form)),
            None if self.fail_only && *failed > 0 => {
                let rows: Vec<Row> = self.kept.iter().map(|(_, row)| row.clone()).collect();
                terminal::print(&format!("Aggregated Failed Test Cases : \n{}", self.table(&rows)));
            }
            None => {}
        }
    }

    fn headings(&self) -> &'static [&'static str] {
        if self.detailed { &HEADINGS } else { &HEADINGS[..6] }
    }

    fn table(&self, rows: &[Row]) -> String {
        let cells = |row: &Row| {
            let (result, reason) = match &row.outcome {
                Outcome::Held => (Cell::good("Pass"), Cell::plain(&row.reason)),
                Outcome::Broken => (Cell::bad("Fail"), Cell::doubtful(&row.reason)),
                Outcome::NotJudged(_) => (Cell::doubtful("Skip"), Cell::doubtful(&row.reason)),
            };
            let mut cells = vec![
                Cell::plain(row.id.to_string()),
                Cell::name(&row.policy),
                Cell::name(&row.rule),
                Cell::name(&row.resource),
                result,
                reason,
            ];
            cells.extend(self.detailed.then(|| Cell::plain(&row.message)));
            cells
        };
        let rows: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
        table::render(self.headings(), &rows, self.paint)
    }

    fn document(&self, form: Form) -> String {
        match form {
            Form::Json => serde_json::to_string_pretty(&self.values()).unwrap_or_default() + "\n",
            Form::Yaml => meshward_manifest::to_yaml(&self.values()),
            Form::Markdown => self.markdown(),
            Form::Junit => self.junit(),
        }
    }

    fn values(&self) -> Value {
        let value = |(path, row): &(PathBuf, Row)| {
            let mut value = json!({
                "ID": row.id,
                "POLICY": row.policy,
                "REASON": row.reason,
                "RESOURCE": row.resource,
                "RESULT": result(row),
                "RULE": row.rule,
                "TEST": path.display().to_string(),
            });
            if self.detailed {
                value["Message"] = json!(row.message);
            }
            value
        };
        self.kept.iter().map(value).collect()
    }

    fn markdown(&self) -> String {
        let headings = self.headings();
        let mut text = format!("| {} |\n|{}\n", headings.join(" | "), "----|".repeat(headings.len()));
        let escape = |text: &str| text.replace('|', "\\|").replace('\n', "<br>");
        for (_, row) in &self.kept {
            let id = row.id.to_string();
            let cells = [&id, &row.policy, &row.rule, &row.resource, result(row), &row.reason, &row.message];
            let cells: Vec<String> = cells[..headings.len()].iter().map(|cell| escape(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text
    }

    fn junit(&self) -> String {
        let mut report = Report::new("meshward test");
        let mut suites: Vec<TestSuite> = Vec::new();
        for (_, row) in &self.kept {
            let mut status = match &row.outcome {
                Outcome::Held => TestCaseStatus::success(),
                Outcome::Broken => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Outcome::NotJudged(_) => TestCaseStatus::skipped(),
            };
            status.set_message(row.reason.as_str());
            if self.detailed {
                status.set_description(row.message.as_str());
            }
            let mut case = TestCase::new(row.resource.as_str(), status);
            case.set_classname(row.rule.as_str());
            match suites.iter_mut().find(|suite| suite.name.as_str() == row.policy) {
                Some(suite) => {
                    suite.add_test_case(case);
                }
                None => {
                    let mut suite = TestSuite::new(row.policy.as_str());
                    suite.add_test_case(case);
                    suites.push(suite);
                }
            }
        }
        report.add_test_suites(suites);
        report.to_string().unwrap_or_default()
    }
}

fn result(row: &Row) -> &'static str {
    match row.outcome {
        Outcome::Held => "Pass",
        Outcome::Broken => "Fail",
        Outcome::NotJudged(_) => "Skip",
    }
}

/// `Not judged: 3 tests of rules that are not supported (generate: 1, mutate: 2)`
fn not_judged(all: &[String]) -> String {
    let mut kinds: Vec<&String> = all.iter().collect();
    kinds.sort_unstable();
    let counts: Vec<String> = kinds
        .chunk_by(|left, right| left == right)
        .filter_map(|same| Some(format!("{}: {}", same.first()?, same.len())))
        .collect();
    let tests = if all.len() == 1 { "test" } else { "tests" };
    format!("Not judged: {} {tests} of rules that are not supported ({})", all.len(), counts.join(", "))
}
