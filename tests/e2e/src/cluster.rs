//! The Kubernetes that cases run on, and the programs they use.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Resource, discovery};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::rig::Rig;

/// Programs and files of this run.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `helm`
    pub helm: PathBuf,
    /// The product's command line.
    pub meshward: PathBuf,
    /// The chart's folder.
    pub chart: PathBuf,
    /// Further `--set` of the chart, as this cluster needs them.
    pub chart_values: Vec<String>,
    /// Whether the cluster has the image of a real Envoy.
    pub envoy: bool,
    /// Folder of `tests/e2e/peers/istio` with its outputs, where there is one.
    pub istio: Option<PathBuf>,
    /// Folder with Kyverno's controllers, where there are any.
    pub kyverno: Option<PathBuf>,
    /// Folder of `tests/e2e/peers/operators` with its outputs, where there is one.
    pub operators: Option<PathBuf>,
}

/// A connection to the cluster; cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// To the API server, as its administrator.
    pub client: Client,
    /// The node, where it is the one that this repository starts.
    pub rig: Option<Arc<Rig>>,
    /// Programs.
    pub tools: Arc<Tools>,
    /// Names this run: in its namespaces, so that nothing of another run is taken for its own.
    pub run: Arc<str>,
}

impl Cluster {
    /// By `KUBECONFIG`.
    ///
    /// # Errors
    /// There is none, or nobody answers.
    pub async fn connect(tools: Tools, rig: Option<Rig>) -> Result<Self> {
        let client = Client::try_default().await.context("no cluster to connect to (KUBECONFIG)")?;
        client.apiserver_version().await.context("the API server does not answer")?;
        Ok(Self { client, rig: rig.map(Arc::new), tools: Arc::new(tools), run: run_id().into() })
    }

    /// Creates one object of any kind, in `namespace` where the kind has namespaces.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn create(&self, object: &Value, namespace: &str) -> Result<DynamicObject> {
        self.create_with(object, namespace, &PostParams::default()).await
    }

    /// The same with parameters: a dry run.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn create_with(
        &self,
        object: &Value,
        namespace: &str,
        parameters: &PostParams,
    ) -> Result<DynamicObject> {
        let (api, mut object) = self.dynamic(object, namespace).await?;
        if object.metadata.namespace.is_some() {
            object.metadata.namespace = Some(namespace.to_string());
        }
        Ok(api.create(parameters, &object).await?)
    }

    /// Where objects of this kind are on the API server, in `namespace` where the kind has namespaces.
    ///
    /// # Errors
    /// The API server does not know the kind.
    pub async fn path(&self, object: &Value, namespace: &str) -> Result<String> {
        let (resource, capabilities) = self.kind_of(object).await?;
        let inside = Some(namespace).filter(|_| capabilities.scope == discovery::Scope::Namespaced);
        Ok(DynamicObject::url_path(&resource, inside))
    }

    async fn kind_of(&self, object: &Value) -> Result<(ApiResource, discovery::ApiCapabilities)> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, text("kind"));
        discovery::pinned_kind(&self.client, &kind)
            .await
            .with_context(|| format!("the API server knows no {} {}", text("apiVersion"), text("kind")))
    }

    async fn dynamic(&self, object: &Value, namespace: &str) -> Result<(Api<DynamicObject>, DynamicObject)> {
        let (resource, capabilities) = self.kind_of(object).await?;
        let api = match capabilities.scope {
            discovery::Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        };
        let object = serde_json::from_value(object.clone()).context("this is no Kubernetes object")?;
        Ok((api, object))
    }
}

/// Five letters and digits; another one each second for two years.
fn run_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let digit = |place: u32| char::from(DIGITS[(since / 36_u64.pow(place) % 36) as usize]);
    (0..5).rev().map(digit).collect()
}

impl Tools {
    /// For what uses no program of this run, only the API server.
    pub fn none() -> Self {
        Self {
            helm: PathBuf::new(),
            meshward: PathBuf::new(),
            chart: PathBuf::new(),
            chart_values: Vec::new(),
            envoy: false,
            istio: None,
            kyverno: None,
            operators: None,
        }
    }

    /// Runs the product's command line and gives what it prints.
    ///
    /// # Errors
    /// It ends with an error; its own words.
    pub async fn meshward(&self, arguments: &[&str], input: &str) -> Result<String> {
        run(Command::new(&self.meshward).args(arguments), input).await
    }

    /// Runs helm.
    ///
    /// # Errors
    /// It ends with an error; its own words.
    pub async fn helm(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new(&self.helm).args(arguments), "").await
    }
}

/// Runs a program to its end with `input`, and gives what it prints.
///
/// # Errors
/// It cannot be started or ends with an error; what it said then.
pub async fn run(command: &mut Command, input: &str) -> Result<String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let piped =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = piped.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let text = input.to_string();
    // A program may end before it has read everything.
    let fed = tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
    let output = child.wait_with_output().await?;
    let _ = fed.await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{name} ended with {}: {}{}", output.status, printed, String::from_utf8_lossy(&output.stderr));
    }
    Ok(printed)
}
