//! Pods that several cases use: `examples/pods`, with images that the cluster has.

use anyhow::Result;
use meshward_e2e::Manifest;

/// Port of every workload.
pub(super) const WORKLOAD: u16 = 8080;

/// As Istio's injector leaves it; the proxy is a stand-in.
pub(super) fn istio() -> Result<Manifest> {
    Manifest::example("istio.yaml")?
        .workload("web", &["serve", "8080"])?
        .probed("web", WORKLOAD)?
        .workload("istio-proxy", &["proxy", "15001", "15006", "127.0.0.6"])
}

/// As Linkerd's injector leaves it; the proxy is a stand-in.
pub(super) fn linkerd() -> Result<Manifest> {
    Manifest::example("linkerd.yaml")?
        .workload("cart", &["serve", "8080"])?
        .probed("cart", WORKLOAD)?
        .workload("linkerd-proxy", &["proxy", "4140", "4143"])
}

/// A server of no mesh.
pub(super) fn plain(name: &str) -> Result<Manifest> {
    let pod = Manifest::parse(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{containers: [{{name: app}}]}}}}"
    ))?;
    pod.workload("app", &["serve", "8080"])?.probed("app", WORKLOAD)
}
