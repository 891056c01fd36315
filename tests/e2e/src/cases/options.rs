//! Options of the chart that need other projects: certificates by the real cert-manager, and what the Prometheus operator
//! and a network that enforces policies are told. Nothing here scrapes or filters; that what they are told is about the
//! pods that run, and about ports that these have, can be seen.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use meshward_e2e::{Bed, Beside, Case, Namespace, beside, case, http, until};
use serde_json::{Value, json};

use super::SOON;
use super::admission::{owner_policy, plain, refuses, takes, unique};

pub(super) const CASES: &[Case] = &[
    case!(alone "cert-manager's certificate serves the webhooks; PodMonitors and NetworkPolicies are about what runs", ControllerOperators, options),
];

const GROUPS: [&str; 3] = ["cert-manager.io", "acme.cert-manager.io", "monitoring.coreos.com"];
const NAMESPACE: &str = meshward_e2e::controller::NAMESPACE;
/// The Secret of the certificate that is served.
const SERVING: &str = "meshward-control-serving";
/// That of the authority that issues it.
const AUTHORITY: &str = "meshward-control-authority";
const VALUES: [&str; 3] =
    ["controller.certManager.enabled=true", "metrics.podMonitor.enabled=true", "networkPolicy.enabled=true"];

async fn options(bed: &Bed) -> Result<()> {
    let rig = bed.rig()?;
    let folder = bed.cluster().tools.operators.clone().context("this run has no cert-manager")?;
    let definitions = folder.join("definitions.yaml").to_string_lossy().into_owned();
    rig.here(&["kubectl", "apply", "--server-side", "-f", &definitions]).await?;
    let mut command = tokio::process::Command::new(folder.join("cert-manager"));
    command.arg("-kubeconfig").arg(std::env::var_os("KUBECONFIG").context("no KUBECONFIG")?);
    let manager = Beside::start("cert-manager", &mut command, &rig.state.join("logs"))?;
    let tried = with_options(bed).await.with_context(|| manager.log());
    // The next case finds the controller as the run has installed it.
    let back = bed.controller().install(&[]).await;
    manager.stop().await?;
    beside::undefine(bed.cluster(), &GROUPS).await?;
    for name in [SERVING, AUTHORITY] {
        bed.controller().delete(&secret(name), NAMESPACE).await?;
    }
    tried?;
    back.map(|_| ())
}

async fn with_options(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("options", &[]).await?;
    let policy = owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", "Fail");
    bed.put(&policy, "").await?;
    bed.controller().install(&VALUES).await?;
    bed.agent().ready(SOON).await?;
    known_to_the_field(bed).await?;
    let first = authority(bed, &Value::Null).await?;
    serves(bed, &first).await?;
    judged(bed, &shop).await?;
    renewed(bed, &first).await?;
    judged(bed, &shop).await?;
    monitors(bed).await?;
    policies(bed).await
}

/// The API server takes everything that the chart renders, and no field of it is unknown to the definitions.
async fn known_to_the_field(bed: &Bed) -> Result<()> {
    let manifest =
        bed.cluster().tools.helm(&["get", "manifest", "meshward", "--namespace", NAMESPACE]).await?;
    ensure!(manifest.contains("kind: PodMonitor"), "nothing of the options was rendered");
    let file = bed.rig()?.state.join("options.yaml");
    std::fs::write(&file, manifest)?;
    let path = file.to_string_lossy();
    let ask = ["kubectl", "apply", "--dry-run=server", "--validate=strict", "-n", NAMESPACE, "-f", &path];
    bed.rig()?.here(&ask).await.map(|_| ())
}

/// A webhook that cannot be trusted refuses everything, in other words: the policy says that its failure is one.
async fn judged(bed: &Bed, shop: &Namespace) -> Result<()> {
    refuses(bed, shop, &plain("nobodys"), "every pod here has an owner").await?;
    let mut owned = plain("owned");
    owned["metadata"]["labels"] = json!({"owner": "shop"});
    takes(bed, shop, &owned).await
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
}

/// The authority's certificate, once it is another than `old`.
async fn authority(bed: &Bed, old: &Value) -> Result<Value> {
    until("an authority", SOON, async || {
        let now = bed.controller().get(&secret(AUTHORITY), NAMESPACE).await?["data"]["tls.crt"].clone();
        ensure!(now.is_string() && now != *old, "it has no new certificate");
        Ok(now)
    })
    .await
}

/// Has cert-manager make everything anew, as when it is renewed, only at once; then nobody trusts the old any more.
async fn renewed(bed: &Bed, old: &Value) -> Result<()> {
    bed.controller().delete(&secret(AUTHORITY), NAMESPACE).await?;
    let new = authority(bed, old).await?;
    bed.controller().delete(&secret(SERVING), NAMESPACE).await?;
    serves(bed, &new).await
}

