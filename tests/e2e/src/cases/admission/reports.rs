//! What is found out about objects that are there already, and how it is told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, stream};
use meshward_e2e::{Bed, Case, case, until};
use serde_json::{Value, json};

use super::{owner_policy, plain, unique, with_host_path};

pub(super) const CASES: &[Case] = &[
    case!(
        "what was there before a policy is reported, and what is mended is reported again",
        Controller,
        reported
    ),
    case!("a policy says that it is ready, and an exemption how often it was used", Controller, status),
    case!("many objects are scanned, each reported once", Controller, many),
    case!("a flood of refused pods is told in few words", Controller, flood),
];

/// For the scan to have looked and the reports to have been written.
const TOLD: Duration = Duration::from_secs(60);
/// How many objects are scanned, unless `MESHWARD_E2E_OBJECTS` says so; the controller's own tests scan 5,000.
const OBJECTS: usize = 400;
/// Clients that make them.
const AT_ONCE: usize = 16;

/// The results of one object, as `result` words, the policies' own.
async fn results(bed: &Bed, namespace: &str, name: &str) -> Result<Vec<String>> {
    let mut all = bed.controller().results(namespace).await?;
    let found = all.remove(name).with_context(|| format!("no report about {name}"))?;
    Ok(found.iter().filter_map(|result| Some(result["result"].as_str()?.to_owned())).collect())
}

async fn reported(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("reported", &[]).await?;
    let control = bed.controller();
    control.create(&plain("bad"), shop.name()).await?.taken()?;
    let mut good = plain("good");
    good["metadata"]["labels"] = json!({"owner": "shop"});
    control.create(&good, shop.name()).await?.taken()?;
    let name = unique(&shop, "owner");
    bed.put(&owner_policy(&name, shop.name(), "Audit", "Fail"), "").await?;
    until("the reports", TOLD, async || {
        ensure!(results(bed, shop.name(), "bad").await? == ["fail"], "bad is not reported as such");
        ensure!(results(bed, shop.name(), "good").await? == ["pass"], "good is not reported as such");
        Ok(())
    })
    .await?;
    let all = control.results(shop.name()).await?;
    let result = &all["bad"][0];
    for (field, value) in [("policy", name.as_str()), ("rule", "owner"), ("source", "kyverno")] {
        ensure!(result[field] == value, "{field} is {}", result[field]);
    }
    ensure!(result["message"].to_string().contains("every pod here has an owner"), "{result}");
    let label =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "labels": {"owner": "shop"}}});
    control.merge(&label, shop.name()).await?.taken()?;
    until("the mended pod's report", TOLD, async || {
        ensure!(results(bed, shop.name(), "bad").await? == ["pass"], "it is not reported again");
        Ok(())
    })
    .await?;
    // What is gone is not reported.
    control.delete(&plain("bad"), shop.name()).await?.taken()?;
    until("the deleted pod's report to go", TOLD, async || {
        let all = control.results(shop.name()).await?;
        ensure!(!all.contains_key("bad") && all.contains_key("good"), "{:?}", all.keys());
        Ok(())
    })
    .await
}

async fn status(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("status", &[super::UNSWAPPED, ("meshward.dev/enforce", "baseline")]).await?;
    let control = bed.controller();
    let policy = owner_policy(&unique(&shop, "owner"), shop.name(), "Audit", "Fail");
    bed.put(&policy, "").await?;
    until("the policy to say that it is ready", TOLD, async || {
        let object = control.get(&policy, "").await?;
        let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        ensure!(conditions.iter().any(is_ready), "status is {}", object["status"]);
        Ok(())
    })
    .await?;
    let exemption = json!({
        "apiVersion": "meshward.dev/v1alpha1",
        "kind": "Exemption",
        "metadata": {"name": "used"},
        "spec": {
            "reason": "a test",
            "entries": [{
                "containers": {"names": ["istio-init"], "kinds": ["init"]},
                "allow": [{
                    "control": "Capabilities",
                    "field": "spec.initContainers[*].securityContext.capabilities.add",
                    "values": ["NET_ADMIN", "NET_RAW"],
                }],
            }],
        },
    });
    control.create(&exemption, shop.name()).await?.taken()?;
    let mut mesh = super::example("pods/mesh.yaml")?.remove(0);
    mesh["metadata"]["namespace"] = shop.name().into();
    mesh["spec"]["nodeSelector"] = json!({"e2e.meshward.dev/nowhere": "true"});
    super::takes(bed, &shop, &mesh).await?;
    control.create(&mesh, shop.name()).await?.taken()?;
    until("the exemption to say that it was used", TOLD, async || {
        let object = control.get(&exemption, shop.name()).await?;
        let used = object["status"].to_string();
        ensure!(used.contains("lastUsed") || used.contains("saved"), "status is {used}");
        Ok(())
    })
    .await
}

