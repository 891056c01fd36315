//! Istio sidecars. An init container's own command line is the truth: its control plane resolved MeshConfig and
//! annotations into it (the validator of CNI mode carries the same one). Without it the annotations are read as
//! Istio's CNI plugin reads them (cni/pkg/plugin/sidecar_redirect.go), with the gaps closed that its users report:
//! owner groups and loopback CIDR of this pod, its status port, and the listening ports of its proxy.

mod proxy_config;

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings, istio};
use meshward_redirect::net::visible;

use crate::arguments::CommandLine;
use crate::container::Container;
use crate::decide::Reading;
use crate::findings::{Role, istio_iptables};
use crate::membership::security_id;
use crate::problem::{Warning, quoted};
use crate::scope::Scope;
use crate::verdict::{Reason, Source};

use proxy_config::ProxyConfigs;

/// Ports of the agent and proxy that Istio's CNI plugin never captures: status, health, metrics.
const OWN_PORTS: [&str; 3] = ["15020", "15021", "15090"];
/// What the plugin assumes for both exclude lists where the annotation is missing.
const STATUS_PORT: &str = "15020";
/// User and group of the proxy in Istio's images.
const PROXY_ID: u32 = 1337;

const MODE: &str = "istio-inbound-interception-mode";

pub(crate) fn read(scope: &mut Scope<'_>) -> Option<Reading> {
    let proxies: Vec<Container<'_>> = scope.findings.all(Mesh::Istio, Role::Proxy).collect();
    let configs = ProxyConfigs::of(scope, &proxies);
    if let Some(reason) = disabled(scope, &proxies, &configs) {
        return Some(Reading::Nothing(reason));
    }
    let setup = scope.findings.first(Mesh::Istio, Role::Setup);
    if setup.is_none()
        && let Some(reason) = gateway(&proxies)
    {
        return Some(Reading::Nothing(reason));
    }
    let mut settings = Settings::new(istio::FLAGS);
    let validator = scope.findings.first(Mesh::Istio, Role::Validator);
    let with_arguments =
        setup.or(validator).and_then(|container| Some((container, istio_iptables(&container)?)));
    let source = match with_arguments {
        Some((container, words)) => {
            CommandLine { program: "istio-iptables", container: &container, words }
                .read(scope, &mut settings)?;
            if setup.is_none() {
                dual_stack(scope, &proxies, &configs, &mut settings);
            }
            Source::InitContainer
        }
        None if scope.on_pod("sidecar.istio.io/status").is_none() && !scope.is_seed_member() => {
            let missing = "annotation sidecar.istio.io/status";
            return Some(Reading::Nothing(Reason::NotInjected { mesh: Mesh::Istio, missing }));
        }
        None => {
            annotations(scope, &proxies, &configs, &mut settings);
            Source::Annotations
        }
    };
    let mode = settings.get(MODE);
    if mode.value == "NONE" {
        let by = format!("{} is {}", mode.origin, quoted(&mode.value));
        return Some(Reading::Nothing(Reason::InterceptionOff { mesh: Mesh::Istio, by }));
    }
    Some(Reading::Settings(settings, source))
}

