//! The settings of a policy that are not about what it checks: what a failure leads to, and when the policy is asked.

use super::PolicyError;
use crate::kyverno::matching::Selector;
use crate::wildcard;
use serde_json::{Map, Value};

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Action {
    /// It is reported.
    #[default]
    Audit,
    /// The request is refused.
    Enforce,
}

impl Action {
    /// The name in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Audit => "Audit",
            Action::Enforce => "Enforce",
        }
    }

    /// Reads one of the four ways to write it.
    ///
    /// # Errors
    /// [`PolicyError`] for anything else.
    pub(super) fn parse(value: &Value, path: &str) -> Result<Action, PolicyError> {
        match value.as_str() {
            Some("Audit" | "audit") => Ok(Action::Audit),
            Some("Enforce" | "enforce") => Ok(Action::Enforce),
            _ => Err(wrong(path, value, "Audit, Enforce")),
        }
    }
}

/// What happens to a request if a rule cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    Fail,
    /// It is let through.
    Ignore,
}

/// Another action for some namespaces.
#[derive(Debug, Clone)]
struct Override {
    action: Action,
    namespaces: Option<Vec<String>>,
    selector: Option<Selector>,
}

/// Actions by namespace; the first that fits counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides(Vec<Override>);

impl Overrides {
    /// Reads `failureActionOverrides` or `validationFailureActionOverrides`.
    pub(super) fn parse(value: Option<&Value>, path: &str) -> Result<Overrides, PolicyError> {
        let list = match value {
            None | Some(Value::Null) => return Ok(Overrides::default()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(wrong(path, other, "a list of action, namespaces, namespaceSelector")),
        };
        let parse = |(index, value): (usize, &Value)| {
            let at = |name: &str| format!("{path}[{index}].{name}");
            let member = |name: &str| value.get(name).filter(|value| !value.is_null());
            let action = member("action").map(|value| Action::parse(value, &at("action"))).transpose()?;
            let namespaces = match member("namespaces") {
                None => None,
                Some(list) => {
                    Some(texts(list).ok_or_else(|| wrong(&at("namespaces"), list, "a list of texts"))?)
                }
            };
            let selector = member("namespaceSelector").map(|selector| {
                Selector::parse(selector, &at("namespaceSelector"))
                    .map_err(|error| PolicyError { path: error.path, reason: error.reason })
            });
            Ok(action.map(|action| (action, namespaces, selector))).and_then(|found| match found {
                None => Ok(None),
                Some((action, namespaces, selector)) => {
                    Ok(Some(Override { action, namespaces, selector: selector.transpose()? }))
                }
            })
        };
        let parsed: Result<Vec<_>, PolicyError> = list.iter().enumerate().map(parse).collect();
        // One without an action changes nothing.
        Ok(Overrides(parsed?.into_iter().flatten().collect()))
    }

    /// The action for a namespace; `None` if no override is about it.
    fn action(&self, namespace: &str, labels: &Value) -> Option<Action> {
        let selected = |one: &Override| one.selector.as_ref().is_none_or(|selector| selector.matches(labels));
        let named = |one: &Override| {
            let names = one.namespaces.as_ref();
            names.is_none_or(|names| names.iter().any(|name| wildcard::matches(name, namespace)))
        };
        self.0.iter().find(|one| named(one) && selected(one)).map(|one| one.action)
    }
}

/// The settings of a policy.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `validationFailureAction`; Audit if it is not set.
    pub action: Action,
    /// Whether requests are checked.
    pub admission: bool,
    /// Whether objects that exist already are checked.
    pub background: bool,
    /// What an error of a rule means for a request.
    pub failure_policy: FailurePolicy,
    /// How long the webhook may take, in seconds; 10 where it is not set.
    pub timeout_seconds: Option<i32>,
    /// Whether failures that do not block are told to the client as warnings.
    pub emit_warning: bool,
    /// Whether patterns are checked against the schema of what they are about; told, not done here.
    pub schema_validation: bool,
    /// `webhookConfiguration.matchConditions`, each with `name` and `expression`: in CEL, by which the API server decides
    /// whether the policy is asked at all.
    pub match_conditions: Vec<Value>,
    pub(super) overrides: Overrides,
}

