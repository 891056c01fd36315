//! Many pods of one kind, as a user has them: a Deployment and its rollouts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bed::Bed;
use crate::manifest::Manifest;
use crate::namespace::Namespace;
use crate::until::until;

/// A Deployment with so many pods like this one; they have the label `app=NAME`.
///
/// # Errors
/// The manifest is empty.
pub fn deployment(name: &str, pod: &Manifest, replicas: usize) -> Result<Manifest> {
    let pod = pod.objects().first().context("no pod")?;
    let labels = json!({"app": name});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": pod["metadata"]["annotations"]},
                "spec": pod["spec"],
            },
        },
    });
    Manifest::parse(&object.to_string())
}

fn all(bed: &Bed, namespace: &Namespace) -> Api<Deployment> {
    Api::namespaced(bed.cluster().client.clone(), namespace.name())
}

/// Waits until every replica is of the newest version and available.
///
/// # Errors
/// They are not in time.
pub async fn rolled_out(bed: &Bed, namespace: &Namespace, name: &str, deadline: Duration) -> Result<()> {
    let all = all(bed, namespace);
    until("the rollout", deadline, async || {
        let found = all.get(name).await?;
        let wanted = found.spec.and_then(|spec| spec.replicas);
        let status = found.status.unwrap_or_default();
        let is_done = status.observed_generation >= found.metadata.generation
            && [status.replicas, status.updated_replicas, status.available_replicas] == [wanted; 3];
        ensure!(is_done, "of {wanted:?} {:?} are available: {status:?}", status.available_replicas);
        Ok(())
    })
    .await
}

/// Begins a rollout: the pods of the next version have the annotation `version`.
///
/// # Errors
/// What the API server says.
pub async fn roll_out(bed: &Bed, namespace: &Namespace, name: &str, version: &str) -> Result<()> {
    let change = json!({"spec": {"template": {"metadata": {"annotations": {"version": version}}}}});
    all(bed, namespace).patch(name, &PatchParams::default(), &Patch::Merge(change)).await?;
    Ok(())
}
