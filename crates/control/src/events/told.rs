//! From results to Events: whom they are about, and Kyverno's words (`pkg/event/events.go`).

use k8s_openapi::api::core::v1::ObjectReference;
use meshward_kit::events::{EventPlan, LONGEST_NOTE, Severity, bounded};
use meshward_policy::kyverno::policy::Status;

use crate::live::{Origin, Snapshot};
use crate::observed::{Observed, Subject};
use crate::report::{Line, News};

const BLOCKED: &str = "Resource Blocked";
const PASSED: &str = "Resource Passed";

/// An Event to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Whom it is about.
    pub regarding: ObjectReference,
    /// Whom else.
    pub related: Option<ObjectReference>,
    /// What it says.
    pub event: EventPlan,
    /// The scan says so, not a request.
    pub scan: bool,
}

/// What a rule says about an object.
struct Said<'a> {
    policy: &'a Origin,
    subject: &'a Subject,
    rule: &'a str,
    status: &'a str,
    message: &'a str,
    blocked: bool,
    scan: bool,
}

/// The Events of a request: of each failure one about the policy and, if the object got in, one about the object.
/// `applied`: also of policies that found nothing.
pub fn of_observed(observed: &Observed, applied: bool) -> Vec<Told> {
    let subject = &observed.subject;
    let mut all = Vec::new();
    // What is to be named by the API server has no name that could be told.
    if subject.name.is_empty() {
        return all;
    }
    for outcome in &observed.policies {
        let grave = |status: Status| matches!(status, Status::Fail | Status::Error);
        let failed = outcome.rules.iter().filter(|(report, _)| grave(report.result.status));
        let before = all.len();
        for (report, _) in failed {
            let said = Said {
                policy: &outcome.policy,
                subject,
                rule: &report.result.rule,
                status: report.result.status.as_str(),
                message: &report.result.message,
                blocked: outcome.blocked,
                scan: false,
            };
            all.push(said.of_policy());
            if !outcome.blocked {
                all.push(said.of_object());
            }
        }
        let skipped = outcome.rules.iter().all(|(report, _)| report.result.status == Status::Skip);
        if all.len() == before && skipped {
            all.extend(
                outcome.rules.iter().flat_map(|(report, _)| excepted(&outcome.policy, subject, report)),
            );
        } else if all.len() == before && applied && !outcome.rules.is_empty() {
            let note = format!("{}: pass", named(subject));
            all.push(told(reference(&outcome.policy), Some(object(subject)), "PolicyApplied", PASSED, note));
        }
    }
    all
}

/// What an exception took out: an Event about it, and one about the policy. Without an exception there is none.
fn excepted(
    policy: &Origin,
    subject: &Subject,
    report: &meshward_policy::kyverno::policy::RuleReport,
) -> Vec<Told> {
    if report.exceptions.is_empty() {
        return Vec::new();
    }
    let key = match subject.namespace.as_str() {
        "" => format!("{}/{}", subject.kind, subject.name),
        namespace => format!("{}/{namespace}/{}", subject.kind, subject.name),
    };
    let rule = &report.result.rule;
    let mut all: Vec<Told> = report
        .exceptions
        .iter()
        .map(|exception| {
            let (namespace, name) = exception.split_once('/').unwrap_or(("", exception));
            let regarding = ObjectReference {
                api_version: Some("kyverno.io/v2".into()),
                kind: Some("PolicyException".into()),
                namespace: Some(namespace.to_owned()),
                name: Some(name.to_owned()),
                ..ObjectReference::default()
            };
            let note = format!("resource {key} was skipped from policy rule {}/{rule}", policy.key());
            told(regarding, Some(object(subject)), "PolicySkipped", PASSED, note)
        })
        .collect();
    let names = report.exceptions.join(", ");
    let note = format!("resource {key} was skipped from rule {rule} due to policy exceptions {names}");
    all.push(told(reference(policy), Some(object(subject)), "PolicySkipped", PASSED, note));
    all
}

/// The Events of new results in a report: what fails or cannot be decided.
pub fn of_news(news: &News, snapshot: &Snapshot) -> Vec<Told> {
    let grave = |line: &&Line| matches!(line.result.as_str(), "fail" | "error") && !line.is_of_admission();
    let mut all = Vec::new();
    for line in news.lines.iter().filter(grave) {
        let loaded = snapshot.policies.get(&line.policy);
        let policy = loaded.map(|loaded| loaded.origin.clone()).unwrap_or_default();
        let said = Said {
            policy: &policy,
            subject: &news.subject,
            rule: &line.rule,
            status: &line.result,
            message: &line.message,
            blocked: false,
            scan: true,
        };
        if loaded.is_some() {
            all.push(said.of_policy());
            all.push(said.of_object());
        } else {
            // Pod Security is asked for by labels: there is no policy that the Event could be about.
            let named = Origin { name: line.policy.clone(), ..Origin::default() };
            all.push(Said { policy: &named, ..said }.of_object());
        }
    }
    all
}

impl Said<'_> {
    fn reason(&self) -> &'static str {
        if self.status == "error" { "PolicyError" } else { "PolicyViolation" }
    }

    fn of_policy(&self) -> Told {
        let Said { rule, status, message, .. } = self;
        let blocked = if self.blocked { " (blocked)" } else { "" };
        let note = format!("{}: [{rule}] {status}{blocked}; {message}", named(self.subject));
        let action = if self.blocked { BLOCKED } else { PASSED };
        let told = told(reference(self.policy), Some(object(self.subject)), self.reason(), action, note);
        Told { scan: self.scan, ..told }
    }

    fn of_object(&self) -> Told {
        let Said { rule, status, message, .. } = self;
        let note = format!("policy {}/{rule} {status}: {message}", self.policy.name);
        let told = told(object(self.subject), None, self.reason(), PASSED, note);
        Told { scan: self.scan, ..told }
    }
}

fn told(
    regarding: ObjectReference,
    related: Option<ObjectReference>,
    reason: &'static str,
    action: &'static str,
    note: String,
) -> Told {
    let normal = matches!(reason, "PolicyApplied" | "PolicySkipped");
    let severity = if normal { Severity::Normal } else { Severity::Warning };
    let event = EventPlan { severity, reason, action, note: bounded(&note, LONGEST_NOTE) };
    Told { regarding, related, event, scan: false }
}

/// As Kyverno writes it: kind, and namespace and name.
fn named(subject: &Subject) -> String {
    match subject.namespace.as_str() {
        "" => format!("{} {}", subject.kind, subject.name),
        namespace => format!("{} {namespace}/{}", subject.kind, subject.name),
    }
}

fn object(subject: &Subject) -> ObjectReference {
    let Subject { api_version, kind, namespace, name, uid } = subject;
    of_texts([api_version, kind, namespace, name, uid])
}

fn reference(origin: &Origin) -> ObjectReference {
    let Origin { api_version, kind, namespace, name, uid, .. } = origin;
    of_texts([api_version, kind, namespace, name, uid])
}

fn of_texts(texts: [&String; 5]) -> ObjectReference {
    let [api_version, kind, namespace, name, uid] =
        texts.map(|text| Some(text.clone()).filter(|t| !t.is_empty()));
    ObjectReference { api_version, kind, namespace, name, uid, ..ObjectReference::default() }
}
