//! One `kyverno-test.yaml`: what it names, and what it expects.

use meshward_policy::jmespath::Environment;
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{
    Exception, Input, NoLookup, Policy, RuleResult, Status, with_variables,
};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What became of an expectation.
pub(crate) enum Outcome {
    /// The result is the one expected.
    Held,
    /// No rule of ours has one, as for rules that are not supported and objects that are excluded.
    NoResult,
    /// It is another one.
    Broken(String),
}

struct Yaml;

impl Environment for Yaml {
    fn now(&self) -> Option<meshward_policy::go::time::Moment> {
        Some(meshward_policy::go::time::Moment::from_unix(1_760_000_000))
    }

    fn parse_yaml(&self, text: &str) -> Result<Value, String> {
        Ok(documents(text.as_bytes()).into_iter().next().unwrap_or_default())
    }
}

fn documents(bytes: &[u8]) -> Vec<Value> {
    let options = meshward_manifest::Options::default();
    let documents = meshward_manifest::Documents::new(bytes, options);
    let read = documents.filter_map(Result::ok).map(|document| document.value);
    read.filter(|value| !value.is_null()).collect()
}

/// All documents of the files that a list in a test names, relative to it; lists of objects are unfolded.
fn load(folder: &Path, names: &Value) -> Vec<Value> {
    let names: Vec<&str> = match names {
        Value::String(name) => vec![name],
        names => names.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let mut loaded = Vec::new();
    for name in names {
        let Ok(bytes) = fs::read(folder.join(name)) else { continue };
        for document in documents(&bytes) {
            match document.get("items").and_then(Value::as_array) {
                Some(items) if document["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                    loaded.extend(items.iter().cloned());
                }
                _ => loaded.push(document),
            }
        }
    }
    loaded
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The variables that a values file gives for a policy, one of its rules and an object.
fn variables(values: &Value, policy: &str, rule: &str, object: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut add = |map: &Value| {
        for (name, value) in map.as_object().into_iter().flatten() {
            found.push((name.clone(), value.clone()));
        }
    };
    add(&values["globalValues"]);
    for given in list(&values["policies"]).filter(|given| given["name"] == policy) {
        for resource in list(&given["resources"]) {
            if resource["name"] == text(object, "/metadata/name") {
                add(&resource["values"]);
            }
        }
        list(&given["rules"]).filter(|given| given["name"] == rule).for_each(|given| add(&given["values"]));
    }
    found
}

struct Case<'s> {
    values: &'s Value,
    user: &'s UserInfo,
    exceptions: &'s [Exception],
}

impl Case<'_> {
    fn evaluate(&self, policy: &Policy, rule: &str, operation: &str, object: &Value) -> Vec<RuleResult> {
        let key = policy.key();
        let name = key.rsplit('/').next().unwrap_or_default();
        let variables = variables(self.values, name, rule, object);
        let given = variables.iter().find(|(name, _)| name == "request.operation");
        let operation = match (operation, given.and_then(|(_, value)| value.as_str())) {
            ("", Some(given)) => given,
            ("", None) => "CREATE",
            (operation, _) => operation,
        };
        let namespace = text(object, "/metadata/namespace");
        let labels = list(&self.values["namespaceSelector"]).find(|given| given["name"] == namespace);
        let object = &with_variables(object, "object", &variables);
        let (object, old_object) = match operation {
            "DELETE" => (&Value::Null, object),
            // Offline there is no other object that it could have been before.
            "UPDATE" => (object, object),
            _ => (object, &Value::Null),
        };
        policy.evaluate(&Input {
            object,
            old_object,
            operation,
            gvk: None,
            subresource: "",
            namespace_labels: labels.map_or(&Value::Null, |given| &given["labels"]),
            user: self.user,
            variables: &variables,
            exceptions: self.exceptions,
            lookup: &NoLookup,
            environment: &Yaml,
        })
    }
}

