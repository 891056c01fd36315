//! Pods created all the time: what an outage, however short, would be seen by.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kube::api::{Api, DynamicObject, PostParams};
use meshward_kit::watch::resource;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bed::Bed;

const CLIENTS: usize = 4;

/// A pod of Istio that its namespace only admits once it is swapped.
pub(crate) fn pod(namespace: &str) -> DynamicObject {
    let closed =
        json!({"runAsUser": 1000, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-", "namespace": namespace},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{
                "name": "istio-init", "image": "istio/proxyv2:1.30",
                "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-i", "*", "-b", "*"],
                "securityContext": {"runAsUser": 0, "runAsNonRoot": false, "capabilities": {"add": ["NET_ADMIN"]}},
            }],
            "containers": [
                {"name": "web", "image": "nginx", "securityContext": closed},
                {"name": "istio-proxy", "image": "istio/proxyv2:1.30", "args": ["proxy", "sidecar"],
                 "securityContext": {"runAsUser": 1337}},
            ],
        },
    }))
    .unwrap()
}

pub(crate) struct Load {
    token: CancellationToken,
    tasks: JoinSet<Vec<String>>,
    admitted: Arc<AtomicUsize>,
    /// The longest that a pod took, in milliseconds.
    slowest: Arc<AtomicUsize>,
}

impl Load {
    /// Begins to create pods, by dry runs.
    pub(crate) fn start(bed: &Bed) -> Self {
        let (token, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (admitted, slowest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..CLIENTS {
            let pods = resource("", "v1", "Pod", "pods");
            let api: Api<DynamicObject> = Api::namespaced_with(bed.client.clone(), &bed.shop, &pods);
            let (token, admitted, pod) = (token.clone(), admitted.clone(), pod(&bed.shop));
            let slowest = slowest.clone();
            tasks.spawn(async move {
                let (parameters, mut failed) =
                    (PostParams { dry_run: true, ..PostParams::default() }, Vec::new());
                while !token.is_cancelled() {
                    let start = Instant::now();
                    match api.create(&parameters, &pod).await {
                        Ok(_) => _ = admitted.fetch_add(1, Ordering::Relaxed),
                        Err(error) => failed.push(format!("{:?} {error}", std::time::SystemTime::now())),
                    }
                    slowest.fetch_max(start.elapsed().as_millis() as usize, Ordering::Relaxed);
                }
                failed
            });
        }
        Self { token, tasks, admitted, slowest }
    }

    pub(crate) fn admitted(&self) -> usize {
        self.admitted.load(Ordering::Relaxed)
    }

    /// The longest that a pod took, in milliseconds.
    pub(crate) fn slowest(&self) -> usize {
        self.slowest.load(Ordering::Relaxed)
    }

    /// Ends it: how many were admitted, and why others were not.
    pub(crate) async fn end(self) -> (usize, Vec<String>) {
        self.token.cancel();
        let failed = self.tasks.join_all().await.concat();
        (self.admitted.load(Ordering::Relaxed), failed)
    }
}
