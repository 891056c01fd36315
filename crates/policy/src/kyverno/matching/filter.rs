//! One filter: all of its attributes must match, of each attribute one element.

use super::{Gvk, KindSelector, MatchError, NOBODY, Operations, Reason, Selector, Target, UserInfo};
use crate::wildcard;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A filter of a `match` or `exclude`.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    kinds: Vec<KindSelector>,
    name: String,
    names: Vec<String>,
    namespaces: Vec<String>,
    annotations: Vec<(String, String)>,
    selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    operations: Vec<String>,
    user: Users,
}

#[derive(Debug, Clone, Default)]
struct Users {
    roles: Vec<String>,
    cluster_roles: Vec<String>,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone)]
enum Subject {
    User(String),
    Group(String),
    /// Of no kind that can match.
    Other,
}

/// Whether a part of a filter fits, and the reason that is told if it does not.
type Check = (Reason, fn(&Filter, &Target<'_>) -> bool);

/// What of the description of an object must fit, in the order in which reasons are told.
const CHECKS: [Check; 6] = [
    (Reason::Kind, Filter::of_kind),
    (Reason::Name, Filter::of_name),
    (Reason::Names, Filter::one_of_names),
    (Reason::Namespace, Filter::in_namespaces),
    (Reason::Annotations, Filter::annotated),
    (Reason::Selector, Filter::selected),
];

impl Filter {
    /// Reads a filter: `resources`, `roles`, `clusterRoles`, `subjects`. Fields in `other` belong to something else.
    ///
    /// # Errors
    /// [`MatchError`] for an unknown field or a wrong type.
    pub fn parse(value: &Value, path: &str, other: &[&str]) -> Result<Filter, MatchError> {
        let at = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let map = value.as_object().ok_or_else(|| wrong(path, "an object"))?;
        let mut filter = Filter::default();
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let place = at(name);
            match name.as_str() {
                "resources" => filter.read_resources(object(value, &place)?, &place)?,
                "roles" => filter.user.roles = texts(value, &place)?,
                "clusterRoles" => filter.user.cluster_roles = texts(value, &place)?,
                "subjects" => filter.user.subjects = subjects(value, &place)?,
                name if other.contains(&name) => {}
                _ => return Err(unknown(&place, "resources, roles, clusterRoles, subjects")),
            }
        }
        Ok(filter)
    }

    fn read_resources(&mut self, map: &Map<String, Value>, path: &str) -> Result<(), MatchError> {
        for (name, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let place = format!("{path}.{name}");
            match name.as_str() {
                "kinds" => {
                    let kinds = texts(value, &place)?;
                    self.kinds = kinds.iter().map(|kind| KindSelector::parse(kind)).collect();
                }
                "name" => self.name = value.as_str().ok_or_else(|| wrong(&place, "text"))?.to_owned(),
                "names" => self.names = texts(value, &place)?,
                "namespaces" => self.namespaces = texts(value, &place)?,
                "operations" => self.operations = texts(value, &place)?,
                "annotations" => {
                    for (key, value) in object(value, &place)? {
                        let value = value.as_str().ok_or_else(|| wrong(&format!("{place}.{key}"), "text"))?;
                        self.annotations.push((key.clone(), value.to_owned()));
                    }
                }
                "selector" => self.selector = Some(Selector::parse(value, &place)?),
                "namespaceSelector" => self.namespace_selector = Some(Selector::parse(value, &place)?),
                _ => {
                    return Err(unknown(
                        &place,
                        "kinds, name, names, namespaces, annotations, selector, namespaceSelector, operations",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The kinds it is about; none: every kind.
    pub fn kinds(&self) -> &[KindSelector] {
        &self.kinds
    }

    /// The only namespaces that it can match; `None` if it does not name all of them in full.
    pub(super) fn namespaces(&self) -> Option<BTreeSet<&str>> {
        let names = || self.namespaces.iter().map(String::as_str);
        let bounded = !self.namespaces.is_empty() && !names().any(wildcard::is_pattern);
        bounded.then(|| names().collect())
    }

    /// The operations on a kind, or a subresource of it, that it can match.
    pub(super) fn asked(&self, gvk: &Gvk, subresource: &str) -> Operations {
        let meant = self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.asks(gvk, subresource));
        match meant && !self.is_empty() {
            true if self.operations.is_empty() => Operations::ALL,
            true => Operations::of(self.operations.iter().map(String::as_str)),
            false => Operations::NONE,
        }
    }

    /// Whether it is about nothing but kinds and operations.
    pub(super) fn is_of_kinds_only(&self) -> bool {
        let rest = Filter { kinds: Vec::new(), operations: Vec::new(), ..self.clone() };
        rest.is_empty() && !self.is_empty()
    }

    fn describes_nothing(&self) -> bool {
        self.kinds.is_empty()
            && self.name.is_empty()
            && self.names.is_empty()
            && self.namespaces.is_empty()
            && self.annotations.is_empty()
            && self.selector.is_none()
            && self.namespace_selector.is_none()
            && self.operations.is_empty()
    }

    /// Whether the filter has no attribute.
    pub fn is_empty(&self) -> bool {
        self.describes_nothing() && self.user.is_empty()
    }

    /// Whether a `match` with this filter is about the target: [`Filter::matched`] without the reasons, which almost
    /// nobody asks for.
    pub(super) fn holds(&self, target: &Target<'_>) -> bool {
        let nobody = *target.user == NOBODY;
        if self.describes_nothing() && (nobody || self.user.is_empty()) {
            return false;
        }
        self.asks_for(target)
            && CHECKS.iter().all(|(_, fits)| fits(self, target))
            && self.other_namespace(target).is_none()
            && (nobody || self.user.lacks(target.user).next().is_none())
    }

    /// Why a `match` with this filter is not about the target. Where nobody makes the request, users do not count.
    pub(super) fn matched(&self, target: &Target<'_>) -> Vec<Reason> {
        let nobody = *target.user == NOBODY;
        if self.describes_nothing() && (nobody || self.user.is_empty()) {
            return vec![Reason::Empty];
        }
        let mut reasons = self.object_reasons(target);
        if !nobody && reasons != [Reason::Operation] {
            reasons.extend(self.user.lacks(target.user));
        }
        reasons
    }

    /// Why the filter does not match.
    pub(super) fn reasons(&self, target: &Target<'_>) -> Vec<Reason> {
        let mut reasons = self.object_reasons(target);
        reasons.extend(self.user.lacks(target.user));
        reasons
    }

    fn object_reasons(&self, target: &Target<'_>) -> Vec<Reason> {
        if !self.asks_for(target) {
            return vec![Reason::Operation];
        }
        self.described(target).chain(self.other_namespace(target)).collect()
    }

    fn asks_for(&self, target: &Target<'_>) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|o| o == target.operation)
    }

    /// Why its namespace selector is not about the target's namespace.
    fn other_namespace(&self, target: &Target<'_>) -> Option<Reason> {
        let selector = self.namespace_selector.as_ref().filter(|_| !target.gvk.kind.is_empty())?;
        match object_kind(target) {
            "Namespace" => Some(Reason::NamespaceSelectorOnNamespace),
            _ => (!selector.matches(target.namespace_labels)).then_some(Reason::NamespaceSelector),
        }
    }

    /// Whether an exception with this filter matches.
    pub(super) fn excepts(&self, target: &Target<'_>) -> bool {
        let namespace = self.namespace_selector.as_ref().is_none_or(|selector| {
            matches!(object_kind(target), "Namespace" | "") || selector.matches(target.namespace_labels)
        });
        namespace && self.described(target).chain(self.user.lacks(target.user)).next().is_none()
    }

    /// What of its description of an object does not fit.
    fn described<'f>(&'f self, target: &'f Target<'_>) -> impl Iterator<Item = Reason> + 'f {
        CHECKS.iter().filter(|(_, fits)| !fits(self, target)).map(|(reason, _)| *reason)
    }

    fn of_kind(&self, target: &Target<'_>) -> bool {
        let kind = |kind: &KindSelector| kind.matches(target.gvk, target.subresource);
        self.kinds.is_empty() || self.kinds.iter().any(kind)
    }

    fn of_name(&self, target: &Target<'_>) -> bool {
        self.name.is_empty() || wildcard::matches(&self.name, target.name())
    }

    fn one_of_names(&self, target: &Target<'_>) -> bool {
        self.names.is_empty() || any(&self.names, target.name())
    }

    fn in_namespaces(&self, target: &Target<'_>) -> bool {
        let namespace = || match object_kind(target) {
            "Namespace" => target.metadata("name").and_then(Value::as_str).unwrap_or_default(),
            _ => target.namespace(),
        };
        self.namespaces.is_empty() || any(&self.namespaces, namespace())
    }

    fn selected(&self, target: &Target<'_>) -> bool {
        let labels = || target.metadata("labels").unwrap_or(&Value::Null);
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels()))
    }

    fn annotated(&self, target: &Target<'_>) -> bool {
        if self.annotations.is_empty() {
            return true;
        }
        let annotations = target.metadata("annotations").and_then(Value::as_object);
        self.annotations.iter().all(|(key, value)| {
            annotations.is_some_and(|annotations| {
                annotations.iter().any(|(k, v)| {
                    wildcard::matches(key, k) && v.as_str().is_some_and(|v| wildcard::matches(value, v))
                })
            })
        })
    }
}

fn object_kind<'a>(target: &Target<'a>) -> &'a str {
    target.object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

impl Users {
    fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.cluster_roles.is_empty() && self.subjects.is_empty()
    }

    /// What a user is not.
    fn lacks<'f>(&'f self, user: &'f UserInfo) -> impl Iterator<Item = Reason> + 'f {
        let none = |wanted: &[String], found: &[String]| {
            !wanted.is_empty() && !wanted.iter().any(|role| found.contains(role))
        };
        let is_user = |subject: &Subject| match subject {
            Subject::User(name) => wildcard::matches(name, &user.username),
            Subject::Group(name) => user.groups.iter().any(|group| wildcard::matches(name, group)),
            Subject::Other => false,
        };
        let lacking = [
            none(&self.roles, &user.roles).then_some(Reason::Roles),
            none(&self.cluster_roles, &user.cluster_roles).then_some(Reason::ClusterRoles),
            (!self.subjects.is_empty() && !self.subjects.iter().any(is_user)).then_some(Reason::Subjects),
        ];
        lacking.into_iter().flatten()
    }
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| wildcard::matches(pattern, text))
}

