//! Kuma. Its injector writes the whole resolved configuration into one annotation, which its init container reads as a
//! file and its CNI plugin from the API; arguments and environment of the init container stand above it. Pods injected
//! by releases before that have single annotations instead (app/cni/pkg/cni/annotations_linux.go of Kuma 2).

mod legacy;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings, kuma};
use meshward_redirect::net::visible;
use serde_json::Value;

use crate::arguments::CommandLine;
use crate::container::Container;
use crate::decide::Reading;
use crate::document;
use crate::findings::{Role, kuma_transparent_proxy};
use crate::problem::{Problem, Warning, quoted};
use crate::scope::Scope;
use crate::verdict::{Reason, Source};

const CONFIG: &str = "traffic.kuma.io/transparent-proxy-config";
const CONFIG_MAP: &str = "traffic.kuma.io/transparent-proxy-configmap-name";
const INJECTED: &str = "kuma.io/sidecar-injected";

pub(crate) fn read(scope: &mut Scope<'_>) -> Option<Reading> {
    if let Some(reason) = gateway(scope).or_else(|| not_intercepted(scope)) {
        return Some(Reading::Nothing(reason));
    }
    let mut settings = Settings::new(kuma::FLAGS);
    if let Some(container) = scope.findings.first(Mesh::Kuma, Role::Setup) {
        return init_container(scope, &container, settings);
    }
    if scope.on_pod(INJECTED).is_none_or(|found| found.value != "true") {
        let missing = "annotation kuma.io/sidecar-injected";
        return Some(Reading::Nothing(Reason::NotInjected { mesh: Mesh::Kuma, missing }));
    }
    if configuration(scope, &mut settings)? {
        return Some(Reading::Settings(settings, Source::Configuration));
    }
    if let Some(found) = scope.on_pod(CONFIG_MAP) {
        let what = format!("ConfigMap {}", visible(found.value));
        scope.warnings.push(Warning::Unresolved { container: "kuma-sidecar".into(), what });
    }
    legacy::annotations(scope, &mut settings);
    Some(Reading::Settings(settings, Source::Annotations))
}

/// A builtin gateway takes traffic at its own listeners only. A delegated one (`enabled`) still has its outbound traffic
/// redirected; its configuration says so.
fn gateway(scope: &Scope<'_>) -> Option<Reason> {
    let mesh = Mesh::Kuma;
    if let Some(found) = scope.on_pod("kuma.io/gateway").filter(|found| found.value == "builtin") {
        return Some(Reason::Gateway { mesh, by: found.says() });
    }
    let builtin =
        scope.findings.all(mesh, Role::Proxy).find(|container| container.name() == "kuma-gateway")?;
    Some(Reason::Gateway { mesh, by: format!("its proxy is {}", builtin.name()) })
}

fn not_intercepted(scope: &Scope<'_>) -> Option<Reason> {
    let found = scope.on_pod("kuma.io/transparent-proxying")?;
    matches!(found.value, "disabled" | "false" | "no")
        .then(|| Reason::InterceptionOff { mesh: Mesh::Kuma, by: found.says() })
}

/// Applies the configuration annotation; false when there is none, None (and a problem) when it is not accepted.
fn configuration(scope: &mut Scope<'_>, settings: &mut Settings) -> Option<bool> {
    let Some(found) = scope.on_pod(CONFIG).filter(|found| !found.value.trim().is_empty()) else {
        return Some(false);
    };
    let origin = |path: &str| match &found.origin {
        Origin::Annotation { object, key, .. } => {
            let path = (!path.is_empty()).then(|| path.to_string());
            Origin::Annotation { object, key: key.clone(), path }
        }
        other => other.clone(),
    };
    let document = match document::parse(found.value) {
        Ok(document) => document,
        Err(problem) => {
            scope.problems.push(Problem::Document { place: found.place(), problem });
            return None;
        }
    };
    match kuma::config::apply(&document, settings, origin) {
        Ok(lints) => {
            scope.warnings.extend(
                lints
                    .into_iter()
                    .map(|lint| Warning::Pod { message: format!("{}: {}", found.place(), lint.message) }),
            );
            Some(true)
        }
        Err(problem) => {
            scope.problems.push(Problem::Option(problem));
            None
        }
    }
}

fn init_container(
    scope: &mut Scope<'_>,
    container: &Container<'_>,
    mut settings: Settings,
) -> Option<Reading> {
    let words = kuma_transparent_proxy(container)?;
    let annotated = configuration(scope, &mut settings)?;
    CommandLine { program: "kumactl install transparent-proxy", container, words }
        .read(scope, &mut settings)?;
    kuma::settle(&mut settings);
    let files = settings.get("config");
    for file in files.elements() {
        if is_annotation(scope.pod.spec(), container, file) {
            if annotated {
                continue;
            }
        } else if annotated {
            let what = format!("configuration file {}", visible(file));
            scope.warnings.push(Warning::Unresolved { container: container.name().into(), what });
            continue;
        }
        scope.problems.push(Problem::OutOfReach {
            container: container.name().into(),
            what: format!("configuration file {}", quoted(file)),
            accepted: "the same configuration in annotation traffic.kuma.io/transparent-proxy-config",
        });
    }
    // The file names have done their work, and mean nothing outside the pod.
    settings.reset("config");
    Some(Reading::Settings(settings, Source::InitContainer))
}

/// Whether a file of the container is the configuration annotation, through a downward API volume.
fn is_annotation(spec: &Value, container: &Container<'_>, file: &str) -> bool {
    let fields = format!("metadata.annotations['{CONFIG}']");
    container.mounts().filter_map(|(volume, path)| Some((volume, file.strip_prefix(path)?))).any(
        |(volume, rest)| {
            let volumes =
                spec.get("volumes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let volume =
                volumes.iter().find(|known| known.get("name").and_then(Value::as_str) == Some(volume));
            let items = volume.and_then(|volume| volume.pointer("/downwardAPI/items")?.as_array());
            items.into_iter().flatten().any(|item| {
                item.get("path").and_then(Value::as_str) == Some(rest.trim_start_matches('/'))
                    && item.pointer("/fieldRef/fieldPath").and_then(Value::as_str) == Some(fields.as_str())
            })
        },
    )
}
