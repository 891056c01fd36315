//! Single annotations, as the CNI plugin of Kuma 2 reads them where the configuration annotation is missing.

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings};

use crate::findings::Role;
use crate::membership::security_id;
use crate::scope::{Found, Scope};

/// Envoy's admin port, which the plugin never captures in either direction.
const ADMIN_PORT: &str = "9901";
/// Where probes are answered unless the pod says otherwise.
const PROBES_PORT: &str = "9000";

pub(super) fn annotations(scope: &mut Scope<'_>, settings: &mut Settings) {
    for (option, key) in [
        ("redirect-outbound-port", "kuma.io/transparent-proxying-outbound-port"),
        ("redirect-inbound-port", "kuma.io/transparent-proxying-inbound-port"),
        ("ip-family-mode", "kuma.io/transparent-proxying-ip-family-mode"),
        ("exclude-outbound-ports-for-uids", "traffic.kuma.io/exclude-outbound-ports-for-uids"),
        ("exclude-inbound-ips", "traffic.kuma.io/exclude-inbound-ips"),
        ("exclude-outbound-ips", "traffic.kuma.io/exclude-outbound-ips"),
        ("drop-invalid-packets", "traffic.kuma.io/drop-invalid-packets"),
        ("iptables-logs", "traffic.kuma.io/iptables-logs"),
        ("redirect-dns-port", "kuma.io/builtin-dns-port"),
    ] {
        if let Some(found) = scope.on_pod(key) {
            settings.set(option, found.value, found.origin);
        }
    }
    user(scope, settings);
    ports(scope, settings);
    if let Some(found) = scope.on_pod("kuma.io/gateway")
        && is_on(scope, &found) == Some(true)
    {
        settings.set("redirect-inbound", "false", found.origin);
    }
    if let Some(found) = scope.on_pod("kuma.io/builtin-dns")
        && is_on(scope, &found) == Some(true)
    {
        settings.set("redirect-dns", "true", found.origin.clone());
        settings.set("redirect-all-dns-traffic", "true", found.origin);
    }
}

fn user(scope: &mut Scope<'_>, settings: &mut Settings) {
    if let Some(found) = scope.on_pod("kuma.io/sidecar-uid") {
        settings.set("kuma-dp-user", found.value, found.origin);
        return;
    }
    let proxies: Vec<_> = scope.findings.all(Mesh::Kuma, Role::Proxy).collect();
    let field = proxies.iter().find_map(|proxy| security_id(scope, proxy, "runAsUser"));
    if let Some((id, path)) = field {
        settings.set("kuma-dp-user", id.to_string(), Origin::Field { path });
    }
}

fn ports(scope: &mut Scope<'_>, settings: &mut Settings) {
    let own = || Origin::Derived { from: "the proxy's admin and probe ports".into() };
    let admin = scope.on_pod("kuma.io/envoy-admin-port").map_or(ADMIN_PORT, |found| found.value);
    let (mut inbound, origin) = match scope.on_pod("traffic.kuma.io/exclude-inbound-ports") {
        Some(found) => (found.value.to_string(), found.origin),
        None => (admin.to_string(), own()),
    };
    let probes = scope
        .on_pod("kuma.io/application-probe-proxy-port")
        .or_else(|| scope.on_pod("kuma.io/virtual-probes-port"))
        .map_or(PROBES_PORT, |found| found.value);
    let virtual_probes = scope.on_pod("kuma.io/virtual-probes");
    let enabled = virtual_probes.is_none_or(|found| is_on(scope, &found) != Some(false));
    // Port 0 switches the probe proxy off.
    if enabled && probes.trim() != "0" {
        inbound = if inbound.trim().is_empty() { probes.to_string() } else { format!("{inbound},{probes}") };
    }
    settings.set("exclude-inbound-ports", inbound, origin);
    match scope.on_pod("traffic.kuma.io/exclude-outbound-ports") {
        Some(found) => settings.set("exclude-outbound-ports", found.value, found.origin),
        None => settings.set("exclude-outbound-ports", admin, own()),
    }
}

/// Kuma's spellings of a switch; anything else is a problem.
fn is_on(scope: &mut Scope<'_>, found: &Found<'_>) -> Option<bool> {
    match found.value {
        "enabled" | "true" | "yes" => Some(true),
        "disabled" | "false" | "no" => Some(false),
        _ => {
            scope.problems.push(found.invalid("enabled, disabled, true, false, yes or no"));
            None
        }
    }
}
