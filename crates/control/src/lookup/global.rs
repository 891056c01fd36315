//! Global context: values that a GlobalContextEntry of Kyverno defines once for all policies, a list of objects or the
//! answer to a call, each good for its refresh interval.

use std::time::Duration;

use meshward_policy::duration::Duration as GoDuration;
use meshward_policy::jmespath::{Context, Dialect, Expression};
use serde_json::Value;

use super::fetch::Call;
use super::policy::{data, method, own};
use super::{Asker, GLOBAL, path};

/// Versions of the definition, the newest first.
const VERSIONS: [&str; 3] = ["v2beta1", "v2alpha1", "v2"];
/// Kyverno's default of `refreshInterval`, and what lists of objects may be late.
const REFRESH: Duration = Duration::from_secs(600);
const LIST: Duration = Duration::from_secs(2);

/// The value of an entry, or of one of its projections (`entry.projection`).
pub(super) fn value(asker: &Asker<'_>, name: &str, namespace: &str) -> Result<Value, String> {
    if name.is_empty() {
        return Err("no name is given".to_owned());
    }
    if !namespace.is_empty() {
        return Err(format!(
            "a policy of namespace {namespace} may not use global context, which shows the cluster"
        ));
    }
    let (entry, projection) = name.split_once('.').unwrap_or((name, ""));
    let definition = definition(asker, entry)?;
    let value = source(asker, entry, &definition)?;
    if projection.is_empty() {
        return Ok(value);
    }
    let projections = definition.pointer("/spec/projections").and_then(Value::as_array);
    let named = |one: &&Value| one.get("name").is_some_and(|name| name == projection);
    let found = projections.into_iter().flatten().find(named);
    let written = found.and_then(|found| found.get("jmesPath")?.as_str());
    let written =
        written.ok_or_else(|| format!("GlobalContextEntry {entry} has no projection {projection:?}"))?;
    let failed = |error: String| format!("projection {projection:?} of GlobalContextEntry {entry}: {error}");
    let expression =
        Expression::parse(written, Dialect::Kyverno).map_err(|error| failed(error.to_string()))?;
    let context = Context::new(asker);
    let projected = expression.search(&value, &context).map_err(|error| failed(error.to_string()))?;
    Ok(projected.into_owned())
}

fn definition(asker: &Asker<'_>, name: &str) -> Result<Value, String> {
    let name = path::escape(name);
    let mut told = String::new();
    for version in VERSIONS {
        match asker.get(&format!("/apis/kyverno.io/{version}/globalcontextentries/{name}"), GLOBAL) {
            Ok(definition) => return Ok(Value::clone(&definition)),
            Err(super::AskError::Missing(text)) => told = text,
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!("GlobalContextEntry {name} is not in the cluster: {told}"))
}

fn source(asker: &Asker<'_>, name: &str, definition: &Value) -> Result<Value, String> {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if let Some(resource) = definition.pointer("/spec/kubernetesResource").filter(|value| value.is_object()) {
        let member =
            |name: &str| path::escape(resource.get(name).and_then(Value::as_str).unwrap_or_default());
        let root = match member("group").as_str() {
            "" => format!("/api/{}", member("version")),
            group => format!("/apis/{group}/{}", member("version")),
        };
        let within = match member("namespace").as_str() {
            "" => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        let list = asker.get(&format!("{root}{within}/{}", member("resource")), LIST);
        return own(list).map(|list| list.get("items").cloned().unwrap_or_default());
    }
    let Some(call) = definition.pointer("/spec/apiCall").filter(|value| value.is_object()) else {
        return Err(format!("GlobalContextEntry {name} has neither kubernetesResource nor apiCall"));
    };
    if let Some(service) = call.get("service").filter(|service| service.is_object()) {
        return asker.service(service, call, "");
    }
    let refresh = GoDuration::parse(text("/spec/apiCall/refreshInterval")).ok();
    let refresh = refresh.and_then(|refresh| u64::try_from(refresh.nanoseconds()).ok());
    let refresh = refresh.map_or(REFRESH, Duration::from_nanos);
    let (url, data) = (text("/spec/apiCall/urlPath"), data(call));
    path::check(url, "")?;
    let asked = if method(call)? == "POST" { Call::post(url, &data) } else { Call::get(url) };
    own(asker.call(&asked, refresh))
}
