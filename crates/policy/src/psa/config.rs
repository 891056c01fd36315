//! The admission's configuration: defaults for namespaces without labels, and what is exempt altogether. Read from a
//! `PodSecurityConfiguration` (`pod-security.admission.config.k8s.io`), also inside an `AdmissionConfiguration`, because
//! that is the file a cluster's owner has.

use std::{collections::BTreeSet, str::FromStr};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::pss::{Level, LevelVersion, Version};

use super::Policy;

const GROUP: &str = "pod-security.admission.config.k8s.io/";

/// Requests that are not checked at all. Names match whole, without wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exemptions {
    /// Authenticated user names.
    pub usernames: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Values of `spec.runtimeClassName`.
    pub runtime_classes: Vec<String>,
}

impl Exemptions {
    /// Whether a namespace is exempt.
    #[must_use]
    pub fn namespace(&self, name: &str) -> bool {
        exempt(&self.namespaces, name)
    }

    /// Whether a user is exempt.
    #[must_use]
    pub fn username(&self, name: &str) -> bool {
        exempt(&self.usernames, name)
    }

    /// Whether pods of a runtime class are exempt.
    #[must_use]
    pub fn runtime_class(&self, name: &str) -> bool {
        exempt(&self.runtime_classes, name)
    }
}

fn exempt(names: &[String], name: &str) -> bool {
    !name.is_empty() && names.iter().any(|exempt| exempt == name)
}

/// The admission's configuration; the default is kube-apiserver's without a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// What namespaces without labels ask for.
    pub defaults: Policy,
    /// What is not checked.
    pub exemptions: Exemptions,
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct InvalidConfiguration {
    /// The field's path.
    pub field: String,
    /// What is wrong, with what is accepted.
    pub problem: String,
}

impl Configuration {
    /// Reads a `PodSecurityConfiguration`, or the one of the plugin `PodSecurity` in an `AdmissionConfiguration`.
    ///
    /// # Errors
    /// Everything that kube-apiserver would refuse: unknown kind, version or field, values of the wrong type, levels
    /// and versions that do not exist, names that no namespace or runtime class can have, repetitions.
    pub fn from_value(value: &Value) -> Result<Configuration, Vec<InvalidConfiguration>> {
        let mut reader = Reader { errors: Vec::new() };
        let configuration = reader.document(value);
        if reader.errors.is_empty() { Ok(configuration) } else { Err(reader.errors) }
    }
}

struct Reader {
    errors: Vec<InvalidConfiguration>,
}

impl Reader {
    fn refuse(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.errors.push(InvalidConfiguration { field: field.into(), problem: problem.into() });
    }

    fn document(&mut self, value: &Value) -> Configuration {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
        if kind == "AdmissionConfiguration" {
            return self.wrapped(value);
        }
        if kind != "PodSecurityConfiguration" {
            self.refuse(
                "kind",
                format!("found {kind:?}, expected PodSecurityConfiguration or AdmissionConfiguration"),
            );
            return Configuration::default();
        }
        let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if !matches!(version.strip_prefix(GROUP), Some("v1" | "v1beta1" | "v1alpha1")) {
            self.refuse("apiVersion", format!("found {version:?}, expected {GROUP}v1, v1beta1 or v1alpha1"));
        }
        let Some(document) = value.as_object() else { return Configuration::default() };
        self.known(document, "", &["apiVersion", "kind", "defaults", "exemptions"]);
        let defaults = self.defaults(document);
        let exemptions = self.exemptions(document);
        Configuration { defaults, exemptions }
    }

    fn wrapped(&mut self, value: &Value) -> Configuration {
        let plugins = value.get("plugins").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let plugin =
            plugins.iter().find(|plugin| plugin.get("name").is_some_and(|name| name == "PodSecurity"));
        match plugin.and_then(|plugin| plugin.get("configuration")).filter(|inner| !inner.is_null()) {
            Some(inner) if inner.get("kind").is_some_and(|kind| kind == "AdmissionConfiguration") => {
                self.refuse("plugins[PodSecurity].configuration.kind", "expected PodSecurityConfiguration");
                Configuration::default()
            }
            Some(inner) => self.document(inner),
            None => {
                self.refuse("plugins", "no plugin PodSecurity with an inline configuration");
                Configuration::default()
            }
        }
    }

