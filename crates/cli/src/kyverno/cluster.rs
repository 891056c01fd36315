//! What a cluster would answer, from files: objects that were given, and responses that a test makes up. Without any,
//! context entries are not loaded at all, as in Kyverno offline, and variables have to come from a values file.

use std::sync::Arc;

use meshward_policy::jmespath::{Context, Dialect, Expression};
use meshward_policy::kyverno::policy::Lookup;
use serde_json::{Map, Value, json};

use super::live::Live;
use super::resource::{list, text};
use meshward_kit::machine::Machine;

/// Answers to context entries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cluster {
    /// Objects; `None` where nobody gave any to be asked for.
    objects: Option<Vec<Value>>,
    /// Whether ConfigMaps are among what may be asked for: Kyverno's `apply` does not ask its objects for them.
    config_maps: bool,
    /// A real one.
    live: Option<Arc<Live>>,
    responses: Vec<Response>,
    entries: Vec<(String, Result<Entry, String>)>,
}

#[derive(Debug, Clone)]
struct Response {
    url: String,
    /// Empty for any.
    method: String,
    code: u64,
    body: Value,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Value,
    projections: Map<String, Value>,
}

impl Cluster {
    /// Lets objects be asked for.
    pub(crate) fn with_objects(mut self, objects: Vec<Value>, config_maps: bool) -> Self {
        self.objects = Some(objects);
        self.config_maps = config_maps;
        self
    }

    /// Asks a real cluster.
    pub(crate) fn of_live(live: Arc<Live>) -> Self {
        Self { live: Some(live), ..Self::default() }
    }

    /// Adds a test's `apiCallResponses`.
    pub(crate) fn with_responses(mut self, responses: &Value) -> Self {
        self.responses.extend(list(responses).map(|response| {
            let url = match text(response, "/url").trim() {
                "" => text(response, "/urlPath").trim(),
                url => url,
            };
            Response {
                url: url.to_owned(),
                method: text(response, "/method").trim().to_uppercase(),
                code: response["response"]["statusCode"].as_u64().filter(|code| *code > 0).unwrap_or(200),
                body: response["response"]["body"].clone(),
            }
        }));
        self
    }

    /// Adds a test's `globalContextEntries`; those with files bring the objects of these files.
    pub(crate) fn with_entries(mut self, entries: &Value, files: impl Fn(&str) -> Vec<Value>) -> Self {
        for entry in list(entries) {
            let value = match (&entry["resources"], &entry["resourceFiles"]) {
                (Value::Array(objects), _) => Value::Array(objects.clone()),
                (_, Value::Array(names)) => {
                    let names = names.iter().filter_map(Value::as_str);
                    Value::Array(names.flat_map(&files).collect())
                }
                _ => entry["data"].clone(),
            };
            let resolved = mock(value, text(entry, "/fieldPath"), &entry["projections"]);
            self.entries.push((text(entry, "/name").trim().to_owned(), resolved));
        }
        self
    }

    /// Adds `GlobalContextEntry` objects about kinds of which objects are given.
    pub(crate) fn with_global_entries(mut self, entries: &[Value]) -> Self {
        for entry in entries {
            let asked = &entry["spec"]["kubernetesResource"];
            if asked.is_null() {
                continue;
            }
            let request = Request {
                group: text(asked, "/group"),
                version: text(asked, "/version"),
                plural: text(asked, "/resource"),
                namespace: text(asked, "/namespace"),
                name: "",
            };
            let found = Value::Array(self.find(&request).cloned().collect());
            let resolved = projected(found, list(&entry["spec"]["projections"]), "jmesPath");
            self.entries.push((text(entry, "/metadata/name").to_owned(), resolved));
        }
        self
    }

    /// The labels of a namespace among the objects.
    pub(crate) fn namespace_labels(&self, name: &str) -> Option<&Value> {
        if let Some(live) = &self.live {
            return live.namespace_labels(name);
        }
        let mut objects = self.objects.iter().flatten();
        let namespace =
            objects.find(|o| text(o, "/kind") == "Namespace" && text(o, "/metadata/name") == name)?;
        namespace.pointer("/metadata/labels")
    }

    fn find<'c>(&'c self, request: &'c Request<'c>) -> impl Iterator<Item = &'c Value> {
        self.objects.iter().flatten().filter(|object| request.is_about(object))
    }
}

impl Lookup for Cluster {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Result<Value, String>> {
        if let Some(live) = &self.live {
            return Some(live.config_map(namespace, name));
        }
        if !self.config_maps {
            return None;
        }
        let request = Request { group: "", version: "v1", plural: "configmaps", namespace, name };
        let found = self.find(&request).next();
        let answer = found.map(|object| {
            json!({ "data": object.get("data").cloned().unwrap_or(json!({})), "metadata": object["metadata"].clone() })
        });
        Some(answer.ok_or_else(|| format!("configmaps {name:?} not found")))
    }