async fn many(bed: &Bed) -> Result<()> {
    let count =
        std::env::var("MESHWARD_E2E_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(OBJECTS);
    let shop = bed.namespace("many", &[]).await?;
    let control = bed.controller();
    let policy = json!({
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": unique(&shop, "even")},
        "spec": {"rules": [{
            "name": "even",
            "match": {"any": [{"resources": {"kinds": ["ConfigMap"], "names": ["many-*"], "namespaces": [shop.name()]}}]},
            "validate": {"message": "odd", "pattern": {"data": {"even": "yes"}}},
        }]},
    });
    let objects = (0..count).map(|number| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("many-{number}")},
            "data": {"even": if number % 2 == 0 { "yes" } else { "no" }},
        })
    });
    let path = bed.cluster().path(&json!({"apiVersion": "v1", "kind": "ConfigMap"}), shop.name()).await?;
    let made = stream::iter(objects).map(async |object| {
        meshward_e2e::ask::send(bed.cluster(), hyper::Method::POST, &path, &object).await?.taken().map(|_| ())
    });
    let made: Vec<Result<()>> = made.buffer_unordered(AT_ONCE).collect().await;
    made.into_iter().collect::<Result<()>>()?;
    bed.put(&policy, "").await?;
    // A thousand objects a minute at the least, whatever else runs.
    let deadline = TOLD + Duration::from_secs(count as u64 * 60 / 1000);
    until("every object's report", deadline, async || {
        let all = control.results(shop.name()).await?;
        let about: Vec<_> = all.iter().filter(|(name, _)| name.starts_with("many-")).collect();
        let of = |word: &str| {
            about.iter().filter(|(_, results)| results.len() == 1 && results[0]["result"] == word).count()
        };
        let counts = (of("pass"), of("fail"));
        ensure!(counts == (count.div_ceil(2), count / 2), "of {count}, {counts:?} pass and fail");
        Ok(())
    })
    .await
}

/// Nobody may fill etcd by asking for what is refused.
async fn flood(bed: &Bed) -> Result<()> {
    const REFUSED: usize = 300;
    let shop = bed.namespace("flood", &[("meshward.dev/enforce", "baseline")]).await?;
    let control = bed.controller();
    bed.put(&owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", "Fail"), "").await?;
    super::refuses(bed, &shop, &with_host_path("a"), "owner").await?;
    let path = bed.cluster().path(&plain("a"), shop.name()).await?;
    let sent = stream::iter(0..REFUSED).map(async |number| {
        let pod = plain(&format!("bad-{number}"));
        let reply = meshward_e2e::ask::send(bed.cluster(), hyper::Method::POST, &path, &pod).await?;
        reply.refused(&["owner"]).map(|_| ())
    });
    let sent: Vec<Result<()>> = sent.buffer_unordered(AT_ONCE).collect().await;
    sent.into_iter().collect::<Result<()>>()?;
    let stored = async |api: &str, kind: &str| {
        Ok::<_, anyhow::Error>(control.list(api, kind, shop.name()).await?.len())
    };
    // Whatever is written about them comes within seconds; it has to stay little.
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        let (events, reports) =
            (stored("v1", "Event").await?, stored("wgpolicyk8s.io/v1alpha2", "PolicyReport").await?);
        ensure!(
            events <= 60 && reports <= 10,
            "{REFUSED} refusals made {events} Events and {reports} reports"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
