//! Values for variables that nothing offline can answer: Kyverno's values file, `--set`, and the same inline in a test.

use std::path::Path;

use meshward_policy::kyverno::matching::Gvk;
use serde_json::{Map, Value};

use super::problem::{Problem, Problems};
use super::resource::{list, text};
use super::schema::{self, VALUES};
use crate::input::Input;

/// Variables by names with dots.
pub(crate) type Variables = Vec<(String, Value)>;

/// What a values file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    global: Variables,
    policies: Vec<OfPolicy>,
    namespaces: Vec<(String, Value)>,
    subresources: Vec<Subresource>,
    /// From the command line; they win.
    set: Variables,
}

#[derive(Debug, Clone, Default)]
struct OfPolicy {
    name: String,
    resources: Vec<(String, Variables)>,
    rules: Vec<(String, Variables)>,
}

#[derive(Debug, Clone)]
struct Subresource {
    own: Gvk,
    parent: Gvk,
    name: String,
}

impl Values {
    /// Reads a values file; what is wrong with it is told.
    pub(crate) fn read(path: &Path, problems: &mut Problems) -> Self {
        let Some(input) = Input::read_readable(path, problems) else { return Values::default() };
        let Some(document) = input.documents.first() else {
            let message = format!("{}: no document, accepted: Values of cli.kyverno.io/v1alpha1", input.name);
            problems.tell(Problem::of_file(&input.name, message));
            return Values::default();
        };
        schema::check(&input, &document.object(), &VALUES, problems);
        Values::of(&document.value)
    }

    /// The values of a document that is known to have the right fields.
    pub(crate) fn of(value: &Value) -> Self {
        let named =
            |value: &Value, values: &str| (text(value, "/name").to_owned(), variables(&value[values]));
        let policies = list(&value["policies"]).map(|policy| OfPolicy {
            name: text(policy, "/name").to_owned(),
            resources: list(&policy["resources"]).map(|resource| named(resource, "values")).collect(),
            rules: list(&policy["rules"]).map(of_rule).collect(),
        });
        // Full namespaces win over bare labels, as in Kyverno.
        let full = list(&value["namespaces"])
            .map(|full| (text(full, "/metadata/name").to_owned(), full["metadata"]["labels"].clone()));
        let bare = list(&value["namespaceSelector"])
            .map(|bare| (text(bare, "/name").to_owned(), bare["labels"].clone()));
        Self {
            global: variables(&value["globalValues"]),
            policies: policies.collect(),
            namespaces: full.chain(bare).collect(),
            subresources: list(&value["subresources"]).filter_map(subresource).collect(),
            set: Vec::new(),
        }
    }

    /// Adds `name=value` of the command line. As in Kyverno, parts of the object cannot be set this way.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(crate) fn set(&mut self, text: &str) -> Result<(), String> {
        let accepted = "accepted: name=value";
        let (name, value) = text.split_once('=').ok_or_else(|| format!("found {text:?}, {accepted}"))?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || value.is_empty() {
            return Err(format!("found {text:?}, {accepted}"));
        }
        if name.contains("request.object.") {
            return Err(format!("{name} is a part of the object; accepted: any other variable"));
        }
        if !self.set.iter().any(|(known, _)| known == name) {
            self.set.push((name.to_owned(), Value::from(value)));
        }
        Ok(())
    }

    /// The labels of a namespace; null if they are not known.
    pub(crate) fn labels(&self, namespace: &str) -> &Value {
        let found = self.namespaces.iter().find(|(name, _)| name == namespace && !namespace.is_empty());
        found.map_or(&Value::Null, |(_, labels)| labels)
    }

    /// The variables for a policy and an object of this name; later ones win.
    pub(crate) fn variables(&self, policy: &str, object: &str) -> Variables {
        let mut variables = self.global.clone();
        let policies = self.policies.iter().filter(|values| values.name == policy);
        for (name, values) in policies.flat_map(|values| &values.resources) {
            if name == object {
                variables.extend(values.iter().cloned());
            }
        }
        variables.extend(self.set.iter().cloned());
        variables
    }

    /// The rules of a policy that have variables of their own, with them.
    pub(crate) fn rules(&self, policy: &str) -> &[(String, Variables)] {
        let found = self.policies.iter().find(|values| values.name == policy);
        found.map_or(&[], |values| &values.rules)
    }

    /// Kind and name of the object that an object of this kind is a part of.
    pub(crate) fn parent(&self, gvk: &Gvk) -> Option<(&Gvk, &str)> {
        let found = self.subresources.iter().find(|subresource| subresource.own == *gvk)?;
        Some((&found.parent, &found.name))
    }

    /// `request.operation` for all objects; empty if it is not given.
    pub(crate) fn operation(&self) -> &str {
        let found = self.global.iter().find(|(name, _)| name == "request.operation");
        found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether there are no variables at all, so that nothing has to be looked up for each object.
    pub(crate) fn has_variables(&self) -> bool {
        !(self.global.is_empty() && self.policies.is_empty() && self.set.is_empty())
    }
}

