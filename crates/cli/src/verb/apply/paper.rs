//! What `apply` prints. Kyverno's lines, JSON and YAML come as objects are judged; tables and reports need all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use meshward_policy::kyverno::policy::RuleReport;
use serde_json::Value;

use super::form::Shape;
use super::prepare::Prepared;
use super::stream::{Judged, Reported};
use super::{Arguments, exceptions};
use crate::kyverno::policies::Loaded;
use crate::kyverno::problem::Problems;
use crate::kyverno::table::{self, Cell, Paint};
use crate::results::{
    self, Entries, FieldValue, Listed, ObjectReference, Results, Screen, Status, Totals, Verdict,
    policy_reports,
};
use crate::terminal;

/// Printed at once from this size on.
const FULL: usize = 64 << 10;

/// Collects what is printed.
pub(super) struct Paper<'a> {
    shape: Shape,
    arguments: &'a Arguments,
    prepared: &'a Prepared,
    totals: Totals,
    text: String,
    rows: Vec<Vec<Cell>>,
    /// For the forms that are written entry by entry.
    entries: Option<Entries>,
    results: Results,
}

impl<'a> Paper<'a> {
    pub(super) fn new(shape: Shape, arguments: &'a Arguments, prepared: &'a Prepared) -> Self {
        let results = Results { verb: "apply", ..Results::default() };
        Self {
            shape,
            arguments,
            prepared,
            totals: Totals { error: prepared.library.refused, ..Totals::default() },
            text: String::new(),
            rows: Vec::new(),
            entries: match shape {
                Shape::Ours(form) => Entries::of(form),
                _ => None,
            },
            results,
        }
    }

    /// Adds what is said about one object.
    pub(super) fn add(&mut self, mut judged: Judged) {
        let results = std::mem::take(&mut judged.results);
        let mut verdicts = Vec::new();
        for (index, reported) in results {
            let loaded = &self.prepared.library.policies[index];
            let audits = self.arguments.audit_warn && self.audits(loaded, &judged.object);
            for one in &reported {
                self.totals.add(shown(one.report.result.status, audits));
            }
            match self.shape {
                Shape::Text => self.lines(loaded, &judged.object, &reported, audits),
                Shape::Table => self.table_rows(loaded, &judged.object, &reported, audits),
                Shape::Exceptions { json } => {
                    for one in reported.iter().filter(|one| one.report.result.status == Status::Fail) {
                        let ttl = &self.arguments.generated_exception_ttl;
                        let exception =
                            exceptions::exception(loaded, &one.report, &judged.object, &judged.images, ttl);
                        self.text.push_str(&exceptions::text(&exception, json));
                    }
                }
                Shape::Reports { .. } | Shape::Ours(_) => {
                    let process = matches!(self.shape, Shape::Reports { .. });
                    let verdict = |one| verdict(loaded, one, audits, process, &judged.images);
                    verdicts.extend(reported.into_iter().map(verdict));
                }
            }
        }
        if self.shape.needs_reports() {
            let listed = Listed { object: judged.object, verdicts, headline: None, excerpt: judged.excerpt };
            match &mut self.entries {
                Some(entries) => self.text.push_str(&entries.entry(&listed)),
                None => self.results.objects.push(listed),
            }
        }
        if self.text.len() > FULL {
            terminal::print(&std::mem::take(&mut self.text));
        }
    }

    fn audits(&self, loaded: &Loaded, object: &ObjectReference) -> bool {
        loaded.action.audits(&object.namespace, self.prepared.session.labels(&object.namespace))
    }

