//! What one case gets: the cluster, and namespaces that are its own and are taken away after it.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::join_all;
use serde_json::Value;

use crate::agent::Agent;
use crate::cluster::Cluster;
use crate::controller::Controller;
use crate::diagnosis;
use crate::manifest::Manifest;
use crate::namespace::Namespace;
use crate::rig::Rig;

/// One case's share of the cluster.
pub struct Bed {
    cluster: Cluster,
    /// Distinguishes the namespaces of cases that run at once.
    number: usize,
    namespaces: Mutex<Vec<Namespace>>,
    /// Further objects that are taken away after the case, each with its namespace.
    objects: Mutex<Vec<(Value, String)>>,
}

impl Bed {
    /// For the case of this number.
    pub fn new(cluster: Cluster, number: usize) -> Self {
        Self { cluster, number, namespaces: Mutex::new(Vec::new()), objects: Mutex::new(Vec::new()) }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The agent that the run has installed.
    pub fn agent(&self) -> Agent {
        Agent::of(&self.cluster)
    }

    /// The node.
    ///
    /// # Errors
    /// It is not ours: the case should have said `Needs::Node`.
    pub fn rig(&self) -> Result<&Rig> {
        match &self.cluster.rig {
            Some(rig) => Ok(rig),
            None => bail!("this cluster's node cannot be reached from here"),
        }
    }

    /// A new namespace where Pod Security enforces *restricted*.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn restricted(&self, name: &str) -> Result<Namespace> {
        let label = ("pod-security.kubernetes.io/enforce", "restricted");
        self.namespace(name, &[label, ("pod-security.kubernetes.io/enforce-version", "latest")]).await
    }

    /// A new namespace with these labels.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn namespace(&self, name: &str, labels: &[(&str, &str)]) -> Result<Namespace> {
        let name = format!("e2e-{}-{}-{name}", self.cluster.run, self.number);
        Ok(self.keep(Namespace::create(&self.cluster, &name, labels).await?))
    }

    /// A new namespace of exactly this name, under no profile: for cases that run alone.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn named(&self, name: &str) -> Result<Namespace> {
        Ok(self.keep(Namespace::create(&self.cluster, name, &[]).await?))
    }

    /// Deletes a namespace that nobody made in this case, and waits until it is gone.
    ///
    /// # Errors
    /// It does not go within a minute.
    pub async fn forget(&self, name: &str) -> Result<()> {
        Namespace::of_name(&self.cluster, name).delete(Duration::from_secs(60)).await
    }

    fn keep(&self, namespace: Namespace) -> Namespace {
        if let Ok(mut all) = self.namespaces.lock() {
            all.push(namespace.clone());
        }
        namespace
    }

    /// The controller that the run has installed.
    pub fn controller(&self) -> Controller {
        Controller::of(&self.cluster)
    }

    /// Creates an object of any kind that goes after the case; for those that belong to no namespace of the case.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn put(&self, object: &Value, namespace: &str) -> Result<()> {
        let reply = self.controller().create(object, namespace).await?;
        self.goes(object, namespace);
        reply.taken().map(|_| ())
    }

    /// Has an object taken away after the case.
    pub fn goes(&self, object: &Value, namespace: &str) {
        if let Ok(mut all) = self.objects.lock() {
            all.push((object.clone(), namespace.to_owned()));
        }
    }

    /// What `meshward swap` makes of a manifest.
    ///
    /// # Errors
    /// It refuses, with its own words.
    pub async fn swapped(&self, manifest: &Manifest) -> Result<Manifest> {
        let text = self.cluster.tools.meshward(&["swap", "-"], &manifest.to_yaml()).await?;
        Manifest::parse(&text)
    }

    /// Everything that helps to understand a failure.
    pub async fn diagnosis(&self) -> String {
        let namespaces = self.namespaces.lock().map(|all| all.clone()).unwrap_or_default();
        diagnosis::of(&self.cluster, &namespaces).await
    }

    /// Takes everything away that the case made.
    ///
    /// # Errors
    /// Something does not go within a minute.
    pub async fn clear(&self) -> Result<()> {
        let objects: Vec<_> = self.objects.lock().map(|mut all| all.drain(..).collect()).unwrap_or_default();
        for (object, namespace) in objects.iter().rev() {
            self.controller().delete(object, namespace).await?;
        }
        let namespaces: Vec<Namespace> =
            self.namespaces.lock().map(|mut all| all.drain(..).collect()).unwrap_or_default();
        let gone =
            join_all(namespaces.iter().map(|namespace| namespace.delete(Duration::from_secs(120)))).await;
        gone.into_iter().collect()
    }
}
