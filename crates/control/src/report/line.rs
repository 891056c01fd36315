//! One result in a report, as the reports' API has it. It is read back as well, since a result that did not change keeps
//! its time.

use std::collections::BTreeMap;

use meshward_kit::events::bounded;
use meshward_policy::kyverno::policy::{RuleReport, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::LoadedPolicy;

/// The longest message. Kyverno has no bound; a message names every container, and a pod can have hundreds.
const LONGEST_MESSAGE: usize = 4096;
/// The longest value of a property.
const LONGEST_PROPERTY: usize = 2048;
/// The most properties of one result.
const MOST_PROPERTIES: usize = 32;

/// The property that says which of the two ways led to a result.
pub(super) const PROCESS: &str = "process";
pub(super) const ADMISSION: &str = "admission review";
pub(super) const BACKGROUND: &str = "background scan";

/// How much a violation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

/// A time as reports have it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Since 1970.
    #[serde(default)]
    pub seconds: i64,
    /// Always 0 in ours, as in Kyverno's.
    #[serde(default)]
    pub nanos: i32,
}

/// One result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Who says it: `kyverno` of a policy of Kyverno's kinds, `meshward` of Pod Security.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The policy; of a namespaced one, `namespace/name`.
    pub policy: String,
    /// The rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// The policy's category.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// The policy's severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// `pass`, `fail`, `warn`, `error` or `skip`.
    pub result: String,
    /// Whether a failure counts.
    #[serde(skip_serializing_if = "is_false")]
    pub scored: bool,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What else belongs to it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Moment>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Line {
    /// What makes two results the same one at different times.
    pub fn identity(&self) -> (&str, &str, &str) {
        (&self.policy, &self.rule, &self.source)
    }

    /// Whether two say the same, whenever they say it.
    pub fn says(&self, other: &Line) -> bool {
        let rest = |line: &Line| (line.severity, line.scored, line.category.clone(), line.message.clone());
        self.identity() == other.identity()
            && self.result == other.result
            && rest(self) == rest(other)
            && self.properties == other.properties
    }

    /// Whether it was found out by a request and cannot be found out again.
    pub fn is_of_admission(&self) -> bool {
        self.properties.get(PROCESS).is_some_and(|process| process == ADMISSION)
    }

    /// The same as found out by a request, whatever the policy is set to: one that asks who makes a request is never
    /// asked by the scan.
    #[must_use]
    pub fn of_admission(mut self) -> Self {
        self.properties.insert(PROCESS.to_owned(), ADMISSION.to_owned());
        self
    }

    /// Whether somebody should look.
    pub fn is_grave(&self) -> bool {
        matches!(self.result.as_str(), "fail" | "error" | "warn")
    }

    /// Cuts what is too long, so that no pod can make a report that the API server refuses.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.message = cut(&self.message, LONGEST_MESSAGE);
        while self.properties.len() > MOST_PROPERTIES {
            let last = self.properties.keys().rev().find(|name| *name != PROCESS).cloned();
            let Some(last) = last else { break };
            self.properties.remove(&last);
        }
        self.properties.values_mut().for_each(|text| *text = cut(text, LONGEST_PROPERTY));
        self
    }
}

/// Kyverno's messages have line breaks, which stay.
fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest { text.to_owned() } else { bounded(text, longest) }
}

/// The images of an object's containers, by the containers' names.
#[derive(Debug, Clone, Copy)]
pub struct PodImages<'a>(pub &'a Value);

impl PodImages<'_> {
    /// The image of a container, as it is written.
    pub fn of(self, container: &str) -> Option<String> {
        let bases = ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
        let specs = bases.into_iter().filter_map(|base| self.0.pointer(base));
        let lists = specs.flat_map(|spec| {
            let lists = ["initContainers", "containers", "ephemeralContainers"].into_iter();
            lists.filter_map(|list| spec.get(list)?.as_array())
        });
        let found = lists.flatten().find(|one| one.get("name").and_then(Value::as_str) == Some(container))?;
        Some(found.get("image")?.as_str()?.to_owned())
    }
}

/// What is told of a policy whose evaluation broke down: it is an error of ours, and the others go on.
pub fn of_panic(policy: &LoadedPolicy, panic: &str) -> Line {
    of_fault(policy, &format!("the evaluation broke down: {panic}"))
}

/// What is told of a policy that could not be asked.
pub fn of_fault(policy: &LoadedPolicy, why: &str) -> Line {
    Line {
        source: "kyverno".to_owned(),
        policy: policy.origin.key(),
        result: "error".to_owned(),
        scored: policy.policy.scored(),
        message: why.to_owned(),
        properties: [(PROCESS.to_owned(), BACKGROUND.to_owned())].into(),
        ..Line::default()
    }
    .bounded()
}

/// What a rule of a policy says, as Kyverno's reports have it.
pub fn of_rule(policy: &LoadedPolicy, report: &RuleReport, images: PodImages<'_>) -> Line {
    let annotation = |name: &str| policy.annotations.get(name).and_then(Value::as_str).unwrap_or_default();
    let scored = policy.policy.scored();
    let status = match report.result.status {
        Status::Fail if !scored => Status::Warn,
        status => status,
    };
    let settings = policy.policy.settings();
    let process = match (settings.background, settings.admission) {
        (true, _) => BACKGROUND,
        (false, true) => ADMISSION,
        (false, false) => "",
    };
    let mut properties: BTreeMap<String, String> = report.properties.iter().cloned().collect();
    properties.insert(PROCESS.to_owned(), process.to_owned());
    if !report.exceptions.is_empty() {
        // Kyverno tells their names without the namespace.
        let name = |key: &String| key.rsplit('/').next().unwrap_or(key).to_owned();
        let names: Vec<String> = report.exceptions.iter().map(name).collect();
        properties.insert("exceptions".to_owned(), names.join(","));
    }
    if let Some(standard) = &report.standard {
        let told = standard.properties(|container| images.of(container)).into_iter();
        properties.extend(told.map(|(name, text)| (name.to_owned(), text)));
    }
    Line {
        source: "kyverno".to_owned(),
        policy: policy.origin.key(),
        rule: report.result.rule.to_string(),
        category: annotation("policies.kyverno.io/category").to_owned(),
        severity: serde_json::from_value(annotation("policies.kyverno.io/severity").into()).ok(),
        result: status.as_str().to_owned(),
        scored,
        message: report.message().to_owned(),
        properties,
        timestamp: None,
    }
    .bounded()
}
