//! A namespace of one case.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use k8s_openapi::api::core::v1;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::cluster::Cluster;
use crate::manifest::Manifest;
use crate::pod::Pod;
use crate::until::until;

/// On every namespace that a run has made; the value names the run.
pub const OF_RUN: &str = "e2e.meshward.dev/run";
/// How long namespaces of an earlier run may take to go.
const CLEARED: Duration = Duration::from_secs(120);
/// How long the controllers may take to make what every pod needs.
const SET_UP: Duration = Duration::from_secs(30);

/// A namespace.
#[derive(Clone)]
pub struct Namespace {
    cluster: Cluster,
    name: String,
}

impl Namespace {
    pub(crate) async fn create(cluster: &Cluster, name: &str, labels: &[(&str, &str)]) -> Result<Self> {
        let all: Api<v1::Namespace> = Api::all(cluster.client.clone());
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .chain(&[(OF_RUN, &*cluster.run)])
            .map(|(key, value)| (key.to_string(), json!(value)))
            .collect();
        let object = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        }))?;
        all.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("cannot make namespace {name}"))?;
        let namespace = Self { cluster: cluster.clone(), name: name.to_string() };
        // Pods are refused before their ServiceAccount is there.
        let accounts: Api<v1::ServiceAccount> = Api::namespaced(cluster.client.clone(), name);
        until("the ServiceAccount default", SET_UP, async || Ok(accounts.get("default").await?)).await?;
        Ok(namespace)
    }

    /// Deletes what earlier runs have left, and waits until it is gone. Their names.
    ///
    /// # Errors
    /// Something does not go in time.
    pub async fn clear_left_over(cluster: &Cluster) -> Result<Vec<String>> {
        let all: Api<v1::Namespace> = Api::all(cluster.client.clone());
        let left = all.list(&ListParams::default().labels(OF_RUN)).await?;
        let names: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
        let each = names.iter().map(|name| Self::of_name(cluster, name));
        let gone = join_all(each.map(async |namespace| namespace.delete(CLEARED).await)).await;
        gone.into_iter().collect::<Result<()>>()?;
        Ok(names)
    }

    /// One that is there.
    pub(crate) fn of_name(cluster: &Cluster, name: &str) -> Self {
        Self { cluster: cluster.clone(), name: name.to_string() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Annotates the namespace itself; some meshes take settings from there.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn annotate(&self, key: &str, value: &str) -> Result<()> {
        let all: Api<v1::Namespace> = Api::all(self.cluster.client.clone());
        let patch = json!({"metadata": {"annotations": {key: value}}});
        all.patch(&self.name, &Default::default(), &kube::api::Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Creates every object.
    ///
    /// # Errors
    /// What the API server says about the first that it does not take.
    pub async fn apply(&self, manifest: &Manifest) -> Result<()> {
        for object in manifest.objects() {
            let mut object = object.clone();
            object["metadata"]["namespace"] = self.name.clone().into();
            self.cluster
                .create(&object, &self.name)
                .await
                .with_context(|| format!("{} {} is not taken", object["kind"], object["metadata"]["name"]))?;
        }
        Ok(())
    }

    /// Creates one pod.
    ///
    /// # Errors
    /// What the API server says, or the manifest is not one pod.
    pub async fn pod(&self, manifest: &Manifest) -> Result<Pod> {
        let [object] = manifest.objects() else {
            bail!("{} objects, and one pod is meant", manifest.objects().len());
        };
        let name = object["metadata"]["name"].as_str().context("a pod without a name")?;
        self.apply(manifest).await?;
        Ok(self.existing(name))
    }

    /// A pod that is there already.
    pub fn existing(&self, name: &str) -> Pod {
        Pod::new(self.cluster.clone(), &self.name, name)
    }

    /// The pods with a label, those that are going left out.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        let api: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), &self.name);
        let list = api.list(&ListParams::default().labels(selector)).await?;
        let staying = list.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(staying.map(|pod| self.existing(&pod.name_any())).collect())
    }

    /// What the API server says when it refuses the manifest's first object.
    ///
    /// # Errors
    /// It takes it.
    pub async fn refused(&self, manifest: &Manifest) -> Result<String> {
        match self.apply(manifest).await {
            Ok(()) => bail!("the API server takes what it should refuse"),
            Err(error) => match error.downcast_ref::<kube::Error>() {
                Some(kube::Error::Api(status)) => Ok(status.message.clone()),
                _ => Err(error),
            },
        }
    }

    /// Deletes it without waiting until it is gone.
    pub(crate) async fn give_up(&self) -> Result<()> {
        let all: Api<v1::Namespace> = Api::all(self.cluster.client.clone());
        all.delete(&self.name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Deletes it and waits until it is gone.
    pub(crate) async fn delete(&self, deadline: Duration) -> Result<()> {
        let pods: Api<v1::Pod> = Api::namespaced(self.cluster.client.clone(), &self.name);
        pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()).await?;
        let all: Api<v1::Namespace> = Api::all(self.cluster.client.clone());
        all.delete(&self.name, &DeleteParams::background()).await?;
        let gone = async || match all.get_opt(&self.name).await? {
            None => Ok(()),
            Some(left) => {
                let conditions = left.status.and_then(|status| status.conditions).unwrap_or_default();
                let reasons: Vec<String> = conditions.into_iter().filter_map(|one| one.message).collect();
                bail!("it is still there: {}", reasons.join("; "))
            }
        };
        until(&format!("namespace {} to be gone", self.name), deadline, gone).await
    }
}