    fn api_call(&self, call: &Value) -> Option<Result<Value, String>> {
        let (service, path) = (text(call, "/service/url"), text(call, "/urlPath"));
        let url = if service.is_empty() { path } else { service };
        let method = match text(call, "/method") {
            "" => "GET",
            method => method,
        };
        let fits = |response: &&Response, exact: bool| {
            response.url == url && if exact { response.method == method } else { response.method.is_empty() }
        };
        let mut responses = self.responses.iter();
        let response = responses.find(|r| fits(r, true)).or_else(|| {
            let mut responses = self.responses.iter();
            responses.find(|r| fits(r, false))
        });
        if let Some(response) = response {
            let answer = match response.code {
                200..=299 => Ok(response.body.clone()),
                code => Err(format!("HTTP {code} from the response given for {method} {url}")),
            };
            return Some(answer);
        }
        if let Some(live) = &self.live {
            return Some(match service {
                "" => live.call(path, method, &call["data"]),
                _ => Err(format!("{service}: services are not called from here")),
            });
        }
        self.objects.as_ref()?;
        Some(self.get(path, method))
    }

    fn global_reference(&self, name: &str) -> Option<Result<Value, String>> {
        if self.entries.is_empty() {
            return None;
        }
        let (name, projection) = name.split_once('.').unwrap_or((name, ""));
        let Some((_, entry)) = self.entries.iter().find(|(known, _)| known == name) else {
            return Some(Err(format!("failed to fetch entry key={name}")));
        };
        Some(entry.clone().and_then(|entry| match (projection, entry.value) {
            ("", value) => Ok(value),
            (projection, value) => {
                let found = entry.projections.get(projection).or_else(|| value.get(projection));
                found.cloned().ok_or_else(|| format!("projection {projection:?} not found"))
            }
        }))
    }
}

impl Cluster {
    fn get(&self, path: &str, method: &str) -> Result<Value, String> {
        if method != "GET" {
            return Err(format!("method {method} is not answered offline, accepted: GET"));
        }
        let request = Request::parse(path).ok_or_else(|| format!("failed to parse path: {path}"))?;
        if request.name.is_empty() {
            let items: Vec<Value> = self.find(&request).cloned().collect();
            let kind = items.first().map_or("", |item| text(item, "/kind"));
            return Ok(
                json!({ "kind": format!("{kind}List"), "apiVersion": request.api_version(), "items": items }),
            );
        }
        let found = self.find(&request).next().cloned();
        found
            .ok_or_else(|| format!("{} {:?} not found among the given objects", request.plural, request.name))
    }
}

/// What a path of the Kubernetes API asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request<'p> {
    group: &'p str,
    version: &'p str,
    plural: &'p str,
    /// Empty for all of them.
    namespace: &'p str,
    /// Empty for a list.
    name: &'p str,
}

impl<'p> Request<'p> {
    fn parse(path: &'p str) -> Option<Self> {
        let path = path.split('?').next().unwrap_or(path).trim_matches('/');
        let steps: Vec<&str> = path.split('/').collect();
        let (group, version, rest) = match steps.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let plural = *rest.first()?;
        let name = rest.get(1).copied().unwrap_or_default();
        (!plural.is_empty()).then_some(Self { group, version, plural, namespace, name })
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn is_about(&self, object: &Value) -> bool {
        let fits = |wanted: &str, pointer: &str| wanted.is_empty() || text(object, pointer) == wanted;
        text(object, "/apiVersion") == self.api_version()
            && plural(text(object, "/kind")) == self.plural
            && fits(self.namespace, "/metadata/namespace")
            && fits(self.name, "/metadata/name")
    }
}

/// A kind as paths name it: apimachinery's `UnsafeGuessKindToResource`.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.as_str() {
        "endpoints" => kind,
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{kind}s"),
        },
    }
}

fn mock(value: Value, path: &str, projections: &Value) -> Result<Entry, String> {
    let value = if path.is_empty() { value } else { search(path, &value)? };
    let mut entry = projected(value, list(projections), "path")?;
    if !entry.projections.is_empty() {
        // What a test projects replaces the whole.
        entry.value = Value::Object(entry.projections.clone());
    }
    Ok(entry)
}

fn projected<'v>(
    value: Value,
    projections: impl Iterator<Item = &'v Value>,
    path: &str,
) -> Result<Entry, String> {
    let named = projections.map(|one| {
        let found = search(one[path].as_str().unwrap_or_default(), &value)?;
        Ok((text(one, "/name").to_owned(), found))
    });
    let projections = named.collect::<Result<Map<String, Value>, String>>()?;
    Ok(Entry { value, projections })
}

fn search(path: &str, value: &Value) -> Result<Value, String> {
    let expression =
        Expression::parse(path, Dialect::Kyverno).map_err(|error| format!("JMESPath {path:?}: {error}"))?;
    let found = expression.search(value, &Context::new(&Machine));
    Ok(found.map_err(|error| format!("JMESPath {path:?}: {error}"))?.into_owned())
}

#[cfg(test)]
mod tests;
