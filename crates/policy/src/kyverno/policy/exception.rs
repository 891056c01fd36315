//! `PolicyException` of kyverno.io: takes rules, or controls of podSecurity rules, out for some objects.

use super::PolicyError;
use crate::go::print::untyped;
use crate::kyverno::conditions::Conditions;
use crate::kyverno::matching::{Block, Target};
use crate::kyverno::pod_security::{Exclusion, parse_exclusions};
use crate::kyverno::variables::Data;
use crate::wildcard;
use serde_json::Value;

/// A compiled exception.
#[derive(Debug, Clone)]
pub struct Exception {
    key: String,
    matching: Block,
    conditions: Conditions,
    rules: Vec<(String, Vec<String>)>,
    exclusions: Vec<Exclusion>,
    background: bool,
}

impl Exception {
    /// Reads an exception.
    ///
    /// # Errors
    /// [`PolicyError`] for the first thing that is wrong with it.
    pub fn parse(document: &Value) -> Result<Exception, PolicyError> {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let wrong = |path: String, reason: String| PolicyError { path, reason };
        if !text("/apiVersion").starts_with("kyverno.io/") || text("/kind") != "PolicyException" {
            let found = format!("found {} {}", text("/apiVersion"), text("/kind"));
            return Err(wrong(
                "kind".to_owned(),
                format!("{found}, accepted: PolicyException of kyverno.io"),
            ));
        }
        let spec = document.get("spec").cloned().map(untyped).unwrap_or_default();
        let member = |name: &str| spec.get(name).unwrap_or(&Value::Null);
        let matching = Block::parse(member("match"))
            .map_err(|error| wrong(format!("spec.match.{}", error.path), error.reason))?;
        let conditions = Conditions::parse(member("conditions"))
            .map_err(|error| wrong(format!("spec.conditions.{}", error.path), error.reason))?;
        let exclusions = parse_exclusions(member("podSecurity"), "podSecurity")
            .map_err(|error| wrong(format!("spec.{}", error.path), error.reason))?;
        let rules = member("exceptions").as_array().map(|list| list.iter().map(rules).collect());
        let rules: Option<Vec<_>> = rules.flatten();
        let rules = rules.ok_or_else(|| {
            wrong("spec.exceptions".to_owned(), "accepted: a list of policyName and ruleNames".to_owned())
        })?;
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let key = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let background = member("background") != &Value::Bool(false);
        Ok(Exception { key, matching, conditions, rules, exclusions, background })
    }

    /// `namespace/name`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it counts when objects are checked that are there already.
    pub fn in_background(&self) -> bool {
        self.background
    }

    /// What it takes out of podSecurity rules; if empty, it takes out the whole rule.
    pub fn exclusions(&self) -> &[Exclusion] {
        &self.exclusions
    }

    /// The policies that it names (`namespace/name` of a namespaced one), each with its patterns for names of rules.
    pub fn rules(&self) -> &[(String, Vec<String>)] {
        &self.rules
    }

    /// Whether it names a rule of a policy. A condition that cannot be decided does not hold.
    pub(super) fn applies(&self, policy: &str, rule: &str, target: &Target<'_>, data: &mut dyn Data) -> bool {
        let names = |(named, rules): &(String, Vec<String>)| {
            named == policy && rules.iter().any(|pattern| wildcard::matches(pattern, rule))
        };
        self.rules.iter().any(names)
            && self.matching.excepts(target)
            && self.conditions.evaluate(data).is_ok_and(|verdict| verdict.holds)
    }
}

fn rules(value: &Value) -> Option<(String, Vec<String>)> {
    let names = value.get("ruleNames")?.as_array()?;
    let names = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    Some((value.get("policyName")?.as_str()?.to_owned(), names))
}
