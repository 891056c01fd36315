//! Whether a policy can be asked about objects that are there already, when nobody makes a request: one that asks who
//! makes it cannot (`pkg/validation/policy/background.go`).

use super::Policy;
use crate::kyverno::variables::expressions;
use serde_json::Value;

/// Variables about whoever makes a request.
const ABOUT_USERS: [&str; 5] = [
    "serviceAccountName",
    "serviceAccountNamespace",
    "request.userInfo",
    "request.roles",
    "request.clusterRoles",
];

impl Policy {
    /// Whether objects that are there already are checked: the policy is set to, no rule asks who makes a request, and no
    /// API server has to say first whether the policy is asked at all.
    pub fn in_background(&self) -> bool {
        self.settings.background && !self.asks_who && self.settings.match_conditions.is_empty()
    }

    /// Whether a rule matches by users or has variables about them.
    pub fn asks_who(&self) -> bool {
        self.asks_who
    }
}

/// Whether a rule, as JSON, is about who makes a request.
pub(super) fn asks_who(rule: &Value) -> bool {
    matches_users(rule) || has_user_variables(rule)
}

/// Whether a part of a policy has variables about who makes a request.
pub(super) fn has_user_variables(part: &Value) -> bool {
    let mut found = Vec::new();
    expressions(part, &mut found);
    found.iter().any(|expression| ABOUT_USERS.iter().any(|name| names(expression, name)))
}

/// Whether a rule matches or leaves out by users.
pub(super) fn matches_users(rule: &Value) -> bool {
    let blocks = ["match", "exclude"].into_iter().filter_map(|name| rule.get(name));
    let mut filters = blocks.flat_map(|block| {
        let lists = ["any", "all"].into_iter().filter_map(|name| block.get(name)?.as_array());
        std::iter::once(block).chain(lists.flatten())
    });
    filters.any(|filter| {
        let filled = |name| filter.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        ["roles", "clusterRoles", "subjects"].into_iter().any(filled)
    })
}

/// Whether an expression has a name as a word of its own, not as a member of something else.
fn names(expression: &str, name: &str) -> bool {
    expression.match_indices(name).any(|(at, _)| {
        let before = expression[..at].chars().next_back();
        let after = expression[at + name.len()..].chars().next();
        before != Some('.') && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::asks_who;
    use serde_json::json;

    #[test]
    fn rules_about_users_are_known() {
        let table = [
            (json!({"match": {"any": [{"resources": {"kinds": ["Pod"]}}]}}), false),
            (json!({"match": {"any": [{"subjects": [{"kind": "User", "name": "a"}]}]}}), true),
            (json!({"exclude": {"clusterRoles": ["admin"]}}), true),
            (json!({"exclude": {"clusterRoles": []}}), false),
            (json!({"validate": {"message": "by {{ request.userInfo.username }}"}}), true),
            (json!({"validate": {"message": "of {{request.object.spec.serviceAccountName}}"}}), false),
            (json!({"validate": {"message": "of {{serviceAccountName}}"}}), true),
            (json!({"validate": {"message": "of serviceAccountName"}}), false),
            (json!({"preconditions": {"all": [{"key": "{{ contains(request.roles, 'a') }}"}]}}), true),
            (json!({"preconditions": {"all": [{"key": "{{ request.rolesX }}"}]}}), false),
        ];
        for (rule, expected) in table {
            assert_eq!(asks_who(&rule), expected, "{rule}");
        }
    }
}
