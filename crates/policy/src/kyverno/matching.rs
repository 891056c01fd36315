//! Which objects and requests a rule is about: `match` and `exclude`. A rule that silently matches nothing protects
//! nothing, so what does not match says why. Facts are those of Kyverno's `pkg/engine/utils/match.go` and
//! `pkg/utils/match`.

mod filter;
mod kind;
mod operations;
mod selector;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

pub use filter::Filter;
pub use kind::KindSelector;
pub use operations::Operations;
pub use selector::Selector;

/// Group, version and kind of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gvk {
    /// The group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

impl Gvk {
    /// Reads `apiVersion` and `kind` of an object; empty where they are missing.
    pub fn of(object: &Value) -> Gvk {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        Gvk { group: group.to_owned(), version: version.to_owned(), kind: text("kind").to_owned() }
    }
}

/// Who makes a request. Empty where nobody does, as in background scans.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// The user's name.
    pub username: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Namespaced roles, as `namespace:name`.
    pub roles: Vec<String>,
    /// Cluster roles.
    pub cluster_roles: Vec<String>,
    /// The user's unique name.
    pub uid: String,
}

/// Nobody in particular: who asks where no request does.
pub static NOBODY: UserInfo = UserInfo {
    username: String::new(),
    groups: Vec::new(),
    roles: Vec::new(),
    cluster_roles: Vec::new(),
    uid: String::new(),
};

/// What is matched: an object in a request.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The object; the old one for deletions.
    pub object: &'a Value,
    /// Its group, version and kind; of a subresource, those of the parent.
    pub gvk: &'a Gvk,
    /// The subresource, or empty.
    pub subresource: &'a str,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    /// The labels of the object's namespace, an object; null if unknown.
    pub namespace_labels: &'a Value,
    /// Who makes the request.
    pub user: &'a UserInfo,
}

impl<'a> Target<'a> {
    fn metadata(&self, name: &str) -> Option<&'a Value> {
        self.object.get("metadata")?.get(name)
    }

    /// The object's namespace; empty if it has none.
    pub fn namespace(&self) -> &'a str {
        self.metadata("namespace").and_then(Value::as_str).unwrap_or_default()
    }

    /// The object's name, or the beginning of the name that it will get.
    pub fn name(&self) -> &'a str {
        let text = |name| self.metadata(name).and_then(Value::as_str).filter(|name| !name.is_empty());
        text("name").or_else(|| text("generateName")).unwrap_or_default()
    }
}

/// Why a target is not matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Reason {
    PolicyNamespace,
    Empty,
    NoneOfAny,
    Operation,
    Kind,
    Name,
    Names,
    Namespace,
    Annotations,
    Selector,
    NamespaceSelector,
    NamespaceSelectorOnNamespace,
    Roles,
    ClusterRoles,
    Subjects,
    ExcludedByOne,
    ExcludedByAll,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::PolicyNamespace => "policy and resource namespaces mismatch",
            Reason::Empty => "match cannot be empty",
            Reason::NoneOfAny => "no resource matched",
            Reason::Operation => "operation does not match",
            Reason::Kind => "kind does not match",
            Reason::Name => "name does not match",
            Reason::Names => "none of the names match",
            Reason::Namespace => "namespace does not match",
            Reason::Annotations => "annotations does not match",
            Reason::Selector => "selector does not match",
            Reason::NamespaceSelector => "namespace selector does not match labels",
            Reason::NamespaceSelectorOnNamespace => {
                "namespace selector is not applicable for namespace resource"
            }
            Reason::Roles => "user info does not match roles for the given conditionBlock",
            Reason::ClusterRoles => "user info does not match clustersRoles for the given conditionBlock",
            Reason::Subjects => "user info does not match subject for the given conditionBlock",
            Reason::ExcludedByOne => "resource excluded since one of the criteria excluded it",
            Reason::ExcludedByAll => "resource excluded since the combination of all criteria exclude it",
        })
    }
}

/// A `match`, `exclude` or exception that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct MatchError {
    /// Where, such as `any[0].resources.kinds`.
    pub path: String,
    /// What was found and what is accepted.
    pub reason: String,
}

/// `match` or `exclude`: filters of which one or all must match.
#[derive(Debug, Clone)]
pub enum Block {
    /// `any`.
    Any(Vec<Filter>),
    /// `all`.
    All(Vec<Filter>),
    /// The old form: one filter.
    Direct(Box<Filter>),
}

