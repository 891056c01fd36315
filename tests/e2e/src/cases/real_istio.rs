//! The real Istio: istiod injects, pilot-agent and Envoy run, and nobody in the pod has privileges.

use anyhow::{Context, Result, ensure};
use meshward_e2e::istio::INJECTED;
use meshward_e2e::{Bed, Case, Istio, Manifest, Namespace, Pod, case, until};

use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(alone "real Istio's pods start under restricted once swapped, with mutual TLS through both Envoys", Istio, swapped),
    case!(alone "real Istio's CNI-mode pods are brought up by the agent, without a CNI plugin", Istio, cni_mode),
];

/// Istio's own annotation for classic sidecars; istiod's choice here is native ones.
pub(super) const NATIVE: &str = "sidecar.istio.io/nativeSidecar";
pub(super) const RESTRICTED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");
/// What the meshes' docs say to put there, so that the proxy has a name and an identity for the Service.
pub(super) const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: @NAME@}, spec: {
    selector: {app: @NAME@}, ports: [{name: http, port: 80, targetPort: 8080}]}}";

async fn swapped(bed: &Bed) -> Result<()> {
    let istio = Istio::install(bed, &[]).await?;
    let open = bed.namespace("istiod-open", &[INJECTED]).await?;
    let both = bed.namespace("istiod-strict", &[INJECTED, RESTRICTED]).await?;
    let shop = bed.restricted("istiod").await?;
    let mut started = Vec::new();
    for (name, native) in [("native", "true"), ("classic", "false")] {
        let written = workload(name)?.annotated(NATIVE, native);
        let refusal = both.refused(&written).await?;
        ensure!(refusal.contains("violates PodSecurity"), "refused for another reason: {refusal}");
        let injected = istio.injected(bed, &open, &written).await?;
        shop.apply(&Manifest::parse(&SERVICE.replace("@NAME@", name))?).await?;
        started.push(shop.pod(&bed.swapped(&injected).await?).await?);
    }
    talk(&shop, &started).await?;
    istio.uninstall().await
}

async fn cni_mode(bed: &Bed) -> Result<()> {
    let istio = Istio::install(bed, &["--cni"]).await?;
    let shop = bed.namespace("istiod-cni", &[INJECTED, RESTRICTED]).await?;
    let mut started = Vec::new();
    for (name, native) in [("native", "true"), ("classic", "false")] {
        shop.apply(&Manifest::parse(&SERVICE.replace("@NAME@", name))?).await?;
        started.push(shop.pod(&workload(name)?.annotated(NATIVE, native)).await?);
    }
    talk(&shop, &started).await?;
    istio.uninstall().await
}

/// Fit for *restricted* by itself. Istio's containers name no seccomp profile, so the pod has to.
pub(super) fn workload(name: &str) -> Result<Manifest> {
    let pod = pods::plain(name)?.with(|pod| {
        pod["metadata"]["labels"]["app"] = name.into();
        pod["spec"]["securityContext"] =
            serde_json::json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    });
    Ok(pod)
}

/// Each calls each by its Service; the answer's own head shows the mutual TLS that the server's Envoy saw.
pub(super) async fn talk(shop: &Namespace, started: &[Pod]) -> Result<()> {
    for pod in started {
        pod.ready(SOON).await?;
        pod.in_force().await?;
    }
    for client in started {
        for server in started {
            let what = format!("{} to call {} over mutual TLS", client.name(), server.name());
            // The proxies learn of each other a moment after they are ready.
            until(&what, SOON, async || by_mutual_tls(shop, client, server).await).await?;
        }
    }
    Ok(())
}

async fn by_mutual_tls(shop: &Namespace, client: &Pod, server: &Pod) -> Result<()> {
    let target = format!("{}.{}.svc.cluster.local:80/", server.name(), shop.name());
    let answer = client.call(pods::WORKLOAD, &target).await?;
    ensure!(answer.status == 200, "{} answers {}", server.name(), answer.status);
    let seen = answer.body.lines().find(|line| line.to_lowercase().starts_with("x-forwarded-client-cert:"));
    let seen = seen.with_context(|| format!("no client certificate was seen:\n{}", answer.body))?;
    let identity = format!("spiffe://cluster.local/ns/{}/sa/default", shop.name());
    ensure!(seen.contains(&format!("By={identity}")), "the server is somebody else: {seen}");
    ensure!(seen.contains(&format!("URI={identity}")), "the client is somebody else: {seen}");
    Ok(())
}
