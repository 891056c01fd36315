//! One object and one policy, with everything that the files around them say: the one way in which `apply` and `test`
//! reach the engine.

use std::borrow::Cow;

use meshward_policy::kyverno::matching::{Gvk, UserInfo};
use meshward_policy::kyverno::policy::{Exception, Input, RuleReport, RuleResult, Status, with_variables};
use serde_json::Value;

use super::cluster::Cluster;
use super::policies::Loaded;
use super::resource::{list, text};
use super::values::{Values, Variables};
use meshward_kit::machine::Machine;

/// What evaluations have in common.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Values for variables.
    pub(crate) values: Values,
    /// Who asks.
    pub(crate) user: UserInfo,
    /// Exceptions, from wherever they are.
    pub(crate) exceptions: Vec<Exception>,
    /// Answers for context entries.
    pub(crate) cluster: Cluster,
    /// Whether results are wanted with everything that reports say about them.
    pub(crate) reports: bool,
}

/// How the rules of a policy are called that are made from this one.
pub(crate) fn is_of_rule(name: &str, rule: &str) -> bool {
    let own = name.strip_prefix("autogen-cronjob-").or_else(|| name.strip_prefix("autogen-"));
    name == rule || own == Some(rule)
}

impl Session {
    /// What the rules of a policy say about an object. Failures of a policy that is not scored are warnings.
    pub(crate) fn evaluate(
        &self,
        loaded: &Loaded,
        object: &Value,
        operation: Option<&str>,
    ) -> Vec<RuleReport> {
        let variables = match self.values.has_variables() {
            true => self.values.variables(&loaded.name, text(object, "/metadata/name")),
            false => Vec::new(),
        };
        let special = self.values.rules(&loaded.name);
        let mut results = self.run(loaded, object, operation, &variables);
        if !special.is_empty() {
            // Rules that have variables of their own are evaluated with them; the order of the rules stays.
            for (rule, own) in special {
                let both: Variables = variables.iter().chain(own).cloned().collect();
                let again = self.run(loaded, object, operation, &both);
                results.retain(|report| !is_of_rule(&report.result.rule, rule));
                results.extend(again.into_iter().filter(|report| is_of_rule(&report.result.rule, rule)));
            }
            let order: Vec<&str> = loaded.policy.rule_names().collect();
            results.sort_by_key(|report| order.iter().position(|name| *name == &*report.result.rule));
        }
        for RuleReport { result, .. } in &mut results {
            if result.status == Status::Error {
                self.explain_error(loaded, result);
            }
            if result.status == Status::Fail && !loaded.policy.scored() {
                result.status = Status::Warn;
            }
        }
        results
    }

    fn run(
        &self,
        loaded: &Loaded,
        object: &Value,
        operation: Option<&str>,
        variables: &Variables,
    ) -> Vec<RuleReport> {
        let given = variables.iter().rev().find(|(name, _)| name == "request.operation");
        let given = given.and_then(|(_, value)| value.as_str());
        let operation = operation.or(given).unwrap_or("CREATE");
        let changed = |name: &str| -> Cow<'_, Value> {
            let prefix = format!("request.{name}.");
            match variables.iter().any(|(variable, _)| variable.starts_with(&prefix)) {
                true => Cow::Owned(with_variables(object, name, variables)),
                false => Cow::Borrowed(object),
            }
        };
        let (new, old) = match operation {
            "DELETE" => (Cow::Owned(Value::Null), changed("oldObject")),
            // Offline there is no other object that it could have been before.
            "UPDATE" => (changed("object"), changed("oldObject")),
            _ => (changed("object"), Cow::Owned(Value::Null)),
        };
        let own = Gvk::of(object);
        let parent = self.values.parent(&own);
        let input = Input {
            object: &new,
            old_object: &old,
            operation,
            gvk: parent.map(|(gvk, _)| gvk),
            subresource: parent.map_or("", |(_, name)| name),
            namespace_labels: self.labels(text(object, "/metadata/namespace")),
            user: &self.user,
            request: &Value::Null,
            variables,
            exceptions: &self.exceptions,
            lookup: &self.cluster,
            environment: &Machine,
        };
        if self.reports {
            return loaded.policy.report(&input);
        }
        let bare =
            |result| RuleReport { result, exceptions: Vec::new(), properties: Vec::new(), standard: None };
        loaded.policy.evaluate(&input).into_iter().map(bare).collect()
    }

    /// The labels of a namespace, from the values or from an object.
    pub(crate) fn labels(&self, namespace: &str) -> &Value {
        match self.values.labels(namespace) {
            Value::Null => self.cluster.namespace_labels(namespace).unwrap_or(&Value::Null),
            labels => labels,
        }
    }

    /// An error about a variable that a context entry would have set says where its value can be given.
    fn explain_error(&self, loaded: &Loaded, result: &mut RuleResult) {
        let rules = list(&loaded.document["spec"]["rules"]);
        let Some(rule) = rules.into_iter().find(|rule| is_of_rule(&result.rule, text(rule, "/name"))) else {
            return;
        };
        let mut entries = Vec::new();
        context_entries(rule, &mut entries);
        let wanted =
            entries.iter().find(|(name, _)| result.message.contains(&format!("Unknown key \"{name}\"")));
        if let Some((name, source)) = wanted {
            result.message.push_str(&format!(
                "; nothing answers for {source} here: give policies[name={}].rules[name={}].values.{name} in a values \
                 file",
                loaded.name,
                text(rule, "/name"),
            ));
        }
    }
}

/// Names of context entries that need an answer from outside, wherever they are in a rule, with their sources.
fn context_entries<'v>(value: &'v Value, found: &mut Vec<(&'v str, &'static str)>) {
    match value {
        Value::Object(map) => {
            for entry in map.get("context").into_iter().flat_map(list) {
                let sources = ["configMap", "apiCall", "globalReference", "imageRegistry"];
                let source = sources.into_iter().find(|source| entry.get(source).is_some());
                found.extend(source.map(|source| (text(entry, "/name"), source)));
            }
            map.values().for_each(|value| context_entries(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| context_entries(value, found)),
        _ => {}
    }
}
