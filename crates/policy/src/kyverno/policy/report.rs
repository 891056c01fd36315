//! What policy reports and responses to requests need beside a rule's status and message.

use super::{Action, FailurePolicy, Policy, RuleResult, Status};
use crate::image::Image;
use crate::kyverno::matching::{Filter, KindSelector};
use crate::kyverno::pod_security::FailedControl;
use serde_json::{Value, json};

/// The result of one rule with its circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    /// The result.
    pub result: RuleResult,
    /// The exceptions that took the rule out, as `namespace/name`.
    pub exceptions: Vec<String>,
    /// The rule's `reportProperties`, with variables replaced where they have values.
    pub properties: Vec<(String, String)>,
    /// For podSecurity rules.
    pub standard: Option<Standard>,
}

impl RuleReport {
    /// The message for reports. The properties `passMessage`, `failMessage` and so on take the place of the rule's own,
    /// and `message` that of all.
    pub fn message(&self) -> &str {
        let property = |wanted: &str| {
            let own = self.properties.iter().find(|(name, text)| name == wanted && !text.is_empty());
            own.map(|(_, text)| text.as_str())
        };
        let of_status = match self.result.status {
            Status::Pass => "passMessage",
            Status::Fail => "failMessage",
            Status::Warn => "warnMessage",
            Status::Error => "errorMessage",
            Status::Skip => "skipMessage",
        };
        property("message").or_else(|| property(of_status)).unwrap_or(&self.result.message)
    }
}

/// What a podSecurity rule checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standard {
    /// The level as it is written.
    pub level: String,
    /// The version as it is written.
    pub version: String,
    /// The checks that fail after all exclusions.
    pub controls: Vec<FailedControl>,
}

impl Standard {
    /// What Kyverno's reports say about the failed checks: the properties `standard`, `version`, `controls` and
    /// `controlsJSON`; nothing if none failed. `image` finds a container's image by the container's name.
    pub fn properties(&self, image: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
        if self.controls.is_empty() {
            return Vec::new();
        }
        let ids: Vec<&str> = self.controls.iter().map(|control| control.id).collect();
        let controls: Vec<Value> = self
            .controls
            .iter()
            .map(|control| {
                let images: Vec<String> = control
                    .containers
                    .iter()
                    .filter_map(|name| image(name))
                    .map(|image| {
                        Image::parse(&image, "docker.io", true).map_or(image, |image| image.to_string())
                    })
                    .collect();
                let images = if images.is_empty() { Value::Null } else { json!(images) };
                json!({"ID": control.id, "Name": control.control, "Images": images})
            })
            .collect();
        vec![
            ("standard", self.level.clone()),
            ("version", self.version.clone()),
            ("controls", ids.join(",")),
            ("controlsJSON", json!(controls).to_string()),
        ]
    }
}

/// A rule's settings, for reports and lists.
#[derive(Debug, Clone)]
pub struct RuleInfo<'p> {
    /// The rule's name.
    pub name: &'p str,
    /// Its place in `spec.rules`; of a generated rule that of the one it was made from, as far as names tell.
    pub generated: bool,
    /// Whether requests of Kyverno's background controller are let through.
    pub skip_background_requests: bool,
    /// Whether objects that failed before may keep failing when they are updated.
    pub allow_existing_violations: bool,
}

impl Policy {
    /// The rules that are evaluated, generated ones last.
    pub fn rules(&self) -> impl Iterator<Item = RuleInfo<'_>> {
        let own = self.rules.iter().map(|rule| (rule, false));
        let generated = self.controllers.iter().chain(&self.cron_jobs).map(|rule| (rule, true));
        own.chain(generated).map(|(rule, generated)| RuleInfo {
            name: &rule.name,
            generated,
            skip_background_requests: rule.settings.skip_background_requests,
            allow_existing_violations: rule.allow_existing,
        })
    }

    /// The kinds of each filter of the rules' `match`, generated rules included; an empty list means every kind.
    pub fn kinds(&self) -> impl Iterator<Item = &[KindSelector]> {
        self.all_rules().flat_map(|rule| rule.matching.filters()).map(Filter::kinds)
    }

    /// What a failure of a rule leads to for an object of a namespace, whose labels are an object or null. A name that
    /// no rule has gets the policy's own action.
    pub fn action(&self, rule: &str, namespace: &str, labels: &Value) -> Action {
        let named = self.all_rules().find(|known| *known.name == *rule).or(self.rules.first());
        named.map_or(self.settings.action, |rule| rule.settings.action(&self.settings, namespace, labels))
    }

    /// Whether results of this policy refuse a request: a failure that is enforced, or an error under failure policy
    /// Fail.
    pub fn blocks(&self, results: &[RuleResult], namespace: &str, labels: &Value) -> bool {
        results.iter().any(|result| match result.status {
            Status::Fail => self.action(&result.rule, namespace, labels) == Action::Enforce,
            Status::Error => self.settings.failure_policy == FailurePolicy::Fail,
            Status::Pass | Status::Warn | Status::Skip => false,
        })
    }

    /// Warnings for the client, if the policy emits any: one for each rule that was not skipped.
    pub fn warnings(&self, results: &[RuleResult]) -> Vec<String> {
        if !self.settings.emit_warning {
            return Vec::new();
        }
        let told = results.iter().filter(|result| result.status != Status::Skip);
        told.map(|result| format!("policy {}.{}: {}", self.name, result.rule, result.message)).collect()
    }
}