fn wrong(path: &str, accepted: &str) -> MatchError {
    MatchError { path: path.to_owned(), reason: format!("wrong type, accepted: {accepted}") }
}

fn unknown(path: &str, accepted: &str) -> MatchError {
    MatchError { path: path.to_owned(), reason: format!("unknown field, accepted: {accepted}") }
}

fn object<'v>(value: &'v Value, path: &str) -> Result<&'v Map<String, Value>, MatchError> {
    value.as_object().ok_or_else(|| wrong(path, "an object"))
}

fn texts(value: &Value, path: &str) -> Result<Vec<String>, MatchError> {
    let list = value.as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    list.flatten().ok_or_else(|| wrong(path, "a list of texts"))
}

fn subjects(value: &Value, path: &str) -> Result<Vec<Subject>, MatchError> {
    let list = value.as_array().ok_or_else(|| wrong(path, "a list of subjects"))?;
    let parse = |subject: &Value| {
        let text = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("kind") {
            "User" => Subject::User(text("name").to_owned()),
            "Group" => Subject::Group(text("name").to_owned()),
            "ServiceAccount" => {
                Subject::User(format!("system:serviceaccount:{}:{}", text("namespace"), text("name")))
            }
            _ => Subject::Other,
        }
    };
    Ok(list.iter().map(parse).collect())
}
