//! The annotation `meshward.dev/redirect`: what a pod wants, decided once at admission and written down, so that the
//! node agent need not decide again. Canonical, so that equal plans are equal texts:
//!
//! ```json
//! {"version":1,"mesh":"istio","settings":{"istio-inbound-ports":"*","proxy-uid":"1337"}}
//! ```
//!
//! Only options that decide rules and differ from the mesh's default are there, in alphabetical order. Whoever may edit
//! a pod may edit this, so it is read like any other annotation: bounded, typed, every mistake named.

use std::collections::BTreeMap;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Effect, Origin, Settings};
use meshward_redirect::net::visible;
use serde_json::Value;

use crate::known::REDIRECT;
use crate::pod::PodTemplate;
use crate::problem::{PlanError, Problem, quoted};
use crate::scope::{Found, Scope};
use crate::verdict::Plan;

/// The only version there is.
const VERSION: u64 = 1;

/// The redirection that was decided at admission, read from the annotation alone.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Whose rules.
    pub mesh: Mesh,
    /// Every option with its value and origin.
    pub settings: Settings,
}

impl Recorded {
    /// The annotation's text in its canonical form.
    pub fn to_annotation(&self) -> String {
        canonical(self.mesh, &self.settings)
    }
}

impl Plan {
    /// The text of annotation `meshward.dev/redirect` for this plan.
    pub fn to_annotation(&self) -> String {
        canonical(self.mesh, &self.settings)
    }
}

fn canonical(mesh: Mesh, settings: &Settings) -> String {
    let rules = settings.flags().iter().zip(settings.all());
    let settings: BTreeMap<&str, String> = rules
        .filter(|(flag, _)| flag.effect == Effect::Rules && settings.is_set(flag.long))
        .map(|(flag, setting)| (flag.long, setting.value))
        .collect();
    // Serialised by hand only as far as the order of the three keys goes.
    let settings = serde_json::to_string(&settings).unwrap_or_default();
    format!(r#"{{"version":{VERSION},"mesh":"{mesh}","settings":{settings}}}"#)
}

/// What annotation `meshward.dev/redirect` says, for those who know a pod's annotations and not the pod: the node agent
/// while the API server is away. None without the annotation, and where another annotation or label contradicts it.
///
/// # Errors
/// [`PlanError`] with every value that is not accepted.
pub fn recorded(pod: &PodTemplate<'_>) -> Result<Option<Recorded>, PlanError> {
    let mut scope = Scope::new(pod, None);
    let read = if scope.problems.is_empty() { from_scope(&mut scope) } else { None };
    if !scope.problems.is_empty() {
        return Err(PlanError { object: pod.title(), problems: scope.problems });
    }
    Ok(read)
}

fn from_scope(scope: &mut Scope<'_>) -> Option<Recorded> {
    let found = scope.on_pod(REDIRECT)?;
    let document = serde_json::from_str::<Value>(found.value).ok();
    let name = document.as_ref().and_then(|document| document.get("mesh")?.as_str());
    let Some(mesh) = Mesh::ALL.into_iter().find(|mesh| Some(mesh.name()) == name) else {
        let problem = Problem::Value {
            place: format!("mesh in {}", found.place()),
            found: quoted(name.unwrap_or(found.value)),
            accepted: "istio, linkerd, kuma or consul",
        };
        scope.problems.push(problem);
        return None;
    };
    if scope.opted_out(mesh).is_some() || scope.seed_skips().is_some() {
        return None;
    }
    let settings = read(scope, mesh, &found)?;
    if let Err(problems) = dialect::check(mesh, &settings) {
        scope.problems.extend(problems.into_iter().map(Problem::Option));
    }
    Some(Recorded { mesh, settings })
}

/// Reads the annotation back. None (and problems) when it is not accepted.
pub(crate) fn read(scope: &mut Scope<'_>, mesh: Mesh, found: &Found<'_>) -> Option<Settings> {
    let mut problems = Vec::new();
    let settings = settings(mesh, found, &mut problems);
    scope.problems.extend(problems);
    settings
}

fn settings(mesh: Mesh, found: &Found<'_>, problems: &mut Vec<Problem>) -> Option<Settings> {
    let document = match serde_json::from_str::<Value>(found.value) {
        Ok(document) => document,
        Err(error) => {
            problems.push(Problem::Document { place: found.place(), problem: error.to_string() });
            return None;
        }
    };
    let mut invalid = |path: &str, value: Option<&Value>, accepted: &'static str| {
        let text = value.map_or_else(|| "nothing".to_string(), |value| quoted(&value.to_string()));
        problems.push(Problem::Value {
            place: format!("{path} in {}", found.place()),
            found: text,
            accepted,
        });
    };
    if document.get("version").and_then(Value::as_u64) != Some(VERSION) {
        invalid("version", document.get("version"), "1");
        return None;
    }
    if document.get("mesh").and_then(Value::as_str) != Some(mesh.name()) {
        invalid("mesh", document.get("mesh"), "the mesh whose containers the pod has");
        return None;
    }
    for (key, value) in document.as_object().into_iter().flatten() {
        if !matches!(key.as_str(), "version" | "mesh" | "settings") {
            invalid(key, Some(value), "version, mesh and settings");
        }
    }
    let Some(entries) = document.get("settings").and_then(Value::as_object) else {
        invalid("settings", document.get("settings"), "an object of texts");
        return None;
    };
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for (option, value) in entries {
        let path = format!("settings.{}", visible(option));
        let known = settings.flags().iter().any(|flag| flag.long == option && flag.effect == Effect::Rules);
        match value.as_str() {
            Some(text) if known => {
                let origin = Origin::Annotation { object: "pod", key: REDIRECT.into(), path: Some(path) };
                settings.set(option, text, origin);
            }
            None if known => invalid(&path, Some(value), "a text"),
            _ => invalid(&path, Some(value), "an option of the mesh that decides rules"),
        }
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotations: Value) -> Result<Option<String>, String> {
        let object =
            json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations}, "spec": {}});
        let pods = crate::pods(&object);
        let read = recorded(&pods[0]).map_err(|error| error.to_string())?;
        Ok(read.map(|recorded| recorded.to_annotation()))
    }

    #[test]
    fn the_annotation_is_enough() {
        let text = r#"{"version":1,"mesh":"linkerd","settings":{"proxy-uid":"2102"}}"#;
        assert_eq!(read(json!({REDIRECT: text})), Ok(Some(text.to_string())));
        assert_eq!(read(json!({})), Ok(None));
        let out = json!({REDIRECT: text, "linkerd.io/inject": "disabled"});
        assert_eq!(read(out), Ok(None));
        // An order of its own is put right.
        let other = r#"{"settings":{"proxy-uid":"2102"},"mesh":"linkerd","version":1}"#;
        assert_eq!(read(json!({REDIRECT: other})), Ok(Some(text.to_string())));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("{", "accepted: istio, linkerd, kuma or consul"),
            (r#"{"version":1,"mesh":"osm","settings":{}}"#, "found \"osm\""),
            (r#"{"version":2,"mesh":"istio","settings":{}}"#, "version in annotation"),
            (r#"{"version":1,"mesh":"istio","settings":{"proxy-uid":"x"}}"#, "settings.proxy-uid"),
            (r#"{"version":1,"mesh":"istio","settings":{"help":"x"}}"#, "settings.help"),
        ] {
            let error = read(json!({REDIRECT: text})).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
