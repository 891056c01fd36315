//! Linkerd. Without its init container, the annotations are read as its CNI plugin reads them (cni-plugin/main.go):
//! the pod's beats the namespace's, skipped outbound ports replace the default, skipped inbound ports join the proxy's
//! own. Where the injector told the proxy its ports, those count: they are where it really listens.

use std::net::SocketAddr;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings, linkerd};

use crate::arguments::CommandLine;
use crate::container::Container;
use crate::decide::Reading;
use crate::findings::{Role, linkerd_proxy_init};
use crate::membership::security_id;
use crate::scope::Scope;
use crate::verdict::Source;

/// Ports of the API server that the control plane's own pods reach without their proxy (`kubeAPIServerPorts`).
const API_SERVER_PORTS: &str = "443,6443";

pub(crate) fn read(scope: &mut Scope<'_>) -> Option<Reading> {
    let mut settings = Settings::new(linkerd::FLAGS);
    let setup = scope.findings.first(Mesh::Linkerd, Role::Setup);
    if let Some((container, words)) =
        setup.and_then(|container| Some((container, linkerd_proxy_init(&container)?)))
    {
        CommandLine { program: "linkerd2-proxy-init", container: &container, words }
            .read(scope, &mut settings)?;
        return Some(Reading::Settings(settings, Source::InitContainer));
    }
    let proxies: Vec<Container<'_>> = scope.findings.all(Mesh::Linkerd, Role::Proxy).collect();
    listeners(scope, &proxies, &mut settings);
    skipped(scope, &proxies, &mut settings);
    ids(scope, &proxies, &mut settings);
    Some(Reading::Settings(settings, Source::Annotations))
}

/// An address the proxy listens at, from its environment.
fn listener<'a>(
    scope: &mut Scope<'a>,
    proxies: &[Container<'a>],
    direction: &str,
) -> Option<(SocketAddr, Origin)> {
    for name in [
        format!("LINKERD2_PROXY_{direction}_LISTEN_ADDRS"),
        format!("LINKERD2_PROXY_{direction}_LISTEN_ADDR"),
    ] {
        let Some((text, origin)) = proxies.iter().find_map(|proxy| scope.variable(proxy, &name)) else {
            continue;
        };
        // A list holds one address for each family, with the same port.
        let first = text.split(',').map(str::trim).next().unwrap_or_default().parse();
        if let Ok(address) = first {
            return Some((address, origin));
        }
    }
    None
}

fn listeners<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], settings: &mut Settings) {
    for (option, direction, key) in [
        ("incoming-proxy-port", "INBOUND", "config.linkerd.io/inbound-port"),
        ("outgoing-proxy-port", "OUTBOUND", "config.linkerd.io/outbound-port"),
    ] {
        if let Some((address, origin)) = listener(scope, proxies, direction) {
            settings.set(option, address.port().to_string(), origin);
        } else if let Some(found) = scope.on_either(key) {
            settings.set(option, found.value, found.origin);
        }
    }
    if let Some((address, origin)) = listener(scope, proxies, "INBOUND") {
        // The injector lets the proxy listen at [::] exactly when the mesh has IPv6 enabled.
        settings.set("ipv6", address.is_ipv6().to_string(), origin);
    }
}

fn skipped<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], settings: &mut Settings) {
    let mut inbound: Vec<String> = Vec::new();
    for (direction, key, default) in [
        ("CONTROL", "config.linkerd.io/control-port", "4190"),
        ("ADMIN", "config.linkerd.io/admin-port", "4191"),
    ] {
        inbound.push(match (listener(scope, proxies, direction), scope.on_either(key)) {
            (Some((address, _)), _) => address.port().to_string(),
            (None, Some(found)) => {
                if found.value.trim().parse::<u16>().is_err() {
                    scope.problems.push(found.invalid("a port, 0 to 65535"));
                }
                found.value.to_string()
            }
            (None, None) => default.to_string(),
        });
    }
    let mut origin = Origin::Derived { from: "the proxy's control and admin ports".into() };
    if let Some(found) = non_empty(scope, "config.linkerd.io/skip-inbound-ports") {
        inbound.push(found.0);
        origin = found.1;
    }
    settings.set("inbound-ports-to-ignore", inbound.join(","), origin);

    let outbound = non_empty(scope, "config.linkerd.io/skip-outbound-ports");
    if scope.pod_label("linkerd.io/control-plane-component").is_some_and(|label| !label.value.is_empty()) {
        let own = Origin::Derived { from: "the API server's ports, for Linkerd's control plane".into() };
        let (value, origin) = match outbound {
            Some((ports, origin)) => (format!("{ports},{API_SERVER_PORTS}"), origin),
            None => (API_SERVER_PORTS.to_string(), own),
        };
        settings.set("outbound-ports-to-ignore", value, origin);
    } else if let Some((ports, origin)) = outbound {
        settings.set("outbound-ports-to-ignore", ports, origin);
    }
    if let Some((subnets, origin)) = non_empty(scope, "config.linkerd.io/skip-subnets") {
        settings.set("subnets-to-ignore", subnets, origin);
    }
}

/// The pod's annotation, else the namespace's; an empty one counts as none.
fn non_empty(scope: &Scope<'_>, key: &str) -> Option<(String, Origin)> {
    let some = |found: &crate::scope::Found<'_>| !found.value.trim().is_empty();
    let found = scope.on_pod(key).filter(some).or_else(|| scope.on_namespace(key).filter(some))?;
    Some((found.value.to_string(), found.origin))
}

fn ids<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], settings: &mut Settings) {
    for (option, key, field) in [
        ("proxy-uid", "config.linkerd.io/proxy-uid", "runAsUser"),
        ("proxy-gid", "config.linkerd.io/proxy-gid", "runAsGroup"),
    ] {
        let found = non_empty(scope, key).or_else(|| {
            let (id, path) = proxies.iter().find_map(|proxy| security_id(scope, proxy, field))?;
            // Group 0 is what containers get by default; it would exempt far more than the proxy.
            (field == "runAsUser" || id != 0).then(|| (id.to_string(), Origin::Field { path }))
        });
        if let Some((id, origin)) = found {
            settings.set(option, id, origin);
        }
    }
}
