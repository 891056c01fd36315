//! Mesh pods that come in as their injectors write them, under the API server's own *restricted*.

use anyhow::{Context, Result, ensure};
use meshward_e2e::istio::INJECTED;
use meshward_e2e::{Bed, Case, Istio, Manifest, Namespace, case, until};
use serde_json::{Value, json};

use super::super::real_istio::{NATIVE, RESTRICTED, SERVICE, talk, workload};
use super::super::{SOON, pods};
use super::standards::workloads;
use super::{LEARNED, UNSWAPPED};

pub(super) const CASES: &[Case] = &[
    case!(
        "Istio's and Linkerd's pods are swapped on their way in, and taken under restricted",
        Controller,
        taken
    ),
    case!("pods of Deployments, Jobs and the like are swapped on their way in", Controller, made),
    case!("a swapped pod stays as it is when it comes in again", Controller, again),
    case!("whoever opts out keeps the mesh's container", Controller, opted_out),
    case!(
        "an Istio and a Linkerd pod start redirected under restricted, by admission alone",
        ControllerAgent,
        start
    ),
    case!(alone "real Istio's pods start under restricted, by admission alone, with mutual TLS", ControllerIstio, real),
];

const IN_TREE: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");

/// As the injectors leave them, with a workload that fits by itself; no node runs them.
fn injected() -> Result<Vec<Value>> {
    let nowhere = |pod: &mut Value| pod["spec"]["nodeSelector"] = json!({"e2e.meshward.dev/nowhere": "true"});
    let both = [pods::istio()?.with(nowhere), pods::linkerd()?.with(nowhere)];
    Ok(both.iter().flat_map(|manifest| manifest.objects().to_vec()).collect())
}

/// Fails unless the privileged container is gone and the wait container is the first.
fn is_swapped(pod: &Value) -> Result<()> {
    let first = &pod["spec"]["initContainers"][0];
    ensure!(first["name"] == "meshward-wait", "the first init container is {first}");
    ensure!(!pod["spec"].to_string().contains("NET_ADMIN"), "NET_ADMIN is there still");
    let recorded = pod["metadata"]["annotations"]["meshward.dev/redirect"].is_string();
    ensure!(recorded, "what the mesh wants is not recorded");
    Ok(())
}

async fn taken(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("swapped", &[IN_TREE]).await?;
    for pod in injected()? {
        until("a swapped pod", LEARNED, async || {
            let reply = bed.controller().try_create(&pod, shop.name()).await?.taken()?;
            is_swapped(&reply.body)
        })
        .await?;
    }
    Ok(())
}

async fn made(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("made", &[IN_TREE]).await?;
    let control = bed.controller();
    let pod = injected()?.remove(0);
    until("the swap", LEARNED, async || control.try_create(&pod, shop.name()).await?.taken().map(|_| ()))
        .await?;
    for mut object in workloads(&pod) {
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        object["metadata"]["name"] = kind.clone().into();
        let template = if kind == "cronjob" {
            object["spec"]["schedule"] = "* * * * *".into();
            "/spec/jobTemplate/spec/template/metadata"
        } else {
            "/spec/template/metadata"
        };
        if let Some(metadata) = object.pointer_mut(template) {
            metadata["annotations"] = pod["metadata"]["annotations"].clone();
            metadata["labels"]["from"] = kind.clone().into();
        }
        let selected = &mut object["spec"]["selector"]["matchLabels"];
        if selected.is_object() {
            selected["from"] = kind.clone().into();
        } else if let Some(spec) = object["spec"].as_object_mut() {
            spec.remove("selector");
        }
        control.create(&object, shop.name()).await?.taken().with_context(|| kind.clone())?;
    }
    // A CronJob waits for the minute to be over.
    for (kind, deadline) in [("deployment", 30), ("statefulset", 30), ("job", 30), ("cronjob", 90)] {
        until(&format!("the pod of a {kind}"), std::time::Duration::from_secs(deadline), async || {
            let pods = control.list("v1", "Pod", shop.name()).await?;
            let pod = pods.iter().find(|pod| pod["metadata"]["labels"]["from"] == kind).context("no pod")?;
            is_swapped(pod)
        })
        .await?;
    }
    Ok(())
}

async fn again(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("again", &[IN_TREE]).await?;
    let control = bed.controller();
    for pod in injected()? {
        let once = until("a swapped pod", LEARNED, async || {
            let reply = control.try_create(&pod, shop.name()).await?.taken()?;
            is_swapped(&reply.body).map(|()| reply.body)
        });
        let once = once.await?;
        let mut sent = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": once["spec"]});
        for field in ["name", "annotations", "labels"] {
            sent["metadata"][field] = once["metadata"][field].clone();
        }
        let twice = control.try_create(&sent, shop.name()).await?.taken()?;
        ensure!(
            twice.body["spec"]["initContainers"] == once["spec"]["initContainers"],
            "it changes when it comes in again"
        );
    }
    Ok(())
}

async fn opted_out(bed: &Bed) -> Result<()> {
    let control = bed.controller();
    let shop = bed.namespace("opted-out", &[IN_TREE, UNSWAPPED]).await?;
    let pod = injected()?.remove(0);
    control.try_create(&pod, shop.name()).await?.refused(&["violates PodSecurity", "NET_ADMIN"])?;
    let other = bed.namespace("opted-out-pod", &[IN_TREE]).await?;
    let mut pod = pod;
    pod["metadata"]["annotations"]["meshward.dev/swap"] = "disabled".into();
    control.try_create(&pod, other.name()).await?.refused(&["violates PodSecurity", "NET_ADMIN"]).map(|_| ())
}

async fn start(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("start", &[IN_TREE]).await?;
    for manifest in [pods::istio()?, pods::linkerd()?] {
        let pod = shop.pod(&manifest).await?;
        pod.ready(SOON).await?;
        pod.in_force().await?;
    }
    Ok(())
}

/// istiod's webhook comes first by name, ours after it: nobody renders, swaps or applies anything by hand.
async fn real(bed: &Bed) -> Result<()> {
    let istio = Istio::install(bed, &[]).await?;
    let shop = bed.namespace("istiod-admitted", &[INJECTED, RESTRICTED]).await?;
    let result = both_kinds(&shop).await;
    istio.uninstall().await.and(result)
}

async fn both_kinds(shop: &Namespace) -> Result<()> {
    let mut started = Vec::new();
    for (name, native) in [("native", "true"), ("classic", "false")] {
        shop.apply(&Manifest::parse(&SERVICE.replace("@NAME@", name))?).await?;
        started.push(shop.pod(&workload(name)?.annotated(NATIVE, native)).await?);
    }
    talk(shop, &started).await
}