fn variables(value: &Value) -> Variables {
    let entries = value.as_object().into_iter().flat_map(Map::iter);
    entries.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Of values for elements of a loop, Kyverno uses the first one for every element.
fn of_rule(rule: &Value) -> (String, Variables) {
    let mut found = variables(&rule["values"]);
    let elements = rule["foreachValues"].as_object().into_iter().flat_map(Map::iter);
    found.extend(elements.filter_map(|(name, values)| Some((name.clone(), values.get(0)?.clone()))));
    (text(rule, "/name").to_owned(), found)
}

fn subresource(value: &Value) -> Option<Subresource> {
    let gvk = |value: &Value| Gvk {
        group: text(value, "/group").to_owned(),
        version: text(value, "/version").to_owned(),
        kind: text(value, "/kind").to_owned(),
    };
    let (_, name) = text(value, "/subresource/name").split_once('/')?;
    Some(Subresource {
        own: gvk(&value["subresource"]),
        parent: gvk(&value["parentResource"]),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_more_special_value_comes_later_and_wins() {
        let mut values = Values::of(&json!({
            "globalValues": {"a": 1, "request.operation": "UPDATE"},
            "policies": [{"name": "p", "resources": [{"name": "web", "values": {"a": 2}}],
                "rules": [{"name": "r", "values": {"b": 1}, "foreachValues": {"c": [7, 8]}}]}],
        }));
        values.set("a=3").unwrap();
        values.set("a=4").unwrap();
        let of_a = |object: &str| -> Vec<Value> {
            let variables = values.variables("p", object);
            variables.into_iter().filter(|(name, _)| name == "a").map(|(_, value)| value).collect()
        };
        assert_eq!(of_a("web"), [json!(1), json!(2), json!("3")]);
        assert_eq!(of_a("db"), [json!(1), json!("3")]);
        assert_eq!(values.operation(), "UPDATE");
        assert_eq!(
            values.rules("p"),
            [("r".to_owned(), vec![("b".to_owned(), json!(1)), ("c".to_owned(), json!(7))])]
        );
        assert!(values.rules("q").is_empty());
    }

    #[test]
    fn settings_that_are_none_say_what_is_accepted() {
        let mut values = Values::default();
        for (text, error) in [
            ("a", "found \"a\", accepted: name=value"),
            ("a=", "found \"a=\", accepted: name=value"),
            (
                "request.object.spec=1",
                "request.object.spec is a part of the object; accepted: any other variable",
            ),
        ] {
            assert_eq!(values.set(text).unwrap_err(), error);
        }
        assert!(!values.has_variables());
    }

    #[test]
    fn a_subresource_names_its_parent_and_a_namespace_its_labels() {
        let values = Values::of(&json!({
            "namespaceSelector": [{"name": "a", "labels": {"x": "1"}}],
            "namespaces": [{"metadata": {"name": "a", "labels": {"x": "2"}}}],
            "subresources": [{
                "subresource": {"name": "pods/eviction", "kind": "Eviction", "group": "policy", "version": "v1"},
                "parentResource": {"name": "pods", "kind": "Pod", "version": "v1"}}],
        }));
        assert_eq!(values.labels("a"), &json!({"x": "2"}));
        assert_eq!(values.labels(""), &Value::Null);
        let own = Gvk { group: "policy".into(), version: "v1".into(), kind: "Eviction".into() };
        let (parent, name) = values.parent(&own).unwrap();
        assert_eq!((parent.kind.as_str(), name), ("Pod", "eviction"));
    }
}
