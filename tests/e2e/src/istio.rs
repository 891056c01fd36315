//! The real Istio of `tests/e2e/peers/istio`: what its injector makes of a pod, and istiod behind it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::api::{DynamicObject, PostParams};
use serde_json::Value;
use tokio::process::Command;

use crate::bed::Bed;
use crate::cluster::run;
use crate::manifest::{Manifest, workspace};
use crate::namespace::Namespace;

/// The label of a namespace whose pods are injected.
pub const INJECTED: (&str, &str) = ("istio-injection", "enabled");
/// What the API server adds to what it is given.
const ADDED: [&str; 6] =
    ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "namespace"];

/// An istiod that is ready.
pub struct Istio {
    outputs: PathBuf,
}

impl Istio {
    /// Installs it, or makes the installed one inject as `options` of `up.sh` say.
    ///
    /// # Errors
    /// The script's own words.
    pub async fn install(bed: &Bed, options: &[&str]) -> Result<Self> {
        let outputs = bed.cluster().tools.istio.clone().context("this run has no Istio")?;
        run(Command::new(script("up.sh")).arg(&outputs).args(options), "").await?;
        Ok(Self { outputs })
    }

    /// Takes everything of it out of the cluster.
    ///
    /// # Errors
    /// The script's own words.
    pub async fn uninstall(&self) -> Result<()> {
        run(Command::new(script("down.sh")).arg(&self.outputs), "").await.map(|_| ())
    }

    /// What the injector makes of a pod, asked without creating it. `open` has the label [`INJECTED`] and no Pod
    /// Security profile, since the result needs privileges.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn injected(&self, bed: &Bed, open: &Namespace, pod: &Manifest) -> Result<Manifest> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let mut documents = Vec::new();
        for object in pod.objects() {
            let given = bed.cluster().create_with(object, open.name(), &dry).await?;
            documents.push(as_written(given)?.to_string());
        }
        Manifest::parse(&documents.join("\n---\n"))
    }
}

/// Without what only the API server says.
fn as_written(object: DynamicObject) -> Result<Value> {
    let mut object = serde_json::to_value(object)?;
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        ADDED.iter().for_each(|field| drop(metadata.remove(*field)));
    }
    Ok(object)
}

fn script(name: &str) -> PathBuf {
    workspace().join("tests/e2e/peers/istio").join(name)
}
