//! What verbs that list results have found, as one value, so that the table, the JSON, the SARIF and every other form
//! are renderings of the same facts and cannot disagree. `check`, `explain`, `apply`, `test`, `lint` and `scan` build
//! [`Results`]; none of them prints results by itself.
//!
//! ```text
//! Results ─► Listed (an object, where it is written) ─► Verdict (a rule's status) ─► FieldValue (a value, its line)
//!    └─► render(Form): table with snippets · json · yaml · sarif · junit · markdown        policy_report: PolicyReports
//! ```

mod colour;
mod excerpt;
mod json;
mod junit;
mod markdown;
mod policy_report;
mod sarif;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

pub(crate) use self::{
    colour::{paint, printable},
    excerpt::{Excerpt, Position, Source},
    json::{Entries, to_value},
    policy_report::policy_reports,
    table::Screen,
};
pub(crate) use meshward_policy::kyverno::policy::Status;

/// Everything a verb has found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results {
    /// The verb, such as `check`.
    pub(crate) verb: &'static str,
    /// The objects, in the order of the input.
    pub(crate) objects: Vec<Listed>,
    /// What could not be read or decided at all; whoever reads the results must not take them for complete.
    pub(crate) problems: Vec<Problem>,
}

/// An object with what is said about it. An object without verdicts is not listed by any renderer but JSON and YAML.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    /// Which object.
    pub(crate) object: ObjectReference,
    /// What the rules say, in their order.
    pub(crate) verdicts: Vec<Verdict>,
    /// One sentence about all verdicts that are not fine, where the verb has one (Pod Security Admission's own).
    /// Without it every such verdict's message is a headline of its own.
    pub(crate) headline: Option<String>,
    /// The lines of the file that the fields stand on; `None` where nobody will look at them.
    pub(crate) excerpt: Option<Excerpt>,
}

/// An object, and where it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectReference {
    /// The file as the user named it, or `standard input`; empty for objects of a cluster.
    pub(crate) file: Arc<str>,
    /// Where in the file the object begins.
    pub(crate) position: Option<Position>,
    /// `apiVersion`
    pub(crate) api_version: String,
    /// `kind`
    pub(crate) kind: String,
    /// `metadata.namespace`; empty if there is none.
    pub(crate) namespace: String,
    /// `metadata.name`, or `metadata.generateName` and `*`; empty if there is neither.
    pub(crate) name: String,
    /// `metadata.uid`; empty outside of a cluster.
    pub(crate) uid: String,
    /// `metadata.resourceVersion`; empty outside of a cluster.
    pub(crate) resource_version: String,
}

/// What one rule says about one object.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// The policy: `PodSecurity restricted:latest`, or a Kyverno policy's name (`namespace/name` of a namespaced one).
    pub(crate) policy: String,
    /// The rule or check; empty for a verdict about the whole policy.
    pub(crate) rule: String,
    /// The control of the Pod Security Standards, where the rule is one of their checks.
    pub(crate) control: Option<&'static str>,
    /// What it says.
    pub(crate) status: Status,
    /// How much it matters.
    pub(crate) severity: Option<Severity>,
    /// The policy's category; empty if it has none.
    pub(crate) category: String,
    /// The sentence.
    pub(crate) message: String,
    /// The values it is about.
    pub(crate) fields: Vec<FieldValue>,
    /// Values that an exemption took out of it.
    pub(crate) exempted: Vec<Exempted>,
    /// Whether a failure counts in PolicyReports.
    pub(crate) scored: bool,
    /// Whatever else belongs to it, such as a PolicyReport's properties.
    pub(crate) properties: BTreeMap<String, String>,
}

/// How much a violation matters, as PolicyReports say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Every severity, from the least to the most.
    pub(crate) const ALL: [Severity; 5] =
        [Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of that name; `None` for any other text, which Kyverno leaves out of reports too.
    pub(crate) fn from_name(text: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// A value that a verdict is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldValue {
    /// Its path in the object, such as `spec.template.spec.containers[0].securityContext.privileged`.
    pub(crate) path: String,
    /// The value; null where the field must be set and is not.
    pub(crate) value: Value,
    /// Where it is written, or the nearest place where it belongs.
    pub(crate) position: Option<Position>,
    /// What is wrong with it, in a few words, for the line in the file.
    pub(crate) remark: String,
}

/// A value that an exemption took out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exempted {
    /// The value.
    pub(crate) field: FieldValue,
    /// The exemption: `Exemption shop/istio-init`, `PolicyException shop/mesh`.
    pub(crate) by: String,
    /// Why it is there, in its author's words; empty if they gave none.
    pub(crate) reason: String,
}

/// Something that could not be read or decided.
#[derive(Debug, Clone, Default)]
pub(crate) struct Problem {
    /// The file; empty if it is about none.
    pub(crate) file: Arc<str>,
    /// Where.
    pub(crate) position: Option<Position>,
    /// What was found and what is accepted.
    pub(crate) message: String,
    /// The same laid out for people, with a snippet; the message if there is no more to say.
    pub(crate) report: Option<String>,
}

