//! Objects of any kind on the API server, by what a case calls them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, Client, discovery};
use serde_json::Value;

use super::Unsupported;
use super::spec::text;
use crate::until::until;

/// The API server, with what is known of its kinds.
pub(super) struct Objects {
    client: Client,
    /// Where objects go that name no namespace.
    namespace: String,
    kinds: BTreeMap<(String, String), (ApiResource, Scope)>,
}

/// Which objects are meant.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    /// Of one object; all of the kind with `labels` when empty.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
}

impl Reference {
    /// As `{apiVersion, kind, name, namespace, labels}`, which `metadata` may hold.
    pub(super) fn read(value: &Value) -> Self {
        let metadata = if value["metadata"].is_object() { &value["metadata"] } else { value };
        let labels = metadata["labels"].as_object().into_iter().flatten();
        Self {
            api_version: text(&value["apiVersion"]),
            kind: text(&value["kind"]),
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            labels: labels.map(|(key, value)| (key.clone(), text(value))).collect(),
        }
    }
}

impl Objects {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace, kinds: BTreeMap::new() }
    }

    /// The namespace of objects that name none.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    async fn api(&mut self, reference: &Reference) -> Result<Api<DynamicObject>> {
        let Reference { api_version, kind, namespace, .. } = reference;
        let key = (api_version.clone(), kind.clone());
        if !self.kinds.contains_key(&key) {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let gvk = GroupVersionKind::gvk(group, version, kind);
            let found = discovery::pinned_kind(&self.client, &gvk).await;
            let (resource, capabilities) =
                found.map_err(|_| Unsupported(format!("the API server knows no {kind} of {api_version}")))?;
            self.kinds.insert(key.clone(), (resource, capabilities.scope));
        }
        let (resource, scope) = &self.kinds[&key];
        let namespace = if namespace.is_empty() { &self.namespace } else { namespace };
        Ok(match scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, resource),
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
        })
    }

    /// Those that are meant, as they are now.
    pub(super) async fn find(&mut self, reference: &Reference) -> Result<Vec<Value>> {
        let api = self.api(reference).await?;
        let found = if reference.name.is_empty() {
            let selector: Vec<String> =
                reference.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            api.list(&ListParams::default().labels(&selector.join(","))).await?.items
        } else {
            api.get_opt(&reference.name).await?.into_iter().collect()
        };
        found.into_iter().map(|object| Ok(typed(serde_json::to_value(object)?, reference))).collect()
    }

    /// Creates an object.
    pub(super) async fn create(&mut self, object: &Value) -> Result<Value> {
        let reference = Reference::read(object);
        let api = self.api(&reference).await?;
        let object: DynamicObject =
            serde_json::from_value(object.clone()).context("not a Kubernetes object")?;
        let made = api.create(&PostParams::default(), &object).await?;
        Ok(typed(serde_json::to_value(made)?, &reference))
    }

    /// Merges an object into the one that is there.
    pub(super) async fn patch(&mut self, object: &Value) -> Result<Value> {
        let reference = Reference::read(object);
        let api = self.api(&reference).await?;
        let made = api.patch(&reference.name, &PatchParams::default(), &Patch::Merge(object)).await?;
        Ok(typed(serde_json::to_value(made)?, &reference))
    }

    /// Puts an object in the place of the one that is there.
    pub(super) async fn replace(&mut self, object: &Value) -> Result<Value> {
        let reference = Reference::read(object);
        let api = self.api(&reference).await?;
        let mut object: DynamicObject =
            serde_json::from_value(object.clone()).context("not a Kubernetes object")?;
        if object.metadata.resource_version.is_none() {
            object.metadata.resource_version = api.get(&reference.name).await?.metadata.resource_version;
        }
        let made = api.replace(&reference.name, &PostParams::default(), &object).await?;
        Ok(typed(serde_json::to_value(made)?, &reference))
    }

    /// Deletes one object, and waits until it is gone; gone already is as good.
    pub(super) async fn delete(
        &mut self,
        reference: &Reference,
        deadline: Duration,
        at_once: bool,
    ) -> Result<()> {
        let api = self.api(reference).await?;
        let mut how = DeleteParams::background();
        if at_once {
            how.grace_period_seconds = Some(0);
        }
        match api.delete(&reference.name, &how).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            other => other.map(|_| ())?,
        }
        let what = format!("{} {} to be gone", reference.kind, reference.name);
        until(&what, deadline, async || match api.get_metadata_opt(&reference.name).await? {
            None => Ok(()),
            Some(_) => bail!("it is still there"),
        })
        .await
    }
}

/// A single object of a list does not say its kind.
fn typed(mut object: Value, reference: &Reference) -> Value {
    for (field, value) in [("apiVersion", &reference.api_version), ("kind", &reference.kind)] {
        if object[field].is_null() {
            object[field] = value.clone().into();
        }
    }
    object
}
