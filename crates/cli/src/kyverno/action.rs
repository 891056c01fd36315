//! Whether a violation of a policy blocks or is only reported: Kyverno's `GetValidationFailureAction`, one answer for the
//! whole policy and a namespace. `--audit-warn` asks for it.

use meshward_policy::kyverno::matching::Selector;
use meshward_policy::wildcard;
use serde_json::Value;

use super::resource::{list, text};

/// Where a policy says what a violation does, in the order it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Action {
    /// Overrides of each rule, then its own word.
    rules: Vec<(Vec<Override>, Option<bool>)>,
    overrides: Vec<Override>,
    enforces: bool,
}

#[derive(Debug, Clone)]
struct Override {
    enforces: bool,
    namespaces: Vec<String>,
    selector: Option<Selector>,
}

impl Action {
    /// Reads it from a policy.
    pub(crate) fn of(policy: &Value) -> Self {
        let spec = &policy["spec"];
        let rules = list(&spec["rules"]).map(|rule| {
            let validate = &rule["validate"];
            let own = validate["failureAction"].as_str().map(enforces);
            (overrides(&validate["failureActionOverrides"]), own)
        });
        Self {
            rules: rules.collect(),
            overrides: overrides(&spec["validationFailureActionOverrides"]),
            enforces: enforces(text(spec, "/validationFailureAction")),
        }
    }

    /// Whether a violation in this namespace is only reported.
    pub(crate) fn audits(&self, namespace: &str, labels: &Value) -> bool {
        let one = |overrides: &[Override]| {
            overrides.iter().find(|one| one.is_about(namespace, labels)).map(|one| one.enforces)
        };
        let of_rules = self.rules.iter().find_map(|(overrides, own)| one(overrides).or(*own));
        !of_rules.or_else(|| one(&self.overrides)).unwrap_or(self.enforces)
    }
}

impl Override {
    fn is_about(&self, namespace: &str, labels: &Value) -> bool {
        let named = self.namespaces.is_empty()
            || self.namespaces.iter().any(|pattern| wildcard::matches(pattern, namespace));
        named && self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
    }
}

fn enforces(action: &str) -> bool {
    action.eq_ignore_ascii_case("enforce")
}

fn overrides(value: &Value) -> Vec<Override> {
    let read = |value: &Value| {
        let selector = &value["namespaceSelector"];
        Override {
            enforces: enforces(text(value, "/action")),
            namespaces: list(&value["namespaces"]).filter_map(Value::as_str).map(str::to_owned).collect(),
            selector: (!selector.is_null()).then(|| Selector::parse(selector, "").ok()).flatten(),
        }
    };
    list(value).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_rule_that_says_it_decides_for_the_policy() {
        let rule = |action: &str| json!({"name": "r", "validate": {"failureAction": action}});
        let audits = |policy: &Value| Action::of(policy).audits("shop", &Value::Null);
        assert!(audits(&json!({"spec": {"rules": [{"validate": {}}]}})));
        assert!(!audits(&json!({"spec": {"validationFailureAction": "enforce", "rules": []}})));
        assert!(audits(&json!({"spec": {"rules": [rule("Audit"), rule("Enforce")]}})));
        let overrides = json!([{"action": "Enforce", "namespaces": ["sh*"]}]);
        let policy = json!({"spec": {"validationFailureActionOverrides": overrides, "rules": []}});
        assert!(!audits(&policy));
        assert!(Action::of(&policy).audits("bank", &Value::Null));
    }
}