impl Block {
    /// Reads a block.
    ///
    /// # Errors
    /// [`MatchError`] for an unknown field or a wrong type.
    pub fn parse(value: &Value) -> Result<Block, MatchError> {
        let Some(map) = value.as_object() else {
            return Err(MatchError {
                path: String::new(),
                reason: "wrong type, accepted: an object".to_owned(),
            });
        };
        let list = |name: &str| match map.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => {
                let parse = |(index, value)| Filter::parse(value, &format!("{name}[{index}]"), &[]);
                list.iter().enumerate().map(parse).collect()
            }
            Some(_) => Err(MatchError {
                path: name.to_owned(),
                reason: "wrong type, accepted: a list of filters".to_owned(),
            }),
        };
        let (any, all) = (list("any")?, list("all")?);
        match (any.is_empty(), all.is_empty()) {
            (false, false) => Err(MatchError {
                path: "any".to_owned(),
                reason: "both any and all are set, accepted: one of them".to_owned(),
            }),
            (false, true) => Ok(Block::Any(any)),
            (true, false) => Ok(Block::All(all)),
            (true, true) => {
                Filter::parse(value, "", &["any", "all"]).map(|filter| Block::Direct(Box::new(filter)))
            }
        }
    }

    /// The filters.
    pub fn filters(&self) -> &[Filter] {
        match self {
            Block::Any(filters) | Block::All(filters) => filters,
            Block::Direct(filter) => std::slice::from_ref(filter.as_ref()),
        }
    }

    /// Whether a rule with this `match` is about the target.
    ///
    /// # Errors
    /// The reasons why not, at least one.
    pub fn matches(&self, target: &Target<'_>) -> Result<(), Vec<Reason>> {
        let reasons: Vec<Reason> = match self {
            Block::Any(filters) if filters.iter().any(|filter| filter.matched(target).is_empty()) => {
                Vec::new()
            }
            Block::Any(_) => vec![Reason::NoneOfAny],
            Block::All(filters) => filters.iter().flat_map(|filter| filter.matched(target)).collect(),
            Block::Direct(filter) => filter.matched(target),
        };
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Whether a rule with this `match` is about the target, without reasons.
    pub fn is_about(&self, target: &Target<'_>) -> bool {
        match self {
            Block::Any(filters) => filters.iter().any(|filter| filter.holds(target)),
            Block::All(filters) => filters.iter().all(|filter| filter.holds(target)),
            Block::Direct(filter) => filter.holds(target),
        }
    }

    /// The operations on a kind, or a subresource of it, that a rule with this `match` can be about.
    pub(super) fn operations(&self, gvk: &Gvk, subresource: &str) -> Operations {
        let asked = |filter: &Filter| filter.asked(gvk, subresource);
        match self {
            Block::Any(filters) => filters.iter().map(asked).fold(Operations::NONE, Operations::or),
            Block::All(filters) => filters.iter().map(asked).fold(Operations::ALL, Operations::and),
            Block::Direct(filter) => asked(filter),
        }
    }

    /// The only namespaces that a rule with this `match` can be about; `None` if it does not name all of them in full.
    pub(super) fn namespaces(&self) -> Option<BTreeSet<&str>> {
        match self {
            Block::Any(filters) => {
                let each: Option<Vec<BTreeSet<&str>>> = filters.iter().map(Filter::namespaces).collect();
                Some(each?.into_iter().flatten().collect())
            }
            Block::All(filters) => filters.iter().find_map(Filter::namespaces),
            Block::Direct(filter) => filter.namespaces(),
        }
    }

    /// The operations on a kind that this `exclude` takes out whatever the object is.
    pub(super) fn excluded_operations(&self, gvk: &Gvk, subresource: &str) -> Operations {
        let excluded = |filter: &Filter| match filter.is_of_kinds_only() {
            true => filter.asked(gvk, subresource),
            false => Operations::NONE,
        };
        match self {
            Block::Any(filters) => filters.iter().map(excluded).fold(Operations::NONE, Operations::or),
            Block::All(filters) => filters.iter().map(excluded).fold(Operations::ALL, Operations::and),
            Block::Direct(filter) => excluded(filter),
        }
    }

    /// Why this `exclude` takes the target out; `None` if it does not. Empty filters exclude nothing.
    pub fn excludes(&self, target: &Target<'_>) -> Option<Reason> {
        let excluded = |filter: &Filter| !filter.is_empty() && filter.reasons(target).is_empty();
        match self {
            Block::Any(filters) => filters.iter().any(excluded).then_some(Reason::ExcludedByOne),
            Block::All(filters) => filters.iter().all(excluded).then_some(Reason::ExcludedByAll),
            Block::Direct(filter) => excluded(filter).then_some(Reason::ExcludedByOne),
        }
    }

    /// Whether an exception with this `match` is about the target. Unlike a rule's, it ignores operations, and a
    /// namespace selector says nothing about namespaces.
    pub fn excepts(&self, target: &Target<'_>) -> bool {
        let excepted = |filter: &Filter| !filter.is_empty() && filter.excepts(target);
        match self {
            Block::Any(filters) => filters.iter().any(excepted),
            Block::All(filters) => filters.iter().all(excepted),
            Block::Direct(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;
