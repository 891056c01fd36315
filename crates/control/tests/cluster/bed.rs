//! A namespace for the controller, one that it looks at, and replicas of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use meshward_kit::client::{self, Access};
use meshward_kit::watch::resource;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::balancer::{Backend, Balancer, get};

/// Every controller looks at every policy. A test that needs one that they refuse is alone.
static TURN: RwLock<()> = RwLock::const_new(());

/// Policies belong to the whole cluster, so that while thousands of objects of one test are scanned the others wait.
pub(crate) const SOON: Duration = Duration::from_secs(120);

pub(crate) struct Bed {
    pub(crate) client: Client,
    kubeconfig: PathBuf,
    /// The controller's namespace, and the name of its Service.
    pub(crate) name: String,
    /// The namespace that is looked at.
    pub(crate) shop: String,
    pub(crate) balancer: Balancer,
    _turn: Turn,
}

/// With other tests, or without.
enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// A running controller. Killed when it is dropped.
pub(crate) struct Replica {
    pub(crate) child: Child,
    pub(crate) backend: Backend,
    pub(crate) name: String,
}

impl Bed {
    /// `None` where there is no API server; that is told.
    pub(crate) async fn or_skip(name: &str) -> Option<Self> {
        Self::within(name, Turn::Shared { _guard: TURN.read().await }).await
    }

    /// The same while no other test has a controller.
    pub(crate) async fn alone_or_skip(name: &str) -> Option<Self> {
        Self::within(name, Turn::Alone { _guard: TURN.write().await }).await
    }

    async fn within(name: &str, turn: Turn) -> Option<Self> {
        let Some(path) = std::env::var_os("MESHWARD_TEST_KUBECONFIG") else {
            meshward_netlab::skipped("no API server (MESHWARD_TEST_KUBECONFIG)");
            return None;
        };
        let kubeconfig = PathBuf::from(path);
        let access = Access {
            kubeconfig: Some(kubeconfig.clone()),
            context: None,
            user_agent: "meshward-test/1".into(),
        };
        let client = client::connect(&access).await.unwrap();
        let name = format!("{name}-{}", std::process::id());
        let shop = format!("{name}-shop");
        let bed = Self { client, kubeconfig, name, shop, balancer: Balancer::start().await, _turn: turn };
        bed.define().await;
        bed.namespace(&bed.name, json!({})).await;
        let enforced = json!({"pod-security.kubernetes.io/enforce": "restricted", "looked-at-by": bed.name});
        bed.namespace(&bed.shop, enforced).await;
        Some(bed)
    }

    /// The kinds of policies and reports, which the chart brings elsewhere.
    async fn define(&self) {
        let plural = "customresourcedefinitions";
        let api = self.api("apiextensions.k8s.io", "v1", "CustomResourceDefinition", plural);
        for definition in meshward_definitions::all() {
            let object: DynamicObject = serde_json::from_value(definition.object.clone()).unwrap();
            match api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                made => drop(made.unwrap()),
            }
        }
        let served = self.api("wgpolicyk8s.io", "v1alpha2", "PolicyReport", "policyreports");
        eventually("reports are served", || async {
            served.list(&ListParams::default().limit(1)).await.is_ok()
        })
        .await;
    }

    async fn namespace(&self, name: &str, labels: Value) {
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        self.create("", "v1", "Namespace", "namespaces", &object).await;
    }

    pub(crate) fn api(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(group, version, kind, plural))
    }

    pub(crate) async fn create(&self, group: &str, version: &str, kind: &str, plural: &str, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        self.api(group, version, kind, plural).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Starts one more replica.
    pub(crate) async fn replica(&self, name: &str, arguments: &[&str]) -> Replica {
        let backend = Backend { webhooks: free().await, admin: free().await };
        let log = std::fs::File::create(format!("{}/{}-{name}.log", env!("CARGO_TARGET_TMPDIR"), self.name))
            .unwrap();
        let child = self
            .command()
            .args(["--listen", &backend.webhooks.to_string(), "--admin-listen", &backend.admin.to_string()])
            .args(["--pod-name", name, "--log-format", "text"])
            .args(arguments)
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        self.balancer.add(backend);
        Replica { child, backend, name: name.to_owned() }
    }

    /// The controller with what says which release it is.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshward-control"));
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.name, "--service-name", &self.name])
            .args(["--webhook-url", &format!("https://{}", self.balancer.address)])
            .args(["--namespace-selector", &format!("looked-at-by={}", self.name)])
            .kill_on_drop(true);
        command
    }

    /// The configurations of this release, by their usual names.
    pub(crate) async fn configurations(&self) -> Vec<(String, Value)> {
        let kinds = [
            ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
            ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        ];
        let (mut all, ours) =
            (Vec::new(), ListParams::default().labels(&format!("meshward.dev/service={}", self.name)));
        for (kind, plural) in kinds {
            let api = self.api("admissionregistration.k8s.io", "v1", kind, plural);
            for object in api.list(&ours).await.unwrap() {
                let name = object.metadata.name.clone().unwrap();
                let usual = name.strip_suffix(&format!(".{}", self.name)).unwrap().to_owned();
                all.push((usual, serde_json::to_value(object).unwrap()));
            }
        }
        all
    }

    /// The usual names of what is there.
    pub(crate) async fn names(&self) -> Vec<String> {
        self.configurations().await.into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) async fn configuration(&self, usual: &str) -> Option<Value> {
        self.configurations().await.into_iter().find(|(name, _)| name == usual).map(|(_, object)| object)
    }

    /// Changes a validating configuration behind the controller's back.
    pub(crate) async fn tamper(&self, usual: &str, patch: Value) {
        let api = self.validating();
        let name = format!("{usual}.{}", self.name);
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(crate) fn validating(&self) -> Api<DynamicObject> {
        let (kind, plural) = ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations");
        self.api("admissionregistration.k8s.io", "v1", kind, plural)
    }

    /// Who leads, by the name that the replica was given.
    pub(crate) async fn leader(&self) -> String {
        let resource = resource("coordination.k8s.io", "v1", "Lease", "leases");
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.name, &resource);
        let Ok(lease) = api.get(&self.name).await else { return String::new() };
        let holder = lease.data.pointer("/spec/holderIdentity").and_then(Value::as_str).unwrap_or_default();
        holder.split('_').next().unwrap_or_default().to_owned()
    }

    /// Takes everything away that was made.
    pub(crate) async fn end(self) {
        let api = self.api("", "v1", "Namespace", "namespaces");
        for name in [&self.name, &self.shop] {
            drop(api.delete(name, &DeleteParams::default()).await);
        }
        assert_eq!(self.names().await, [] as [&str; 0]);
    }
}

impl Replica {
    /// SIGTERM, as the kubelet ends a pod; the code it ends with.
    pub(crate) async fn terminate(&mut self) -> i32 {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::time::timeout(SOON, self.child.wait()).await.expect("ends in time");
        ended.unwrap().code().unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        get(self.backend.admin, "/metrics").await.unwrap()
    }
}

async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Asks until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = std::time::Instant::now();
    while !holds().await {
        assert!(start.elapsed() < SOON, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