/// Waits until the serving certificate and every webhook of ours have this authority.
async fn serves(bed: &Bed, authority: &Value) -> Result<()> {
    let control = bed.controller();
    let group = "admissionregistration.k8s.io/v1";
    until("the webhooks to have cert-manager's authority", SOON, async || {
        let serving = control.get(&secret(SERVING), NAMESPACE).await?;
        ensure!(serving["data"]["ca.crt"] == *authority, "what is served is of another");
        let mut count = 0;
        for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
            for one in control.list(group, kind, "").await? {
                let name = one["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                for webhook in one["webhooks"].as_array().into_iter().flatten() {
                    ensure!(name.starts_with("meshward"), "there are webhooks of {name}");
                    ensure!(webhook["clientConfig"]["caBundle"] == *authority, "{name} has another");
                    count += 1;
                }
            }
        }
        ensure!(count > 0, "there are no webhooks");
        Ok(())
    })
    .await
}

/// Pods of the release, ready or not.
async fn pods(bed: &Bed) -> Result<Vec<Pod>> {
    Ok([bed.controller().pods().await?, bed.agent().pods().await?].concat())
}

/// Pods that have all of these labels.
fn selected<'a>(pods: &'a [Pod], labels: &Value) -> Result<Vec<&'a Pod>> {
    let labels = labels.as_object().context("nothing is selected by")?;
    let has = |pod: &&Pod| {
        labels.iter().all(|(key, value)| {
            pod.metadata.labels.as_ref().and_then(|all| all.get(key)).map(String::as_str) == value.as_str()
        })
    };
    let found: Vec<&Pod> = pods.iter().filter(has).collect();
    ensure!(!found.is_empty(), "no pod has the labels {labels:?}");
    Ok(found)
}

/// The number behind a port's name, or the number itself, if the pod has such a port.
fn port(pod: &Pod, port: &Value) -> Result<u16> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let all = containers.flat_map(|container| container.ports.iter().flatten());
    let is = |one: &&k8s_openapi::api::core::v1::ContainerPort| match port.as_str() {
        Some(name) => one.name.as_deref() == Some(name),
        None => port.as_i64() == Some(one.container_port.into()),
    };
    let found =
        all.into_iter().find(is).with_context(|| format!("{:?} has no port {port}", pod.metadata.name))?;
    Ok(u16::try_from(found.container_port)?)
}

/// Where a PodMonitor says that metrics are, there are some.
async fn monitors(bed: &Bed) -> Result<()> {
    let pods = pods(bed).await?;
    let monitors = bed.controller().list("monitoring.coreos.com/v1", "PodMonitor", NAMESPACE).await?;
    ensure!(monitors.len() == 2, "there are {} PodMonitors", monitors.len());
    for monitor in monitors {
        let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
        for pod in selected(&pods, &monitor["spec"]["selector"]["matchLabels"])? {
            let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("no address")?;
            let address = format!("{ip}:{}", port(pod, &endpoint["port"])?).parse()?;
            let answer = http::get(address, endpoint["path"].as_str().unwrap_or("/metrics")).await?;
            ensure!(answer.status == 200 && answer.body.contains("meshward_"), "no metrics: {answer:?}");
        }
    }
    Ok(())
}

/// Each NetworkPolicy is about pods that run and all ports that these have; out it lets what they use.
async fn policies(bed: &Bed) -> Result<()> {
    let pods = pods(bed).await?;
    let policies = bed.controller().list("networking.k8s.io/v1", "NetworkPolicy", NAMESPACE).await?;
    ensure!(policies.len() == 2, "there are {} NetworkPolicies", policies.len());
    for policy in policies {
        let spec = &policy["spec"];
        for pod in selected(&pods, &spec["podSelector"]["matchLabels"])? {
            let of_rule = |rule: &Value| rule["ports"].as_array().cloned().unwrap_or_default();
            let allowed = spec["ingress"].as_array().into_iter().flatten().flat_map(of_rule);
            let allowed = allowed.map(|one| port(pod, &one["port"])).collect::<Result<Vec<_>>>()?;
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            for has in containers.flat_map(|container| container.ports.iter().flatten()) {
                let number = u16::try_from(has.container_port)?;
                ensure!(allowed.contains(&number), "nobody reaches port {number}: {spec}");
            }
        }
        let rules = spec["egress"].as_array().into_iter().flatten();
        let out: Vec<i64> = rules
            .flat_map(|rule| rule["ports"].as_array().into_iter().flatten())
            .filter_map(|one| one["port"].as_i64())
            .collect();
        let api = std::env::var("RIG_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(6443);
        ensure!(out.contains(&api) && out.contains(&53), "no way out to {api} or to DNS: {out:?}");
    }
    Ok(())
}