fn user_info(file: &Value) -> UserInfo {
    let texts = |value: &Value| list(value).filter_map(Value::as_str).map(str::to_owned).collect();
    UserInfo {
        username: text(file, "/userInfo/username").to_owned(),
        groups: texts(&file["userInfo"]["groups"]),
        roles: texts(&file["roles"]),
        cluster_roles: texts(&file["clusterRoles"]),
        uid: String::new(),
    }
}

/// Every expectation of a test file, in words, with its outcome.
pub(crate) fn run(path: &Path) -> Vec<(String, Outcome)> {
    let folder = path.parent().unwrap();
    let test = documents(&fs::read(path).unwrap()).remove(0);
    let policies = load(folder, &test["policies"]);
    let policies: Vec<Policy> = policies
        .iter()
        .filter(|policy| text(policy, "/apiVersion").starts_with("kyverno.io/"))
        .map(|policy| {
            let unknown = meshward_policy::fields::check(policy).unwrap_or_default();
            assert!(unknown.is_empty(), "{}: {unknown:?}", path.display());
            Policy::compile(policy).unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()))
        })
        .collect();
    let mut objects = load(folder, &test["resources"]);
    // Without a namespace, namespaced objects are in the default one.
    let cluster =
        ["Namespace", "ClusterRole", "ClusterRoleBinding", "StorageClass", "PersistentVolume", "Node"];
    for object in &mut objects {
        let kind = text(object, "/kind").to_owned();
        if text(object, "/metadata/namespace").is_empty() && !cluster.contains(&kind.as_str()) {
            object["metadata"]["namespace"] = json!("default");
        }
    }
    let values = match &test["values"] {
        Value::Null => load(folder, &test["variables"]).into_iter().next().unwrap_or_default(),
        inline => inline.clone(),
    };
    let user = user_info(&load(folder, &test["userinfo"]).into_iter().next().unwrap_or_default());
    let exceptions = load(folder, &test["exceptions"]);
    let exceptions: Vec<Exception> = exceptions.iter().map(|e| Exception::parse(e).unwrap()).collect();
    let case = Case { values: &values, user: &user, exceptions: &exceptions };
    let mut outcomes = Vec::new();
    for expected in list(&test["results"]) {
        for name in list(&expected["resources"]).filter_map(Value::as_str) {
            let words = format!("{} {} {} {name}", expected["policy"], expected["rule"], expected["kind"]);
            outcomes.push((words, expect(&case, &policies, &objects, expected, name)));
        }
    }
    outcomes
}

fn expect(case: &Case<'_>, policies: &[Policy], objects: &[Value], expected: &Value, name: &str) -> Outcome {
    let rule = text(expected, "/rule");
    let names = [rule.to_owned(), format!("autogen-{rule}"), format!("autogen-cronjob-{rule}")];
    let (namespace, name) =
        name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace), name));
    let meant = |object: &&Value| {
        let kind = text(expected, "/kind").rsplit('/').next().unwrap_or_default();
        text(object, "/metadata/name") == name
            && (kind.is_empty() || text(object, "/kind") == kind)
            && namespace.is_none_or(|namespace| text(object, "/metadata/namespace") == namespace)
    };
    let mut found = Vec::new();
    let wanted = text(expected, "/policy");
    for policy in policies.iter().filter(|policy| policy.key() == wanted) {
        for object in objects.iter().filter(meant) {
            let results = case.evaluate(policy, rule, text(expected, "/operation"), object);
            for mut result in results.into_iter().filter(|result| names.contains(&result.rule)) {
                if result.status == Status::Fail && !policy.scored() {
                    result.status = Status::Warn;
                }
                found.push(result);
            }
        }
    }
    let result = text(expected, "/result");
    match found.iter().find(|found| found.status.as_str() != result) {
        _ if found.is_empty() => Outcome::NoResult,
        None => Outcome::Held,
        Some(other) => {
            Outcome::Broken(format!("expected {result}, found {}: {}", other.status, other.message))
        }
    }
}
