//! Many pods, several meshes, and other ways onto the node.

use std::time::Duration;

use anyhow::{Result, ensure};
use meshward_e2e::deployment::{deployment, roll_out, rolled_out};
use meshward_e2e::{Bed, Case, Manifest, Namespace, Pod, case, until};
use serde_json::Value;

use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!("pods of two meshes on one node call each other", Node, two_meshes),
    case!("init containers have the network that their mesh allows", Node, init_containers),
    case!("a Deployment's rollout is redirected pod by pod", Node, rollout),
    case!(alone "a hundred pods that start at once are all redirected", Node, hundred),
    case!(alone "the CNI plugin chains itself in, serves pods and goes again", Node, cni),
];

/// For a hundred pods, on a machine with few cores.
const LONG: Duration = Duration::from_secs(540);

async fn two_meshes(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("meshes").await?;
    let istio = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
    let linkerd = shop.pod(&bed.swapped(&pods::linkerd()?).await?).await?;
    for pod in [&istio, &linkerd] {
        pod.ready(SOON).await?;
        pod.in_force().await?;
    }
    for (client, server) in [(&istio, &linkerd), (&linkerd, &istio)] {
        let target = format!("{}:{}/", server.ip().await?, pods::WORKLOAD);
        let answer = client.call(pods::WORKLOAD, &target).await?;
        for way in ["x-captured-outbound", "x-captured-inbound"] {
            ensure!(answer.header(way).is_some(), "{} to {}: no {way}", client.name(), server.name());
        }
    }
    Ok(())
}

/// An init container that calls `target` as `user`, and ends when it was answered.
fn fetch(name: &str, target: &str, user: u32) -> Result<Value> {
    let pod = Manifest::parse(&format!("{{kind: Pod, spec: {{containers: [{{name: {name}}}]}}}}"))?
        .workload(name, &["get", target])?;
    let mut container = pod.objects()[0]["spec"]["containers"][0].clone();
    container["securityContext"]["runAsUser"] = user.into();
    Ok(container)
}

async fn init_containers(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("init").await?;
    let server = shop.pod(&pods::plain("server")?.workload("app", &["serve", "8080", "5432"])?).await?;
    server.ready(SOON).await?;
    let ip = server.ip().await?;
    // While there is no proxy: as the proxy's user, and to a port that the pod excludes.
    let exempt = fetch("exempt", &format!("{ip}:8080/"), 1337)?;
    let excluded = fetch("excluded", &format!("{ip}:5432/"), 1000)?;
    let classic = pods::istio()?.named("classic").with(|pod| {
        if let Some(list) = pod["spec"]["initContainers"].as_array_mut() {
            list.extend([exempt.clone(), excluded.clone()]);
        }
    });
    // A native sidecar is there before the init containers behind it.
    let ordinary = fetch("ordinary", &format!("{ip}:8080/"), 1000)?;
    let native = pods::istio()?.named("native").with(|pod| {
        let Some(at) = pod["spec"]["containers"]
            .as_array()
            .and_then(|list| list.iter().position(|one| one["name"] == "istio-proxy"))
        else {
            return;
        };
        let proxy = pod["spec"]["containers"].as_array_mut().map(|list| list.remove(at));
        let (Some(mut proxy), Some(list)) = (proxy, pod["spec"]["initContainers"].as_array_mut()) else {
            return;
        };
        proxy["restartPolicy"] = "Always".into();
        list.extend([proxy, ordinary.clone()]);
    });
    let classic = shop.pod(&bed.swapped(&classic).await?).await?;
    let native = shop.pod(&bed.swapped(&native).await?).await?;
    for (pod, container, is_captured) in
        [(&classic, "exempt", false), (&classic, "excluded", false), (&native, "ordinary", true)]
    {
        pod.ready(SOON).await?;
        pod.in_force().await?;
        let answer = pod.logs(container, false).await?;
        ensure!(answer.contains("pod server"), "{container} was answered with {answer:?}");
        ensure!(answer.contains("x-captured-outbound") == is_captured, "{container}: {answer}");
    }
    Ok(())
}

async fn all_in_force(shop: &Namespace, expected: usize) -> Result<Vec<Pod>> {
    let found = shop.pods("app=web").await?;
    ensure!(found.len() == expected, "there are {} pods, expected {expected}", found.len());
    for pod in &found {
        pod.in_force().await?;
    }
    Ok(found)
}

async fn rollout(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("rollout").await?;
    shop.apply(&bed.swapped(&deployment("web", &pods::istio()?, 3)?).await?).await?;
    rolled_out(bed, &shop, "web", SOON).await?;
    all_in_force(&shop, 3).await?;
    roll_out(bed, &shop, "web", "2").await?;
    rolled_out(bed, &shop, "web", SOON).await?;
    for pod in all_in_force(&shop, 3).await? {
        ensure!(
            pod.annotation("version").await?.as_deref() == Some("2"),
            "{} is of the old version",
            pod.name()
        );
        ensure!(pod.get(pods::WORKLOAD, "/").await?.header("x-captured-inbound").is_some());
    }
    Ok(())
}

async fn hundred(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("hundred").await?;
    // A hundred probes every second would be most of what the node does.
    let pod = pods::istio()?.with(|pod| {
        for one in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            one.as_object_mut().map(|fields| fields.remove("readinessProbe"));
        }
    });
    shop.apply(&bed.swapped(&deployment("web", &pod, 100)?).await?).await?;
    rolled_out(bed, &shop, "web", LONG).await?;
    all_in_force(&shop, 100).await?;
    let incidents = bed.agent().metric("meshward_incidents_total", &[]).await?;
    ensure!(incidents == 0.0, "{incidents} incidents");
    Ok(())
}

async fn cni(bed: &Bed) -> Result<()> {
    let folder = bed.rig()?.state.join("cni");
    let (list, program) = (folder.join("net.d/10-rig.conflist"), folder.join("bin/meshward-cni"));
    let before = std::fs::read_to_string(&list)?;
    let agent = bed.agent();
    let tried = async {
        agent.install(&["cni.enabled=true", "nri.mode=off"]).await?;
        let installed = std::fs::read_to_string(&list)?;
        ensure!(installed.contains("meshward-cni") && program.exists(), "not chained in: {installed}");
        let shop = bed.restricted("cni").await?;
        let pod = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
        pod.ready(SOON).await?;
        pod.in_force().await?;
        let record = pod.record().await?;
        ensure!(record.source.as_deref() == Some("cni"), "{record:?}");
        pod.delete(SOON).await
    };
    let result = tried.await;
    agent.install(&[]).await?;
    result?;
    until("the node to be as it was", SOON, async || {
        let now = std::fs::read_to_string(&list)?;
        ensure!(now == before && !program.exists(), "the plugin is still there: {now}");
        Ok(())
    })
    .await
}
