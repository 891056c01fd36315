//! The pages say what to type. Here it is typed, block by block, in the pages' own order, with the names they use; only
//! what no cluster of ours has (a mesh's own command, OpenShift's) is stood in for.

use anyhow::{Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use meshward_e2e::{Bed, Case, Manifest, case, until};
use serde_json::json;

use super::desk::{Desk, blocks};
use super::looks::captured;
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(alone "what the pages say to type installs, upgrades and removes the agent", Node, pages),
    case!(alone "what the pages say to type for OpenShift installs the agent", Node, openshift),
];

/// The name that the pages use for an application's namespace.
const SHOP: &str = "shop";
const CONSTRAINTS: &str = "securitycontextconstraints.security.openshift.io";

/// `kubectl port-forward &` takes a moment, which a person does not notice.
fn patient(block: &str) -> String {
    block.replace("curl ", "curl --silent --fail --retry 20 --retry-connrefused --retry-delay 1 ")
}

async fn pages(bed: &Bed) -> Result<()> {
    let agent = bed.agent();
    agent.uninstall().await?;
    bed.forget(meshward_e2e::agent::NAMESPACE).await?;
    let tried = typed(bed).await;
    // The next case finds the agent as the run has installed it.
    agent.install(&[]).await?;
    tried
}

async fn typed(bed: &Bed) -> Result<()> {
    let desk = Desk::new(bed, "pages")?;
    let shop = bed.named(SHOP).await?;
    desk.put("app.yaml", "")?;
    desk.put("istio.yaml", &pods::istio()?.to_yaml())?;
    desk.put("linkerd.yaml", &pods::linkerd()?.named("cart").to_yaml())?;
    desk.put("namespace.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n")?;
    for block in blocks("install.md", "helm install")?.iter().filter(|block| block.contains("kubectl")) {
        desk.types(bed, block).await?;
    }
    for (page, name) in [("meshes/istio.md", "web"), ("meshes/linkerd.md", "cart")] {
        for block in blocks(page, "kubectl wait").or_else(|_| blocks(page, "kubectl -n shop wait"))? {
            desk.types(bed, &block).await?;
        }
        let pod = shop.existing(name);
        pod.ready(SOON).await?;
        captured(&pod).await?;
    }
    // Who injects is asked by a dry run; here the pod comes injected, and the API server gives it back.
    bed.named("open").await?;
    for (page, example) in [("meshes/kuma.md", "kuma.yaml"), ("meshes/consul.md", "consul.yaml")] {
        let pod = Manifest::example(example)?.with(|pod| {
            pod["metadata"].as_object_mut().map(|fields| fields.remove("namespace"));
        });
        desk.put("app-pod.yaml", &pod.to_yaml())?;
        for block in blocks(page, "--dry-run=server")? {
            desk.types(bed, &block).await?;
        }
        let swapped = desk.read("swapped.yaml")?;
        ensure!(swapped.contains("meshward-wait"), "{page}: nothing was swapped: {swapped}");
    }
    for block in blocks("install.md", "readyz")? {
        let said = desk.types(bed, &patient(&block)).await?;
        ensure!(said.contains("ready"), "it says {said}");
    }
    for block in blocks("troubleshooting.md", "kubectl -n shop")? {
        let said = desk.types(bed, &block).await?;
        for word in ["meshward.dev/Redirected", "Redirected", "redirected: "] {
            ensure!(said.contains(word), "no {word:?} in {said}");
        }
    }
    for block in blocks("upgrade.md", "helm upgrade")? {
        desk.types(bed, &block).await?;
    }
    bed.agent().ready(SOON).await?;
    captured(&shop.existing("web")).await
}

/// What OpenShift has of its own is a kind of object and a command. Admission by it is held in `tests/openshift.rs`.
async fn openshift(bed: &Bed) -> Result<()> {
    let agent = bed.agent();
    agent.uninstall().await?;
    bed.forget(meshward_e2e::agent::NAMESPACE).await?;
    let tried = typed_on_openshift(bed).await;
    if agent.uninstall().await.is_ok() {
        let kinds: Api<CustomResourceDefinition> = Api::all(bed.cluster().client.clone());
        kinds.delete(CONSTRAINTS, &DeleteParams::default()).await?;
    }
    agent.install(&[]).await?;
    tried
}

async fn typed_on_openshift(bed: &Bed) -> Result<()> {
    let kind = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": CONSTRAINTS},
        "spec": {
            "group": "security.openshift.io", "scope": "Cluster",
            "names": {
                "kind": "SecurityContextConstraints", "listKind": "SecurityContextConstraintsList",
                "plural": "securitycontextconstraints", "singular": "securitycontextconstraints",
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    bed.cluster().create(&kind, "").await?;
    let desk = Desk::new(bed, "openshift")?;
    let shop = bed.named(SHOP).await?;
    desk.put("app.yaml", "")?;
    desk.put("istio.yaml", &pods::istio()?.to_yaml())?;
    let kinds: Api<CustomResourceDefinition> = Api::all(bed.cluster().client.clone());
    until("OpenShift's kind to be served", SOON, async || {
        let conditions = kinds.get(CONSTRAINTS).await?.status.and_then(|status| status.conditions);
        let is_served = |one: &_| matches!(one, k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionCondition { type_, status, .. } if type_ == "Established" && status == "True");
        if conditions.unwrap_or_default().iter().any(is_served) { Ok(()) } else { bail!("it is not") }
    })
    .await?;
    for block in blocks("install.md", "oc ")? {
        desk.types(bed, &block).await?;
        bed.agent().ready(SOON).await?;
    }
    // No platform chooses the user here, so the pod's own says it.
    let pod = shop.existing("web");
    pod.ready(SOON).await?;
    captured(&pod).await
}
