//! Pods that several cases use: `examples/pods`, with images that the cluster has.

use anyhow::Result;
use meshward_e2e::Manifest;
use meshward_e2e::manifest::{APP, ENVOY};

/// Port of every workload.
pub(super) const WORKLOAD: u16 = 8080;

/// As Istio's injector leaves it; the proxy is a stand-in.
pub(super) fn istio() -> Result<Manifest> {
    Manifest::example("istio.yaml")?.workload("web", &["serve", "8080"])?.probed("web", WORKLOAD)?.proxy(
        "istio-proxy",
        APP,
        &["/e2e-app", "proxy", "15001", "15006", "127.0.0.6"],
    )
}

/// As Linkerd's injector leaves it; the proxy is a stand-in.
pub(super) fn linkerd() -> Result<Manifest> {
    Manifest::example("linkerd.yaml")?.workload("cart", &["serve", "8080"])?.probed("cart", WORKLOAD)?.proxy(
        "linkerd-proxy",
        APP,
        &["/e2e-app", "proxy", "4140", "4143"],
    )
}

/// The same pods with a real Envoy as their proxy.
pub(super) fn istio_with_envoy() -> Result<Manifest> {
    // 127.0.0.6 is where Istio's inbound traffic comes from; its rules leave it alone.
    istio()?.proxy("istio-proxy", ENVOY, &envoy("15001", "15006", "127.0.0.6"))
}

pub(super) fn linkerd_with_envoy() -> Result<Manifest> {
    linkerd()?.proxy("linkerd-proxy", ENVOY, &envoy("4140", "4143", "0.0.0.0"))
}

fn envoy(outbound: &str, inbound: &str, from: &str) -> [&'static str; 8] {
    let config = include_str!("envoy.yaml")
        .replace("@OUTBOUND@", outbound)
        .replace("@INBOUND@", inbound)
        .replace("@FROM@", from);
    // A handful of configurations for the whole run.
    let program = "/usr/local/bin/envoy";
    [
        program,
        "--concurrency",
        "1",
        "--log-level",
        "warn",
        "--use-dynamic-base-id",
        "--config-yaml",
        config.leak(),
    ]
}

/// A server of no mesh.
pub(super) fn plain(name: &str) -> Result<Manifest> {
    let pod = Manifest::parse(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: app}}]}}}}"
    ))?;
    pod.workload("app", &["serve", "8080"])?.probed("app", WORKLOAD)
}