impl Settings {
    /// Reads them from a policy's `spec`; everything that is wrong is added to `errors`.
    pub(super) fn parse(spec: &Value, errors: &mut Vec<PolicyError>) -> Settings {
        let webhook = spec.get("webhookConfiguration").unwrap_or(&Value::Null);
        let mut flag = |name: &str, default: bool| match spec.get(name) {
            None | Some(Value::Null) => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                errors.push(wrong(&format!("spec.{name}"), other, "true, false"));
                default
            }
        };
        let (admission, background) = (flag("admission", true), flag("background", true));
        let (emit_warning, schema_validation) = (flag("emitWarning", false), flag("schemaValidation", true));
        if !admission && !background {
            errors.push(PolicyError {
                path: "spec.admission".to_owned(),
                reason: "admission and background are both off, so that the policy is never asked, accepted: one of \
                         them off"
                    .to_owned(),
            });
        }
        let mut keep = |found: Result<Action, PolicyError>| found.map_err(|error| errors.push(error)).ok();
        let action = present(spec, "validationFailureAction")
            .and_then(|value| keep(Action::parse(value, "spec.validationFailureAction")))
            .unwrap_or_default();
        let path = "spec.validationFailureActionOverrides";
        let overrides = Overrides::parse(spec.get("validationFailureActionOverrides"), path)
            .map_err(|error| errors.push(error))
            .unwrap_or_default();
        if let Some(value) =
            present(spec, "applyRules").filter(|v| !matches!(v.as_str(), Some("All" | "One")))
        {
            errors.push(wrong("spec.applyRules", value, "All, One"));
        }
        let failure_policy = failure_policy(spec, webhook, errors);
        let seconds = present(webhook, "timeoutSeconds").or_else(|| present(spec, "webhookTimeoutSeconds"));
        let timeout_seconds =
            seconds.and_then(|value| (1..=30).find(|n| value.as_f64() == Some(f64::from(*n))));
        if let Some(value) = seconds.filter(|_| timeout_seconds.is_none()) {
            errors.push(wrong("spec.webhookConfiguration.timeoutSeconds", value, "1 to 30"));
        }
        Settings {
            action,
            admission,
            background,
            failure_policy,
            timeout_seconds,
            emit_warning,
            schema_validation,
            match_conditions: match_conditions(webhook, errors),
            overrides,
        }
    }
}

/// The most that the API server takes (`k8s.io/apiserver` `validateMatchConditions`).
const MOST_CONDITIONS: usize = 64;

fn match_conditions(webhook: &Value, errors: &mut Vec<PolicyError>) -> Vec<Value> {
    let path = "spec.webhookConfiguration.matchConditions";
    let list = match present(webhook, "matchConditions") {
        None => return Vec::new(),
        Some(Value::Array(list)) if list.len() <= MOST_CONDITIONS => list,
        Some(other) => {
            errors.push(wrong(path, other, "a list of at most 64, each with name and expression"));
            return Vec::new();
        }
    };
    for (index, condition) in list.iter().enumerate() {
        let text =
            |name: &str| condition.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        for name in ["name", "expression"].into_iter().filter(|name| text(name).is_none()) {
            errors.push(wrong(&format!("{path}[{index}].{name}"), &condition[name], "a text"));
        }
        let before = list[..index].iter().any(|other| other.get("name") == condition.get("name"));
        if before {
            errors.push(wrong(&format!("{path}[{index}].name"), &condition["name"], "a name of its own"));
        }
    }
    let plain = |one: &Value| serde_json::json!({"name": one["name"], "expression": one["expression"]});
    list.iter().map(plain).collect()
}

fn failure_policy(spec: &Value, webhook: &Value, errors: &mut Vec<PolicyError>) -> FailurePolicy {
    let newer = present(webhook, "failurePolicy").map(|v| (v, "spec.webhookConfiguration.failurePolicy"));
    let found = newer.or_else(|| present(spec, "failurePolicy").map(|v| (v, "spec.failurePolicy")));
    match found.map(|(value, path)| (value.as_str(), value, path)) {
        None | Some((Some("Fail"), ..)) => FailurePolicy::Fail,
        Some((Some("Ignore"), ..)) => FailurePolicy::Ignore,
        Some((_, value, path)) => {
            errors.push(wrong(path, value, "Fail, Ignore"));
            FailurePolicy::Fail
        }
    }
}

/// The settings of a rule.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleSettings {
    /// The rule's own action.
    action: Option<Action>,
    overrides: Overrides,
    /// Whether requests of Kyverno's own background controller are let through.
    pub(super) skip_background_requests: bool,
    /// Further properties of its results, with variables.
    pub(super) report_properties: Map<String, Value>,
}

impl RuleSettings {
    pub(super) fn parse(
        rule: &Map<String, Value>,
        validate: &Map<String, Value>,
        path: &str,
    ) -> Result<RuleSettings, PolicyError> {
        let at = |name: &str| format!("{path}.validate.{name}");
        let action = validate.get("failureAction").filter(|value| !value.is_null());
        let properties = match rule.get("reportProperties") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) if map.values().all(Value::is_string) => map.clone(),
            Some(other) => {
                return Err(wrong(&format!("{path}.reportProperties"), other, "an object of texts"));
            }
        };
        Ok(RuleSettings {
            action: action.map(|value| Action::parse(value, &at("failureAction"))).transpose()?,
            overrides: Overrides::parse(
                validate.get("failureActionOverrides"),
                &at("failureActionOverrides"),
            )?,
            skip_background_requests: rule.get("skipBackgroundRequests") != Some(&Value::Bool(false)),
            report_properties: properties,
        })
    }

    /// What a failure leads to in a namespace: the rule's overrides, its action, the policy's overrides, its action.
    pub(super) fn action(&self, policy: &Settings, namespace: &str, labels: &Value) -> Action {
        self.overrides
            .action(namespace, labels)
            .or(self.action)
            .or_else(|| policy.overrides.action(namespace, labels))
            .unwrap_or(policy.action)
    }

    /// The action without overrides: only where it is Enforce are violations looked for that were there before.
    pub(super) fn plain_action(&self, policy: &Settings) -> Action {
        self.action.unwrap_or(policy.action)
    }
}

/// A member that is not null.
pub(super) fn present<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|value| !value.is_null())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn wrong(path: &str, found: &Value, accepted: &str) -> PolicyError {
    PolicyError { path: path.to_owned(), reason: format!("found {found}, accepted: {accepted}") }
}

#[cfg(test)]
mod tests;
