//! The pages say what to type. Here it is typed, block by block, in the pages' own order, with the names they use; only
//! what no cluster of ours has (a mesh's own command, OpenShift's) is stood in for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::DeleteParams;
use meshward_e2e::manifest::workspace;
use meshward_e2e::{Bed, Case, Manifest, case, until};
use serde_json::json;

use super::looks::captured;
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(alone "what the pages say to type installs, upgrades and removes the agent", Node, pages),
    case!(alone "what the pages say to type for OpenShift installs the agent", Node, openshift),
];

/// The name that the pages use for an application's namespace.
const SHOP: &str = "shop";
const CONSTRAINTS: &str = "securitycontextconstraints.security.openshift.io";

/// Blocks of `sh` on a page that have `word` in them.
fn blocks(page: &str, word: &str) -> Result<Vec<String>> {
    let path = workspace().join("docs").join(page);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("\n```sh\n") {
        let (block, after) = after.split_once("\n```").context("a block without an end")?;
        if block.contains(word) {
            found.push(block.to_string());
        }
        rest = after;
    }
    ensure!(!found.is_empty(), "{page} has no block of sh with {word:?} in it");
    Ok(found)
}

/// A folder to type in, with stand-ins for commands.
struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn new(bed: &Bed, name: &str) -> Result<Self> {
        let folder = bed.rig()?.state.join(name);
        let (programs, tools) = (folder.join("bin"), &bed.cluster().tools);
        std::fs::create_dir_all(&programs)?;
        let link = folder.join("charts");
        if !link.exists() {
            std::os::unix::fs::symlink(workspace().join("charts").canonicalize()?, link)?;
        }
        // Where this cluster's node keeps its sockets is the one thing that the pages cannot know.
        let sets: String = tools.chart_values.iter().map(|value| format!(" --set '{value}'")).collect();
        let helm = tools.helm.display();
        let stand_ins = [
            (
                "helm",
                format!("case $1 in install | upgrade) set -- \"$@\"{sets} ;; esac\nexec {helm} \"$@\""),
            ),
            ("meshward", format!("exec {} \"$@\"", tools.meshward.canonicalize()?.display())),
            ("istioctl", "exec cat istio.yaml".to_string()),
            ("linkerd", "exec cat linkerd.yaml".to_string()),
            (
                "oc",
                "if [ \"$1\" = new-project ]; then set -- create namespace \"$2\"; fi\nexec kubectl \"$@\""
                    .into(),
            ),
        ];
        for (name, text) in stand_ins {
            let path = programs.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        }
        Ok(Self { folder })
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.folder.join(name), text)?)
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join(name))?)
    }

    /// Types a block; every command in it has to end well.
    async fn types(&self, bed: &Bed, block: &str) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let script = format!(
            "set -eu\nset -o pipefail\ncd '{folder}'\nexport PATH='{folder}/bin':'{path}'\n\
             trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{block}\n",
            folder = self.folder.display(),
        );
        bed.rig()?.here(&["bash", "-c", &script]).await.with_context(|| format!("typed:\n{block}"))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // It is within the cluster's own folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

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
