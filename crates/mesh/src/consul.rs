//! Consul. Its webhook puts one JSON document with everything resolved into the init container's environment, or into
//! an annotation for its CNI plugin. Where both are missing, transparent proxying was off at injection, unless the pod
//! asks for it by name; then the document is made from the annotations as the webhook makes it
//! (connect-inject/webhook/redirect_traffic.go).

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings, consul};
use serde_json::Value;

use crate::container::Container;
use crate::decide::Reading;
use crate::document;
use crate::findings::{CONSUL_CONFIG, Role};
use crate::membership::security_id;
use crate::problem::{Problem, Warning};
use crate::scope::{Found, Scope};
use crate::verdict::{Reason, Source};

const CONFIG: &str = "consul.hashicorp.com/redirect-traffic-config";
const TRANSPARENT: &str = "consul.hashicorp.com/transparent-proxy";
/// The user of Consul's init container, which works before the proxy listens.
const INIT_USER: &str = "5996";
/// Where the webhook lets the proxy answer probes: liveness, readiness and startup, each with the container's number.
const PROBE_PORTS: std::ops::Range<u64> = 20300..20600;

pub(crate) fn read(scope: &mut Scope<'_>) -> Option<Reading> {
    if let Some(found) = scope.on_pod("consul.hashicorp.com/gateway-kind") {
        return Some(Reading::Nothing(Reason::Gateway { mesh: Mesh::Consul, by: found.says() }));
    }
    let mut settings = Settings::new(consul::FLAGS);
    let setup = scope.findings.first(Mesh::Consul, Role::Setup);
    // Nothing else of its environment is a setting, and some of it is secret.
    if let Some(container) = setup.or_else(|| scope.findings.first(Mesh::Consul, Role::Validator))
        && let Some((value, origin)) = scope.variable(&container, "CONSUL_DUAL_STACK")
    {
        settings.set("dual-stack", value, origin);
    }
    if let Some(container) = setup {
        return init_container(scope, &container, settings);
    }
    if scope.on_pod("consul.hashicorp.com/connect-inject-status").is_none() {
        let missing = "annotation consul.hashicorp.com/connect-inject-status";
        return Some(Reading::Nothing(Reason::NotInjected { mesh: Mesh::Consul, missing }));
    }
    if let Some(found) = scope.on_pod(CONFIG).filter(|found| !found.value.trim().is_empty()) {
        let (place, origin) = (found.place(), found.origin.clone());
        apply(scope, found.value, &place, &mut settings, |path| within(&origin, path))?;
        return Some(Reading::Settings(settings, Source::Configuration));
    }
    match scope.on_pod(TRANSPARENT).or_else(|| scope.namespace_label(TRANSPARENT)) {
        Some(found) if is_true(scope, &found)? => {
            annotations(scope, &mut settings);
            Some(Reading::Settings(settings, Source::Annotations))
        }
        found => {
            let by = found.map_or_else(
                || format!("there is neither {CONSUL_CONFIG} nor annotation {CONFIG}"),
                |found| found.says(),
            );
            Some(Reading::Nothing(Reason::InterceptionOff { mesh: Mesh::Consul, by }))
        }
    }
}

fn init_container(
    scope: &mut Scope<'_>,
    container: &Container<'_>,
    mut settings: Settings,
) -> Option<Reading> {
    let environment = container.environment();
    let Some(text) = environment.get(CONSUL_CONFIG) else {
        scope.problems.push(Problem::OutOfReach {
            container: container.name().into(),
            what: format!("variable {CONSUL_CONFIG}"),
            accepted: "the variable with a value of its own",
        });
        return None;
    };
    let origin = Origin::Environment { container: container.name().into(), variable: CONSUL_CONFIG.into() };
    let place = origin.to_string();
    apply(scope, text, &place, &mut settings, |_| origin.clone())?;
    Some(Reading::Settings(settings, Source::InitContainer))
}

fn within(origin: &Origin, path: &str) -> Origin {
    match origin {
        Origin::Annotation { object, key, .. } => {
            let path = (!path.is_empty()).then(|| path.to_string());
            Origin::Annotation { object, key: key.clone(), path }
        }
        other => other.clone(),
    }
}

