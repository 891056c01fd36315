//! The definitions that the chart brings, as the API server reads them: what is written right is taken, and what is
//! written wrong is refused with the field, also while no controller runs.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use kube::api::PostParams;
use meshward_e2e::{Bed, Case, Manifest, case};
use serde_json::{Value, json};

pub(super) const CASES: &[Case] = &[
    case!("exemptions of the examples are accepted", Cluster, accepted),
    case!("an exemption with a slip is refused with its field by the schema alone", Cluster, refused),
    case!("a field that is unknown is kept for the controller to refuse, not dropped", Cluster, kept),
];

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

async fn accepted(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("defined", &[]).await?;
    let mut tried = 0;
    for name in ["exemption.yaml", "preset.yaml", "expired.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policies").join(name);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for object in Manifest::parse(&text)?.objects() {
            let created = bed.cluster().create_with(object, shop.name(), &dry_run()).await;
            created.with_context(|| format!("{name} is refused"))?;
            tried += 1;
        }
    }
    ensure!(tried >= 4, "only {tried} objects were tried");
    Ok(())
}

/// An `Exemption` whose spec is `spec` over one that is right.
fn exemption(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption",
        "metadata": {"name": "slip", "namespace": "default"},
        "spec": {"reason": "a test", "entries": [{"allow": [{"control": "Sysctls"}]}]},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

async fn refused(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("slips", &[]).await?;
    let entry = |containers: Value| json!({"entries": [{"containers": containers, "allow": [{"control": "Capabilities"}]}]});
    let slips = [
        (json!({"reason": " "}), "spec.reason"),
        (json!({"expires": "tomorrow"}), "spec.expires"),
        (json!({"subjects": {"namespaces": ["shop"]}}), "spec.subjects.namespaces"),
        (
            json!({"subjects": {"podLabels": {"matchExpressions": [{"key": "a", "operator": "in"}]}}}),
            "operator",
        ),
        (json!({"entries": []}), "spec.entries"),
        (json!({"entries": [{"allow": []}]}), "spec.entries[0].allow"),
        (json!({"entries": [{"allow": [{"control": "capabilities"}]}]}), "spec.entries[0].allow[0].control"),
        (entry(json!({})), "spec.entries[0].containers"),
        (entry(json!({"names": []})), "spec.entries[0].containers.names"),
        (entry(json!({"names": ["Init"]})), "spec.entries[0].containers.names[0]"),
        (entry(json!({"kinds": ["inti"]})), "spec.entries[0].containers.kinds[0]"),
    ];
    for (spec, field) in slips {
        refused_with(bed, shop.name(), &exemption(spec), field).await?;
    }
    let cluster = |kind: &str, spec: Value| json!({"apiVersion": "meshward.dev/v1alpha1", "kind": kind, "metadata": {"name": "e2e-slip"}, "spec": spec});
    let allow = json!([{"allow": [{"control": "Sysctls"}]}]);
    let slips = [
        (cluster("ClusterExemption", json!({"reason": "a test", "entries": allow})), "spec.subjects"),
        (
            cluster(
                "MeshPreset",
                json!({"preset": "istio-innit", "reason": "r", "subjects": {"namespaces": ["*"]}}),
            ),
            "spec.preset",
        ),
        (
            cluster(
                "MeshPreset",
                json!({"preset": "istio-init", "reason": "r", "subjects": {"namespaces": []}}),
            ),
            "spec.subjects.namespaces",
        ),
    ];
    for (object, field) in slips {
        refused_with(bed, shop.name(), &object, field).await?;
    }
    Ok(())
}

/// The API server's own validation answers Invalid (422), a webhook of ours would answer otherwise first.
async fn refused_with(bed: &Bed, namespace: &str, object: &Value, field: &str) -> Result<()> {
    match bed.cluster().create_with(object, namespace, &dry_run()).await {
        Ok(_) => bail!("accepted, with something wrong in {field}: {object}"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains(field) && said.contains("is invalid"), "refused without {field}: {said}");
            Ok(())
        }
    }
}

async fn kept(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("kept", &[]).await?;
    let object = exemption(json!({"subjects": {"podLables": {"matchLabels": {"app": "web"}}}}));
    match bed.cluster().create_with(&object, shop.name(), &dry_run()).await {
        Ok(created) => {
            let there = &created.data["spec"]["subjects"]["podLables"]["matchLabels"]["app"];
            ensure!(there == "web", "dropped, so that the exemption is about every pod: {}", created.data);
        }
        // A controller runs, and has seen it.
        Err(error) => ensure!(format!("{error:#}").contains("podLables"), "{error:#}"),
    }
    Ok(())
}
