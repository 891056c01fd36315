//! The text of a denial, in Kyverno's form (`pkg/webhooks/utils/block.go`): people grep it, and tests compare it.

use std::collections::BTreeMap;

use meshward_manifest::to_yaml;
use meshward_policy::kyverno::policy::{Action, Status};
use serde_json::{Map, Value};

use super::Said;
use crate::observed::Subject;
use crate::review::Refusal;

/// Refuses with what the enforced rules said that did not pass.
pub(super) fn refusal(subject: Subject, said: &[Said]) -> Refusal {
    let mut failures: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for one in said {
        for (report, action) in &one.rules {
            let told = matches!(report.result.status, Status::Fail | Status::Error | Status::Warn);
            if told && *action == Action::Enforce {
                let rules = failures.entry(&one.loaded.origin.name).or_default();
                rules.insert(&report.result.rule, &report.result.message);
            }
        }
    }
    let text = |(rule, message): (&str, &str)| (rule.to_owned(), Value::from(message));
    let policy = |(name, rules): (&str, BTreeMap<&str, &str>)| {
        (name.to_owned(), Value::Object(rules.into_iter().map(text).collect()))
    };
    let yaml = to_yaml(&Value::Object(failures.into_iter().map(policy).collect::<Map<_, _>>()));
    let Subject { kind, namespace, name, .. } = subject;
    let message = format!(
        "\n\nresource {kind}/{namespace}/{name} was blocked due to the following policies \n\n{yaml}"
    );
    Refusal { code: 403, reason: "Forbidden", message, causes: Vec::new() }
}