    /// Kyverno's lines about the failures of a policy.
    fn lines(&mut self, loaded: &Loaded, object: &ObjectReference, reported: &[Reported], audits: bool) {
        let failed = |one: &&Reported| matches!(one.report.result.status, Status::Fail | Status::Warn);
        let failed: Vec<&Reported> = reported.iter().filter(failed).collect();
        if !failed.is_empty() {
            let title = format!("{}/{}/{}", object.namespace, object.kind, object.name);
            let how = if audits { "failed as audit warning" } else { "failed" };
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "policy {} -> resource {title} {how}:", loaded.name);
            for (index, one) in failed.iter().enumerate() {
                let message = match one.report.result.message.as_str() {
                    "" => "validation failed",
                    message => message,
                };
                let _ = writeln!(self.text, "{} - {} {message}", index + 1, one.report.result.rule);
            }
        }
        // Kyverno counts errors and says nothing more about them.
        for one in reported.iter().filter(|one| one.report.result.status == Status::Error) {
            let object = object.title();
            let result = &one.report.result;
            terminal::warning(&format!(
                "policy {}, rule {}, {object}: {}",
                loaded.name, result.rule, result.message
            ));
        }
    }

    fn table_rows(&mut self, loaded: &Loaded, object: &ObjectReference, reported: &[Reported], audits: bool) {
        for one in reported {
            let result = match shown(one.report.result.status, audits) {
                Status::Pass => Cell::good("Pass"),
                Status::Fail => Cell::bad("Fail"),
                Status::Warn => Cell::doubtful("Warn"),
                Status::Error => Cell::bad("Error"),
                Status::Skip => Cell::name("Skip"),
            };
            let namespace = match object.namespace.as_str() {
                "" => String::new(),
                namespace => format!("{namespace}/"),
            };
            let mut row = vec![
                Cell::plain((self.rows.len() + 1).to_string()),
                Cell::name(&loaded.key),
                Cell::name(&*one.report.result.rule),
                Cell::name(format!("{namespace}{}/{}", object.kind, object.name)),
                result,
                Cell::default(),
            ];
            row.extend(self.arguments.detailed_results.then(|| Cell::plain(&one.report.result.message)));
            self.rows.push(row);
        }
    }

    /// Prints what is left, and gives the numbers.
    pub(super) fn finish(mut self, problems: &Problems) -> Totals {
        let totals = self.totals;
        match self.shape {
            // The blank before the end of the line is Kyverno's.
            Shape::Text => self.text.push_str(&format!("\n{totals} \n")),
            Shape::Table => {
                let headings = ["ID", "POLICY", "RULE", "RESOURCE", "RESULT", "REASON", "MESSAGE"];
                let columns = if self.arguments.detailed_results { 7 } else { 6 };
                let colours = terminal::colours_on(std::io::stdout().is_terminal());
                let paint =
                    if colours && !self.arguments.remove_color { Paint::Colours } else { Paint::Plain };
                self.text.push_str(&table::render(&headings[..columns], &self.rows, paint));
            }
            Shape::Reports { json } => {
                let all = policy_reports(&self.results, seconds_now());
                for report in all {
                    let namespaced = report.pointer("/metadata/namespace").is_some();
                    self.text.push_str(if namespaced { "---\n" } else { "" });
                    self.text.push_str(&document(&report, json));
                    self.text.push('\n');
                }
            }
            Shape::Exceptions { .. } => {}
            Shape::Ours(_) if self.entries.is_some() => {
                self.text.push_str(self.entries.map_or("", Entries::end));
            }
            Shape::Ours(form) => {
                self.results.problems = problems.for_results();
                let screen = match self.arguments.remove_color {
                    true => Screen { colours: false, ..Screen::standard_output() },
                    false => Screen::standard_output(),
                };
                self.text.push_str(&results::render(&self.results, form, screen));
            }
        }
        terminal::print(&self.text);
        totals
    }
}

/// Seconds since 1970.
fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

/// A document as Kyverno writes it, without the blank line after it.
pub(super) fn document(value: &Value, json: bool) -> String {
    if json { format!("{value}") } else { meshward_manifest::to_yaml(value) }
}

fn shown(status: Status, audits: bool) -> Status {
    if status == Status::Fail && audits { Status::Warn } else { status }
}

fn verdict(
    loaded: &Loaded,
    reported: Reported,
    audits: bool,
    process: bool,
    images: &[(String, String)],
) -> Verdict {
    let Reported { report, field } = reported;
    let status = shown(report.result.status, audits);
    let fields = field.into_iter().map(|(path, position)| FieldValue {
        path,
        position,
        remark: String::new(),
        value: Value::Null,
    });
    Verdict {
        severity: loaded.severity,
        category: loaded.category.clone(),
        scored: loaded.policy.scored(),
        properties: properties(loaded, &report, process, images),
        fields: fields.collect(),
        ..Verdict::new(&*loaded.key, &*report.result.rule, status, report.message())
    }
}

/// What Kyverno's reports say beside the message.
fn properties(
    loaded: &Loaded,
    report: &RuleReport,
    with_process: bool,
    images: &[(String, String)],
) -> BTreeMap<String, String> {
    let mut properties: BTreeMap<String, String> = report.properties.iter().cloned().collect();
    let settings = loaded.policy.settings();
    let process = match (settings.background, settings.admission) {
        (true, _) => "background scan",
        (false, true) => "admission review",
        (false, false) => "",
    };
    // Which of Kyverno's controllers would say it is news only to those who read its reports.
    if with_process {
        properties.insert("process".to_owned(), process.to_owned());
    }
    if !report.exceptions.is_empty() {
        properties.insert("exceptions".to_owned(), report.exceptions.join(","));
    }
    if let Some(standard) = &report.standard {
        let image = |container: &str| {
            images.iter().find(|(name, _)| name == container).map(|(_, image)| image.clone())
        };
        let told = standard.properties(image).into_iter();
        properties.extend(told.map(|(name, text)| (name.to_owned(), text)));
    }
    properties
}
