//! Labels of namespaces and the API server's file.

use serde_json::{Map, Value, json};

use super::{Asked, Given, Plan, known_namespaces};
use crate::lint::documents::{Kind, kind};
use crate::lint::namespaces::OWN;
use crate::lint::text;
use crate::psa::{Configuration, PREFIX, Policy};
use crate::pss::{Level, LevelVersion};

/// The API server's file, if it is among the documents.
pub(super) fn configuration(documents: &[Value]) -> Option<(usize, Configuration)> {
    let of = |(index, object): (usize, &Value)| {
        let found = (kind(object) == Some(Kind::Admission)).then(|| Configuration::from_value(object).ok());
        Some((index, found.flatten()?))
    };
    documents.iter().enumerate().find_map(of)
}

/// A namespace of the documents; null if it is not among them.
pub(super) fn namespace<'v>(documents: &'v [Value], name: &str) -> &'v Value {
    let named =
        |object: &&Value| text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == name;
    documents.iter().find(named).unwrap_or(&Value::Null)
}

/// What the built-in admission asks of a namespace.
pub(super) fn policy(documents: &[Value], name: &str, configuration: Option<&Configuration>) -> Policy {
    let defaults = configuration.map(|configuration| configuration.defaults).unwrap_or_default();
    let exempt = configuration.is_some_and(|configuration| configuration.exemptions.namespace(name));
    match exempt {
        true => Policy::default(),
        false => Policy::from_labels(namespace(documents, name), &defaults, PREFIX).0,
    }
}

pub(super) fn read(given: &Given<'_>, plan: &mut Plan) {
    for (document, object) in given.documents.iter().enumerate() {
        if kind(object) == Some(Kind::Admission)
            && let Err(errors) = Configuration::from_value(object)
        {
            errors
                .into_iter()
                .for_each(|error| plan.note(document, &error.field, true, error.problem.clone()));
        }
    }
    let configuration = configuration(given.documents);
    if let Some((document, configuration)) = &configuration {
        lost(*document, configuration, plan);
    }
    let exempt =
        configuration.iter().flat_map(|(_, configuration)| configuration.exemptions.namespaces.clone());
    for name in known_namespaces(given).into_iter().chain(exempt) {
        let labelled =
            given.documents.iter().position(|object| std::ptr::eq(object, namespace(given.documents, &name)));
        let labels = namespace(given.documents, &name).pointer("/metadata/labels").and_then(Value::as_object);
        let own = labels.is_some_and(|labels| labels.keys().any(|key| key.starts_with(PREFIX)));
        if configuration.is_none() && !own {
            continue;
        }
        let policy =
            policy(given.documents, &name, configuration.as_ref().map(|(_, configuration)| configuration));
        let asked =
            Asked { enforce: Some(policy.enforce), audit: Some(policy.audit), warn: Some(policy.warn) };
        if let Some(document) = labelled.filter(|_| own) {
            let message = "the pod-security.kubernetes.io labels stay in force beside the new ones: set enforce to \
                           privileged there when the new ones have taken over";
            plan.note(document, "metadata.labels", false, message);
        }
        plan.namespaces.insert(name, asked);
    }
}

/// What labels cannot say.
fn lost(document: usize, configuration: &Configuration, plan: &mut Plan) {
    let exemptions = &configuration.exemptions;
    for (name, list) in
        [("usernames", &exemptions.usernames), ("runtimeClasses", &exemptions.runtime_classes)]
    {
        if !list.is_empty() {
            let message = format!(
                "{name} [{}] cannot be said: exemptions are about containers, whoever makes them",
                list.join(", ")
            );
            plan.note(document, format!("exemptions.{name}"), true, message);
        }
    }
    if configuration.defaults.fully_privileged() {
        return;
    }
    let message =
        "defaults became labels of the namespaces that are given; new namespaces need labels of their own";
    plan.note(document, "defaults", false, message);
}

/// A namespace with what is asked of it.
pub(super) fn labelled(name: &str, asked: &Asked) -> Value {
    let mut labels = Map::new();
    let privileged = LevelVersion::latest(Level::Privileged);
    for (mode, level) in [("enforce", asked.enforce), ("audit", asked.audit), ("warn", asked.warn)] {
        // Without a label of its own, warn would follow enforce.
        let level = level.unwrap_or(privileged);
        labels.insert(format!("{OWN}{mode}"), json!(level.level.as_str()));
        if level.level != Level::Privileged {
            labels.insert(format!("{OWN}{mode}-version"), json!(level.version.to_string()));
        }
    }
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}