/// How many verdicts of each status there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "one number a status")]
pub(crate) struct Totals {
    pub(crate) pass: usize,
    pub(crate) fail: usize,
    pub(crate) warn: usize,
    pub(crate) error: usize,
    pub(crate) skip: usize,
}

impl Totals {
    /// Counts one verdict.
    pub(crate) fn add(&mut self, status: Status) {
        *match status {
            Status::Pass => &mut self.pass,
            Status::Fail => &mut self.fail,
            Status::Warn => &mut self.warn,
            Status::Error => &mut self.error,
            Status::Skip => &mut self.skip,
        } += 1;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { pass, fail, warn, error, skip } = self;
        write!(f, "pass: {pass}, fail: {fail}, warn: {warn}, error: {error}, skip: {skip}")
    }
}

impl Verdict {
    /// A verdict with what every one has.
    pub(crate) fn new(
        policy: impl Into<String>,
        rule: impl Into<String>,
        status: Status,
        message: impl Into<String>,
    ) -> Self {
        Self {
            policy: policy.into(),
            rule: rule.into(),
            control: None,
            status,
            severity: None,
            category: String::new(),
            message: message.into(),
            fields: Vec::new(),
            exempted: Vec::new(),
            scored: true,
            properties: BTreeMap::new(),
        }
    }

    /// Whether somebody has to look at it.
    pub(crate) fn is_finding(&self) -> bool {
        matches!(self.status, Status::Fail | Status::Warn | Status::Error)
    }

    /// Policy and rule in one.
    pub(crate) fn title(&self) -> String {
        match (self.policy.as_str(), self.rule.as_str()) {
            (policy, "") => policy.to_owned(),
            ("", rule) => rule.to_owned(),
            (policy, rule) => format!("{policy} / {rule}"),
        }
    }
}

impl ObjectReference {
    /// The object of a manifest.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| {
            let value = object.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let generated = text("/metadata/generateName");
        let name = match text("/metadata/name") {
            name if name.is_empty() && !generated.is_empty() => generated + "*",
            name => name,
        };
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name,
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            ..Self::default()
        }
    }

    /// `Deployment shop/web`, with nothing in it that could steer a terminal.
    pub(crate) fn title(&self) -> String {
        use meshward_redirect::net::visible;
        let kind = if self.kind.is_empty() { "object".into() } else { visible(&self.kind) };
        match (self.namespace.as_str(), self.name.as_str()) {
            (_, "") => format!("{kind} without a name"),
            ("", name) => format!("{kind} {}", visible(name)),
            (namespace, name) => format!("{kind} {}/{}", visible(namespace), visible(name)),
        }
    }

    /// `web.yaml:12`; empty for objects without a file.
    pub(crate) fn place(&self) -> String {
        match self.position {
            Some(position) => format!("{}:{}", self.file, position.line),
            None => self.file.to_string(),
        }
    }
}

impl Listed {
    /// Where somebody has to look for a verdict: `web.yaml:14`, the line of its first value or of the object.
    pub(crate) fn place_of(&self, verdict: &Verdict) -> String {
        match verdict.fields.iter().find_map(|field| field.position) {
            Some(position) if verdict.is_finding() => format!("{}:{}", self.object.file, position.line),
            _ => self.object.place(),
        }
    }
}

impl Results {
    /// How many verdicts of each status there are.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.verdicts().for_each(|(_, verdict)| totals.add(verdict.status));
        totals
    }

    /// Every verdict with its object.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (&Listed, &Verdict)> {
        self.objects.iter().flat_map(|listed| listed.verdicts.iter().map(move |verdict| (listed, verdict)))
    }
}

/// Forms in which results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// What is wrong with the lines it is about, then a table
    Table,
    /// One entry an object
    Json,
    /// The same as YAML
    Yaml,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit, for continuous integration
    Junit,
    /// A table in Markdown, for a pull request
    Markdown,
}

impl Form {
    /// Whether people read it, who want to see their own lines.
    pub(crate) fn shows_excerpts(self) -> bool {
        self == Form::Table
    }
}

/// Tells what could not be read and ends a verb: 2 where the input has problems, 1 where something failed.
pub(crate) fn end(results: &Results) -> crate::exit::Outcome {
    for problem in &results.problems {
        match &problem.report {
            Some(report) => eprintln!("{report}"),
            None if problem.file.is_empty() => crate::terminal::error(&problem.message),
            None => crate::terminal::error(&format!("{}: {}", problem.file, problem.message)),
        }
    }
    let Totals { fail, error, .. } = results.totals();
    match (results.problems.len(), fail + error) {
        (0, 0) => Ok(()),
        (0, _) => Err(crate::exit::Failure::Found),
        _ => Err(crate::exit::Failure::Told),
    }
}

/// The results in a form. JSON and YAML are those of [`to_value`]; verbs with a shape of their own print that instead.
pub(crate) fn render(results: &Results, form: Form, screen: Screen) -> String {
    match form {
        Form::Table => table::render(results, screen),
        Form::Json => json::pretty(&to_value(results)),
        Form::Yaml => meshward_manifest::to_yaml(&to_value(results)),
        Form::Sarif => sarif::render(results),
        Form::Junit => junit::render(results),
        Form::Markdown => markdown::render(results),
    }
}