/// Proxyless gRPC: the agent runs, Envoy does not, and nothing listens where traffic would be redirected to.
fn disabled<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], configs: &ProxyConfigs) -> Option<Reason> {
    let (value, origin) = configs.variable(scope, proxies, "DISABLE_ENVOY")?;
    matches!(value.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
        .then(|| Reason::ProxyDisabled { mesh: Mesh::Istio, by: format!("{origin} is {}", quoted(&value)) })
}

/// A proxy that says which role it has, and it is not the sidecar's.
fn gateway(proxies: &[Container<'_>]) -> Option<Reason> {
    proxies.iter().find_map(|container| {
        let mut words = container.args();
        let role = (words.next() == Some("proxy")).then(|| words.next()).flatten()?;
        (role != "sidecar").then(|| Reason::Gateway {
            mesh: Mesh::Istio,
            by: format!("container {} runs as {}", visible(container.name()), quoted(role)),
        })
    })
}

fn derived(from: &str) -> Origin {
    Origin::Derived { from: from.into() }
}

/// One option from one annotation, or from the plugin's default.
fn from_annotation(
    scope: &Scope<'_>,
    settings: &mut Settings,
    option: &str,
    key: &str,
    default: Option<&str>,
) {
    match (scope.on_pod(key), default) {
        (Some(found), _) => settings.set(option, found.value, found.origin),
        (None, Some(default)) => {
            settings.set(option, default, derived("Istio's default where there is no annotation"))
        }
        (None, None) => {}
    }
}

fn annotations<'a>(
    scope: &mut Scope<'a>,
    proxies: &[Container<'a>],
    configs: &ProxyConfigs,
    settings: &mut Settings,
) {
    mode(scope, proxies, configs, settings);
    // Its script was given no outbound ports to leave out, and the pod's own ports as those to capture.
    let seed = scope.is_seed_member();
    if seed && scope.on_pod("traffic.sidecar.istio.io/includeInboundPorts").is_none() {
        container_ports(scope, proxies, settings);
    }
    for (option, name, default) in [
        ("istio-inbound-ports", "includeInboundPorts", (!seed).then_some("*")),
        ("istio-service-cidr", "includeOutboundIPRanges", Some("*")),
        ("istio-service-exclude-cidr", "excludeOutboundIPRanges", None),
        ("istio-outbound-ports", "includeOutboundPorts", None),
        ("istio-local-outbound-ports-exclude", "excludeOutboundPorts", (!seed).then_some(STATUS_PORT)),
        ("istio-exclude-interfaces", "excludeInterfaces", None),
        ("kube-virt-interfaces", "kubevirtInterfaces", None),
    ] {
        from_annotation(scope, settings, option, &format!("traffic.sidecar.istio.io/{name}"), default);
    }
    from_annotation(scope, settings, "kube-virt-interfaces", "istio.io/reroute-virtual-interfaces", None);
    inbound_excludes(scope, configs, settings);
    ids(scope, proxies, settings);
    ports(scope, configs, settings);
    for (variable, option) in [
        ("ISTIO_META_DNS_CAPTURE", "redirect-dns"),
        ("INVALID_DROP", "drop-invalid"),
        ("ISTIO_DUAL_STACK", "dual-stack"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS", "outbound-owner-groups"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "outbound-owner-groups-exclude"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "outbound-ipv4-loopback-cidr"),
    ] {
        if let Some((value, origin)) = configs.variable(scope, proxies, variable) {
            settings.set(option, value, origin);
        }
    }
    if settings.switch("redirect-dns") == Ok(true) {
        settings.set(
            "capture-all-dns",
            "true",
            derived("redirect-dns, which means every server in CNI mode"),
        );
    }
}

/// A validator only looks at loopback addresses; whether the proxy listens on both families stands with the proxy, where
/// Istio's CNI plugin looks too.
fn dual_stack<'a>(
    scope: &mut Scope<'a>,
    proxies: &[Container<'a>],
    configs: &ProxyConfigs,
    settings: &mut Settings,
) {
    const OPTION: &str = "dual-stack";
    if !settings.is_set(OPTION)
        && let Some((value, origin)) = configs.variable(scope, proxies, "ISTIO_DUAL_STACK")
    {
        settings.set(OPTION, value, origin);
    }
}

/// What istio-pod-network-controller captures where no annotation says it: the ports that the pod's containers declare
/// (pkg/handler, `getIncludedInboundPorts`). It counted the proxy's own too, which nobody meant to send to the proxy.
fn container_ports<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], settings: &mut Settings) {
    let containers = scope.pod.containers().filter(|container| !container.is_init());
    let others = containers.filter(|container| !proxies.iter().any(|proxy| proxy.is(container)));
    let mut ports: Vec<u64> = others.flat_map(|container| container.tcp_ports()).collect();
    ports.sort_unstable();
    ports.dedup();
    let text = ports.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    if text.is_empty() {
        let message = "no container declares a port, so no inbound connection is captured, as \
                       istio-pod-network-controller has it; traffic.sidecar.istio.io/includeInboundPorts names some"
            .into();
        scope.warnings.push(Warning::Pod { message });
    }
    settings.set("istio-inbound-ports", text, derived("the ports that the pod's containers declare"));
}

/// The annotation, else what the injector told the proxy.
fn mode<'a>(
    scope: &mut Scope<'a>,
    proxies: &[Container<'a>],
    configs: &ProxyConfigs,
    settings: &mut Settings,
) {
    if let Some(found) = scope.on_pod("sidecar.istio.io/interceptionMode") {
        settings.set(MODE, found.value, found.origin);
    } else if let Some((value, origin)) = configs.variable(scope, proxies, "ISTIO_META_INTERCEPTION_MODE") {
        settings.set(MODE, value, origin);
    } else if let Some((value, origin)) = configs.field("interceptionMode") {
        settings.set(MODE, value, origin);
    }
}

fn inbound_excludes(scope: &Scope<'_>, configs: &ProxyConfigs, settings: &mut Settings) {
    let annotation = scope.on_pod("traffic.sidecar.istio.io/excludeInboundPorts");
    let (listed, origin) = match annotation {
        Some(found) => (found.value, found.origin),
        None => (STATUS_PORT, derived("the ports that Istio never captures")),
    };
    let mut ports: Vec<String> = Vec::new();
    let mut add = |port: &str| {
        let port = port.trim();
        if !port.is_empty() && !ports.iter().any(|known| known == port) {
            ports.push(port.to_string());
        }
    };
    listed.split(',').for_each(&mut add);
    OWN_PORTS.into_iter().for_each(&mut add);
    // "0" switches the status port off.
    let status = scope.on_pod("status.sidecar.istio.io/port").map(|found| found.value.to_string());
    let status = status.or_else(|| configs.field("statusPort").map(|(value, _)| value));
    status.iter().map(String::as_str).filter(|port| port.trim() != "0").for_each(&mut add);
    settings.set("istio-local-exclude-ports", ports.join(","), origin);
}

/// The proxies' own users and groups. Root is nobody in particular, so it stands for the image's own user, as in
/// Istio's CNI plugin.
fn ids<'a>(scope: &mut Scope<'a>, proxies: &[Container<'a>], settings: &mut Settings) {
    for (option, field, alias) in [
        ("proxy-uid", "runAsUser", "pod-network-controller.istio.io/envoy-userid"),
        ("proxy-gid", "runAsGroup", "pod-network-controller.istio.io/envoy-groupid"),
    ] {
        if let Some(found) = scope.on_pod(alias) {
            settings.set(option, found.value, found.origin);
            continue;
        }
        let mut ids: Vec<u32> = Vec::new();
        let mut origin = derived("the user and group of Istio's images");
        for proxy in proxies {
            let Some((id, path)) = security_id(scope, proxy, field) else { continue };
            let id = if id == 0 { PROXY_ID } else { id };
            if !ids.contains(&id) {
                ids.push(id);
                origin = Origin::Field { path };
            }
        }
        if ids.is_empty() {
            ids.push(PROXY_ID);
        }
        settings.set(option, ids.iter().map(u32::to_string).collect::<Vec<_>>().join(","), origin);
    }
}

/// Where the proxy listens, when it is not where Istio's CNI plugin thinks (istio/istio#14317).
fn ports(scope: &Scope<'_>, configs: &ProxyConfigs, settings: &mut Settings) {
    for (option, field) in
        [("envoy-port", "proxyListenPort"), ("inbound-capture-port", "proxyInboundListenPort")]
    {
        if let Some((value, origin)) = configs.field(field) {
            settings.set(option, value, origin);
        }
    }
    // The seed project's proxies (Istio 1.0) take both directions at one port.
    if let Some(found) = scope.on_pod("pod-network-controller.istio.io/envoy-port") {
        settings.set("envoy-port", found.value, found.origin.clone());
        settings.set("inbound-capture-port", found.value, found.origin);
    }
}