fn apply(
    scope: &mut Scope<'_>,
    text: &str,
    place: &str,
    settings: &mut Settings,
    origin: impl Fn(&str) -> Origin,
) -> Option<()> {
    let document = match document::parse(text) {
        Ok(document) => document,
        Err(problem) => {
            scope.problems.push(Problem::Document { place: place.into(), problem });
            return None;
        }
    };
    match consul::config::apply(&document, settings, origin) {
        Ok(lints) => {
            let messages = lints.into_iter().map(|lint| format!("{place}: {}", lint.message));
            scope.warnings.extend(messages.map(|message| Warning::Pod { message }));
            Some(())
        }
        Err(problem) => {
            scope.problems.push(Problem::Option(problem));
            None
        }
    }
}

/// Go's `strconv.ParseBool`; anything else is a problem.
fn is_true(scope: &mut Scope<'_>, found: &Found<'_>) -> Option<bool> {
    match found.value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => {
            scope.problems.push(found.invalid("true or false"));
            None
        }
    }
}

fn annotations(scope: &mut Scope<'_>, settings: &mut Settings) {
    for (option, name) in [
        ("exclude-outbound-port", "transparent-proxy-exclude-outbound-ports"),
        ("exclude-outbound-cidr", "transparent-proxy-exclude-outbound-cidrs"),
    ] {
        if let Some(found) = scope.on_pod(&format!("consul.hashicorp.com/{name}")) {
            settings.set(option, found.value, found.origin);
        }
    }
    users(scope, settings);
    inbound(scope, settings);
    let key = "consul.hashicorp.com/consul-dns";
    if let Some(found) = scope.on_pod(key).or_else(|| scope.namespace_label(key))
        && is_true(scope, &found) == Some(true)
    {
        settings.set("consul-dns-ip", "127.0.0.1", found.origin.clone());
        settings.set("consul-dns-port", "8600", found.origin);
    }
}

fn users(scope: &mut Scope<'_>, settings: &mut Settings) {
    let proxies: Vec<_> = scope.findings.all(Mesh::Consul, Role::Proxy).collect();
    let user = proxies.iter().find_map(|proxy| security_id(scope, proxy, "runAsUser"));
    if let Some((id, path)) = user {
        settings.set("proxy-uid", id.to_string(), Origin::Field { path });
    }
    let init = scope.findings.first(Mesh::Consul, Role::Validator);
    let own = init.and_then(|container| security_id(scope, &container, "runAsUser"));
    let (mut users, mut origin) = match own {
        Some((id, path)) => (id.to_string(), Origin::Field { path }),
        None => {
            (INIT_USER.to_string(), Origin::Derived { from: "the user of Consul's init container".into() })
        }
    };
    if let Some(found) = scope.on_pod("consul.hashicorp.com/transparent-proxy-exclude-uids") {
        users = format!("{users},{}", found.value);
        origin = found.origin;
    }
    settings.set("exclude-uid", users, origin);
}

fn inbound(scope: &mut Scope<'_>, settings: &mut Settings) {
    let mut ports: Vec<String> = Vec::new();
    let mut origin = Origin::Derived { from: "Consul's metrics, health and probe ports".into() };
    let on = |scope: &mut Scope<'_>, name: &str| {
        let found = scope.on_pod(&format!("consul.hashicorp.com/{name}"));
        found.is_some_and(|found| is_true(scope, &found) == Some(true))
    };
    if on(scope, "enable-metrics") {
        let port = scope.on_pod("consul.hashicorp.com/prometheus-scrape-port");
        ports.push(port.map_or("20200", |found| found.value).to_string());
    }
    if on(scope, "use-proxy-health-check") {
        ports.push("21000".to_string());
    }
    for container in scope.pod.containers().filter(|container| !container.is_init()) {
        let probes = container.probe_ports().filter_map(Value::as_u64);
        ports.extend(probes.filter(|port| PROBE_PORTS.contains(port)).map(|port| port.to_string()));
    }
    if let Some(found) = scope.on_pod("consul.hashicorp.com/transparent-proxy-exclude-inbound-ports") {
        ports.push(found.value.to_string());
        origin = found.origin;
    }
    if !ports.is_empty() {
        settings.set("exclude-inbound-port", ports.join(","), origin);
    }
}
