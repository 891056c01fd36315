//! Istio's ProxyConfig of one pod: the object that the injector resolved into the proxy's variable `PROXY_CONFIG`,
//! then the pod's own annotation `proxy.istio.io/config`. Its `proxyMetadata` becomes variables of the proxy.

use meshward_redirect::dialect::Origin;
use serde_json::Value;

use crate::container::Container;
use crate::document;
use crate::problem::{Problem, Warning};
use crate::scope::Scope;

const ANNOTATION: &str = "proxy.istio.io/config";
const VARIABLE: &str = "PROXY_CONFIG";

/// The configurations that say something about a pod's proxy, the strongest first.
pub(super) struct ProxyConfigs(Vec<(Value, Origin)>);

impl ProxyConfigs {
    pub(super) fn of<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>]) -> Self {
        let mut configs = Vec::new();
        for proxy in proxies {
            let Some((text, origin)) = scope.variable(proxy, VARIABLE) else { continue };
            match document::parse(&text) {
                Ok(config) => configs.push((config, origin)),
                // Written by the mesh's own injector, and nearly never about rules: no reason to stop the pod.
                Err(problem) => scope.warnings.push(Warning::Pod { message: format!("{origin}: {problem}") }),
            }
        }
        if let Some(found) = scope.on_pod(ANNOTATION) {
            match document::parse(found.value) {
                Ok(config) => configs.push((config, found.origin)),
                Err(problem) => scope.problems.push(Problem::Document { place: found.place(), problem }),
            }
        }
        Self(configs)
    }

    /// A scalar field of the strongest configuration that has it.
    pub(super) fn field(&self, name: &str) -> Option<(String, Origin)> {
        self.lookup(&[name])
    }

    /// A variable of the proxy: its own environment, else the metadata of a configuration.
    pub(super) fn variable<'a>(
        &self,
        scope: &mut Scope<'a>,
        proxies: &[Container<'a>],
        name: &str,
    ) -> Option<(String, Origin)> {
        let own = proxies.iter().find_map(|proxy| scope.variable(proxy, name));
        own.or_else(|| self.lookup(&["proxyMetadata", name]))
    }

    fn lookup(&self, path: &[&str]) -> Option<(String, Origin)> {
        self.0.iter().find_map(|(config, origin)| {
            let value = path.iter().try_fold(config, |value, key| value.get(key))?;
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return None,
            };
            Some((text, at(origin, path.join("."))))
        })
    }
}

/// The origin with a path inside it, where it can hold one.
fn at(origin: &Origin, path: String) -> Origin {
    match origin {
        Origin::Annotation { object, key, .. } => {
            Origin::Annotation { object, key: key.clone(), path: Some(path) }
        }
        other => other.clone(),
    }
}
