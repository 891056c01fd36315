//! Namespace labels `meshward.dev/{enforce,audit,warn}`: what the in-tree admission does with its own.

use anyhow::{Context, Result, ensure};
use meshward_e2e::{Bed, Case, case, until};
use serde_json::{Value, json};

use super::{LEARNED, plain, refuses, takes, with_host_path};

pub(super) const CASES: &[Case] = &[
    case!("enforce refuses in the words of Pod Security, and takes what fits", Controller, enforce),
    case!("a pinned version judges as that version did", Controller, pinned),
    case!("warn takes the pod and says why it should not", Controller, warn),
    case!("what makes pods is warned about, and only its pods are refused", Controller, controllers),
    case!("a namespace that is tightened says which of its pods no longer fit", Controller, tightened),
    case!("a label that means nothing is refused, with what is accepted", Controller, invalid),
    case!("changes that do not matter are not judged again", Controller, insignificant),
];

const VIOLATION: &str = "violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"host\")";

async fn enforce(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("enforce", &[("meshward.dev/enforce", "baseline")]).await?;
    refuses(bed, &shop, &with_host_path("bad"), VIOLATION).await?;
    takes(bed, &shop, &plain("good")).await?;
    // It is gone with the label, and other namespaces never had it.
    let other = bed.namespace("unlabelled", &[]).await?;
    takes(bed, &other, &with_host_path("bad")).await
}

async fn pinned(bed: &Bed) -> Result<()> {
    let labels = [("meshward.dev/enforce", "restricted"), ("meshward.dev/enforce-version", "v1.18")];
    let shop = bed.namespace("pinned", &labels).await?;
    // Capabilities and seccomp came to this level later.
    let mut pod = plain("old");
    let context = &mut pod["spec"]["containers"][0]["securityContext"];
    *context = json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true});
    refuses(bed, &shop, &with_host_path("bad"), "restricted:v1.18").await?;
    takes(bed, &shop, &pod).await?;
    let latest = bed.namespace("latest", &[("meshward.dev/enforce", "restricted")]).await?;
    refuses(bed, &latest, &pod, "unrestricted capabilities").await
}

async fn warn(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("warn", &[("meshward.dev/warn", "baseline")]).await?;
    until("a warning", LEARNED, async || {
        let reply = bed.controller().try_create(&with_host_path("bad"), shop.name()).await?.taken()?;
        reply.warned("would violate PodSecurity \"baseline:latest\"").map(|_| ())
    })
    .await?;
    let reply = bed.controller().try_create(&plain("good"), shop.name()).await?.taken()?;
    ensure!(reply.warnings.is_empty(), "a good pod is warned about: {:?}", reply.warnings);
    Ok(())
}

async fn controllers(bed: &Bed) -> Result<()> {
    let labels = [("meshward.dev/enforce", "baseline"), ("meshward.dev/warn", "baseline")];
    let shop = bed.namespace("controllers", &labels).await?;
    refuses(bed, &shop, &with_host_path("bad"), VIOLATION).await?;
    for object in workloads(&with_host_path("bad")) {
        let reply = bed.controller().try_create(&object, shop.name()).await?.taken();
        let what = || format!("{}", object["kind"]);
        reply.with_context(what)?.warned("would violate PodSecurity").with_context(what)?;
    }
    // Its pods are what is refused, and the ReplicaSet says so.
    let deployment = workloads(&with_host_path("bad")).remove(0);
    bed.controller().create(&deployment, shop.name()).await?.taken()?;
    until("the ReplicaSet to tell", LEARNED, async || {
        let sets = bed.controller().list("apps/v1", "ReplicaSet", shop.name()).await?;
        let told = sets.iter().any(|set| set["status"].to_string().contains("violates PodSecurity"));
        ensure!(told, "{}", json!(sets.iter().map(|set| &set["status"]).collect::<Vec<_>>()));
        Ok(())
    })
    .await
}

/// Everything that makes pods like this one.
pub(super) fn workloads(pod: &Value) -> Vec<Value> {
    let labels = json!({"app": "made"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod["spec"]});
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = "Never".into();
    let object = |api: &str, kind: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "made"}, "spec": spec});
    let selected = json!({"selector": {"matchLabels": labels}, "template": template});
    vec![
        object("apps/v1", "Deployment", selected.clone()),
        object("apps/v1", "StatefulSet", {
            let mut spec = selected.clone();
            spec["serviceName"] = "made".into();
            spec
        }),
        object("apps/v1", "DaemonSet", selected),
        object("batch/v1", "Job", json!({"template": once})),
        object(
            "batch/v1",
            "CronJob",
            json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": once}}}),
        ),
    ]
}

async fn tightened(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("tightened", &[]).await?;
    let control = bed.controller();
    control.create(&with_host_path("old"), shop.name()).await?.taken()?;
    control.create(&plain("fine"), shop.name()).await?.taken()?;
    let label = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": shop.name(), "labels": {"meshward.dev/enforce": "baseline"}},
    });
    let reply = control.merge(&label, "").await?.taken()?;
    let reply = reply.warned("existing pods in namespace")?.warned("old: hostPath volumes")?;
    ensure!(!reply.warnings.iter().any(|one| one.contains("fine")), "told too much: {:?}", reply.warnings);
    Ok(())
}

async fn invalid(bed: &Bed) -> Result<()> {
    let namespace = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "e2e-invalid", "labels": labels}});
    let control = bed.controller();
    let strict = namespace(json!({"meshward.dev/enforce": "strict"}));
    let reply = control.try_create(&strict, "").await?;
    reply.refused(&[
        "metadata.labels[meshward.dev/enforce]",
        "strict",
        "privileged, baseline, restricted",
    ])?;
    let version =
        namespace(json!({"meshward.dev/enforce": "baseline", "meshward.dev/enforce-version": "1.2"}));
    control.try_create(&version, "").await?.refused(&["meshward.dev/enforce-version", "1.2"])?;
    let right =
        namespace(json!({"meshward.dev/enforce": "baseline", "meshward.dev/enforce-version": "v1.30"}));
    control.try_create(&right, "").await?.taken().map(|_| ())
}

async fn insignificant(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("insignificant", &[]).await?;
    let control = bed.controller();
    control.create(&with_host_path("old"), shop.name()).await?.taken()?;
    let label = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": shop.name(), "labels": {"meshward.dev/enforce": "baseline"}},
    });
    control.merge(&label, "").await?.taken()?;
    refuses(bed, &shop, &with_host_path("new"), VIOLATION).await?;
    // A label changes nothing about what it may do; another image does.
    let change = |rest: Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "old"}});
        object
            .as_object_mut()
            .into_iter()
            .for_each(|fields| fields.extend(rest.as_object().cloned().unwrap_or_default()));
        object
    };
    let labelled = change(json!({"metadata": {"name": "old", "labels": {"a": "b"}}}));
    control.merge(&labelled, shop.name()).await?.taken()?;
    let mut image = control.get(&plain("old"), shop.name()).await?;
    image["spec"]["containers"][0]["image"] = "meshward.test/app:2".into();
    let image = change(json!({"spec": {"containers": image["spec"]["containers"]}}));
    control.merge(&image, shop.name()).await?.refused(&["hostPath"]).map(|_| ())
}
