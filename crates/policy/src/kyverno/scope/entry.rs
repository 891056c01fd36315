//! Context entries of a rule: where a variable's value comes from.

use super::{Scope, World, search};
use crate::go::print::sprint;
use crate::kyverno::variables::{Data, substitute};
use serde_json::Value;

/// One entry.
#[derive(Debug, Clone)]
pub(in crate::kyverno) struct Entry {
    name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Variable(Value),
    ConfigMap(Value),
    ApiCall(Value),
    GlobalReference(Value),
    ImageRegistry(Value),
}

type Loaded = Result<Option<Value>, String>;
type MakeSource = fn(Value) -> Source;

impl Entry {
    /// Reads an entry; the error says what is wrong with it.
    pub(in crate::kyverno) fn parse(value: &Value) -> Result<Entry, String> {
        let name = value.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name.ok_or("a context entry needs a name")?.to_owned();
        let sources: [(&str, MakeSource); 5] = [
            ("variable", Source::Variable),
            ("configMap", Source::ConfigMap),
            ("apiCall", Source::ApiCall),
            ("globalReference", Source::GlobalReference),
            ("imageRegistry", Source::ImageRegistry),
        ];
        let mut found = sources.into_iter().filter_map(|(key, source)| {
            value.get(key).filter(|value| value.is_object()).map(|value| source(value.clone()))
        });
        match (found.next(), found.next()) {
            (Some(source), None) => Ok(Entry { name, source }),
            _ => Err(format!(
                "context entry {name} needs exactly one of variable, configMap, apiCall, globalReference, \
                 imageRegistry"
            )),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The entry's value; `None` if this world does not load such entries. Kyverno's texts.
    pub(super) fn load(&self, scope: &mut Scope<'_>, world: World<'_>) -> Loaded {
        match &self.source {
            Source::Variable(variable) => self.variable(variable, scope, world).map(Some),
            Source::ConfigMap(config_map) => self.config_map(config_map, scope, world),
            Source::ApiCall(call) => {
                let Some(substituted) =
                    self.if_loaded(call, scope, || world.lookup.api_call(call).is_some())?
                else {
                    return Ok(None);
                };
                self.answer(&substituted, world.lookup.api_call(&substituted), world)
            }
            Source::GlobalReference(reference) => {
                let Some(substituted) =
                    self.if_loaded(reference, scope, || world.lookup.global_reference("").is_some())?
                else {
                    return Ok(None);
                };
                let name = text(&substituted, "name");
                self.answer(&substituted, world.lookup.global_reference(name), world)
            }
            Source::ImageRegistry(image) => {
                let Some(substituted) =
                    self.if_loaded(image, scope, || world.lookup.image_data("").is_some())?
                else {
                    return Ok(None);
                };
                let reference = text(&substituted, "reference");
                self.answer(&substituted, world.lookup.image_data(reference), world)
            }
        }
    }

    fn substituted(&self, value: &Value, scope: &mut Scope<'_>) -> Result<Value, String> {
        substitute(value, scope).map(|value| value.into_owned()).map_err(|error| {
            format!(
                "failed to substitute variables in context entry {} {}: {error}",
                self.name,
                sprint(value)
            )
        })
    }

    /// The entry with its variables replaced. Where one has no value but such entries are not loaded anyway, there is
    /// nothing to replace it for.
    fn if_loaded(
        &self,
        value: &Value,
        scope: &mut Scope<'_>,
        loaded: impl FnOnce() -> bool,
    ) -> Result<Option<Value>, String> {
        match self.substituted(value, scope) {
            Ok(substituted) => Ok(Some(substituted)),
            Err(error) if loaded() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// An answer from outside with the entry's `jmesPath` applied, or its `default`.
    fn answer(&self, entry: &Value, answer: Option<Result<Value, String>>, world: World<'_>) -> Loaded {
        let Some(answer) = answer else { return Ok(None) };
        let default = entry.get("default").filter(|default| !default.is_null());
        let value = match answer {
            Ok(value) => value,
            Err(reason) => {
                let what = match self.source {
                    Source::GlobalReference(_) => "failed to marshal APICall data for context entry",
                    _ => "failed to load context entry",
                };
                let failed = || format!("{what} {}: {reason}", self.name);
                return default.cloned().map(Some).ok_or_else(failed);
            }
        };
        let path = text(entry, "jmesPath");
        if path.is_empty() {
            return Ok(Some(value));
        }
        search(world, path, &value).map(Some).or_else(|error| {
            default.cloned().map(Some).ok_or_else(|| {
                format!("failed to apply JMESPath {path} for context entry {}: {error}", self.name)
            })
        })
    }

    fn variable(&self, variable: &Value, scope: &mut Scope<'_>, world: World<'_>) -> Result<Value, String> {
        let member = |name: &str| variable.get(name).filter(|value| !value.is_null());
        let path = match member("jmesPath") {
            None => String::new(),
            Some(path) => match self.substituted(path, scope)? {
                Value::String(path) => path,
                _ => {
                    return Err(format!(
                        "jmespath value must be a string {} {}: <nil>",
                        self.name,
                        sprint(path)
                    ));
                }
            },
        };
        let default = member("default").map(|default| self.substituted(default, scope)).transpose()?;
        let failed = |value: &Value, error: String| {
            format!("failed to apply jmespath {path} to variable {}: {error}", sprint(value))
        };
        let mut output = default.clone().unwrap_or_default();
        if let Some(value) = member("value") {
            let value = self.substituted(value, scope)?;
            if path.is_empty() {
                output = value;
            } else {
                match search(world, &path, &value) {
                    Ok(found) => output = found,
                    Err(error) if default.is_none() => return Err(failed(&Value::Null, error.to_string())),
                    Err(_) => {}
                }
            }
        } else if !path.is_empty() {
            match scope.query(&path) {
                Ok(Value::Null) => {}
                Ok(found) => output = found,
                Err(error) if default.is_none() => return Err(failed(&Value::Null, error.to_string())),
                Err(_) => {}
            }
        }
        if output.is_null() {
            return Err(format!(
                "failed to add context entry for variable {} since it evaluated to nil",
                self.name
            ));
        }
        Ok(output)
    }

    fn config_map(&self, entry: &Value, scope: &mut Scope<'_>, world: World<'_>) -> Loaded {
        let failed = |reason: String| {
            format!("failed to retrieve config map for context entry {}: {reason}", self.name)
        };
        let loaded = || world.lookup.config_map("", "").is_some();
        let Some(substituted) = self.if_loaded(entry, scope, loaded).map_err(failed)? else {
            return Ok(None);
        };
        let namespace = match (text(&substituted, "namespace"), world.namespace) {
            ("", "") => "default",
            ("", own) => own,
            (named, _) => named,
        };
        // A namespaced policy must not read what its author could not (CVE-2026-22039).
        if !world.namespace.is_empty() && namespace != world.namespace {
            return Err(failed(format!(
                "context entry {}: configMap namespace {namespace:?} is different from policy namespace {:?}",
                self.name, world.namespace
            )));
        }
        let name = text(&substituted, "name");
        world
            .lookup
            .config_map(namespace, name)
            .transpose()
            .map_err(|reason| failed(format!("failed to get configmap {namespace}/{name} : {reason}")))
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
