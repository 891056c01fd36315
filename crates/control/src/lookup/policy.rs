//! The answers for the context of one policy.

use meshward_policy::kyverno::policy::Lookup;
use serde_json::{Map, Value};

use super::fetch::Call;
use super::{AskError, Asker, CALL, CONFIG_MAP, global, path};

/// Asks for one policy, within what its namespace allows.
pub struct ForPolicy<'a> {
    asker: &'a Asker<'a>,
    /// Empty for a policy of the cluster.
    namespace: &'a str,
}

impl<'a> ForPolicy<'a> {
    /// For a policy of `namespace`; empty for one of the cluster.
    pub fn new(asker: &'a Asker<'a>, namespace: &'a str) -> Self {
        Self { asker, namespace }
    }

    fn url_path(&self, url: &str, call: &Value) -> Result<Value, String> {
        path::check(url, self.namespace)?;
        let data = data(call);
        let asked = match method(call)? {
            "POST" => Call::post(url, &data),
            _ => Call::get(url),
        };
        own(self.asker.call(&asked, CALL))
    }
}

impl Lookup for ForPolicy<'_> {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Result<Value, String>> {
        if name.is_empty() {
            return Some(Err("no name is given".to_owned()));
        }
        let url = format!("/api/v1/namespaces/{}/configmaps/{}", path::escape(namespace), path::escape(name));
        Some(own(self.asker.get(&url, CONFIG_MAP)))
    }

    fn api_call(&self, call: &Value) -> Option<Result<Value, String>> {
        let url = call.get("urlPath").and_then(Value::as_str).unwrap_or_default();
        let service = call.get("service").filter(|service| service.is_object());
        Some(match (url, service) {
            // The engine asks so whether calls are answered at all, when a variable in one has no value.
            (url, _) if url.contains("{{") => Err(format!("a variable in {url} has no value")),
            ("", Some(service)) => self.asker.service(service, call, self.namespace),
            ("", None) => Err("neither urlPath nor service is set".to_owned()),
            (url, _) => self.url_path(url, call),
        })
    }

    fn global_reference(&self, name: &str) -> Option<Result<Value, String>> {
        Some(global::value(self.asker, name, self.namespace))
    }

    fn image_data(&self, _reference: &str) -> Option<Result<Value, String>> {
        Some(Err("imageRegistry is not answered here: registries are not asked during admission".to_owned()))
    }
}

/// `GET` where nothing is said.
pub(super) fn method(call: &Value) -> Result<&str, String> {
    match call.get("method").and_then(Value::as_str).unwrap_or("GET") {
        known @ ("GET" | "POST") => Ok(known),
        other => Err(format!("method {other:?}, accepted: GET, POST")),
    }
}

/// The object that `data` stands for: a list of keys and values.
pub(super) fn data(call: &Value) -> Value {
    let list = call.get("data").and_then(Value::as_array).into_iter().flatten();
    let pairs = list.filter_map(|pair| {
        let key = pair.get("key")?.as_str()?.to_owned();
        Some((key, pair.get("value").cloned().unwrap_or_default()))
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

pub(super) fn own(answer: Result<std::sync::Arc<Value>, AskError>) -> Result<Value, String> {
    answer.map(|value| Value::clone(&value)).map_err(|error| error.to_string())
}