    fn known(&mut self, object: &Map<String, Value>, prefix: &str, names: &[&str]) {
        for key in object.keys().filter(|key| !names.contains(&key.as_str())) {
            self.refuse(
                format!("{prefix}{key}"),
                format!("unknown field, expected one of {}", names.join(", ")),
            );
        }
    }

    fn section<'v>(
        &mut self,
        document: &'v Map<String, Value>,
        name: &str,
    ) -> Option<&'v Map<String, Value>> {
        let value = document.get(name).filter(|value| !value.is_null())?;
        if !value.is_object() {
            self.refuse(name, "expected an object");
        }
        value.as_object()
    }

    fn defaults(&mut self, document: &Map<String, Value>) -> Policy {
        let names = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
        let mut policy = Policy::default();
        let Some(defaults) = self.section(document, "defaults") else { return policy };
        self.known(defaults, "defaults.", &names);
        for (mode, into) in
            [("enforce", &mut policy.enforce), ("warn", &mut policy.warn), ("audit", &mut policy.audit)]
        {
            let level = self.parsed(defaults, mode).unwrap_or(Level::Privileged);
            let version = self.parsed(defaults, &format!("{mode}-version")).unwrap_or(Version::Latest);
            *into = LevelVersion { level, version };
        }
        policy
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, defaults: &Map<String, Value>, name: &str) -> Option<T> {
        let value = defaults.get(name).filter(|value| !value.is_null() && *value != "")?;
        let parsed = value.as_str().map(str::parse);
        match parsed {
            Some(Ok(parsed)) => Some(parsed),
            Some(Err(error)) => {
                let error: T::Err = error;
                self.refuse(format!("defaults.{name}"), format!("found {value}, {}", error.to_string()));
                None
            }
            None => {
                self.refuse(format!("defaults.{name}"), format!("found {value}, expected a string"));
                None
            }
        }
    }

    fn exemptions(&mut self, document: &Map<String, Value>) -> Exemptions {
        let Some(exemptions) = self.section(document, "exemptions") else { return Exemptions::default() };
        self.known(exemptions, "exemptions.", &["usernames", "namespaces", "runtimeClasses"]);
        Exemptions {
            usernames: self.names(exemptions, "usernames", |name| !name.is_empty()),
            namespaces: self.names(exemptions, "namespaces", is_label),
            runtime_classes: self.names(exemptions, "runtimeClasses", is_subdomain),
        }
    }

    fn names(&mut self, object: &Map<String, Value>, list: &str, valid: fn(&str) -> bool) -> Vec<String> {
        let mut names = BTreeSet::new();
        let mut ordered = Vec::new();
        let elements = match object.get(list) {
            None | Some(Value::Null) => return ordered,
            Some(Value::Array(elements)) => elements,
            Some(_) => {
                self.refuse(format!("exemptions.{list}"), "expected a list");
                return ordered;
            }
        };
        for (index, element) in elements.iter().enumerate() {
            let field = || format!("exemptions.{list}[{index}]");
            match element.as_str() {
                None => self.refuse(field(), format!("found {element}, expected a string")),
                Some(name) if !valid(name) => {
                    self.refuse(field(), format!("{name:?} is not a name that can exist"));
                }
                Some(name) if !names.insert(name) => {
                    self.refuse(field(), format!("{name:?} is listed twice"))
                }
                Some(name) => ordered.push(name.to_owned()),
            }
        }
        ordered
    }
}

/// A DNS label (RFC 1123): what namespaces are named.
fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_hyphenated(name)
}

/// A DNS subdomain: what runtime classes are named. Kubernetes does not limit the length of its parts.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_hyphenated)
}

/// Lower case letters and digits, with hyphens between them.
fn is_hyphenated(part: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
}
