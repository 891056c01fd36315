//! The admission controller on the real API server. Policies are of the whole cluster, and cases run at once: each names
//! only namespaces of its own.

mod exemptions;
mod lifecycle;
mod objects;
mod policies;
mod reports;
mod resilience;
mod standards;
mod swap;

use std::time::Duration;

use anyhow::{Context, Result};
use meshward_e2e::{Bed, Case, Manifest, Namespace, until};
use serde_json::{Value, json};

/// For the controller to have learned of an object, and the API server of what it is to send.
const LEARNED: Duration = Duration::from_secs(30);
/// A namespace whose mesh pods stay as they are, so that what judges them sees the mesh's own container.
const UNSWAPPED: (&str, &str) = ("meshward.dev/swap", "disabled");

/// All of them.
pub(super) fn all() -> Vec<Case> {
    [
        exemptions::CASES,
        standards::CASES,
        swap::CASES,
        objects::CASES,
        policies::CASES,
        reports::CASES,
        resilience::CASES,
        lifecycle::CASES,
    ]
    .concat()
}

/// A manifest beside the documentation.
fn example(name: &str) -> Result<Vec<Value>> {
    Ok(Manifest::example(&format!("../policies/{name}"))?.objects().to_vec())
}

/// A pod that nothing objects to, and that no node runs.
pub(super) fn plain(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"e2e.meshward.dev/nowhere": "true"},
            "containers": [{
                "name": "web",
                "image": meshward_e2e::manifest::APP,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": true,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    })
}

/// The same with a host path, which level baseline forbids.
fn with_host_path(name: &str) -> Value {
    let mut pod = plain(name);
    pod["spec"]["volumes"] = json!([{"name": "host", "hostPath": {"path": "/etc"}}]);
    pod
}

/// A policy that wants a label `owner` of the pods of one namespace.
pub(super) fn owner_policy(name: &str, namespace: &str, action: &str, failure: &str) -> Value {
    json!({
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": failure,
            "rules": [{
                "name": "owner",
                "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": [namespace]}}]},
                "validate": {
                    "failureAction": action,
                    "message": "every pod here has an owner",
                    "pattern": {"metadata": {"labels": {"owner": "?*"}}},
                },
            }],
        },
    })
}

/// Waits until a pod that is to be refused is refused with `part` in the words: from then on what refuses it is in force.
pub(super) async fn refuses(bed: &Bed, shop: &Namespace, pod: &Value, part: &str) -> Result<()> {
    until("a refusal", LEARNED, async || {
        bed.controller().try_create(pod, shop.name()).await?.refused(&[part]).map(|_| ())
    })
    .await
}

/// Waits until a pod that is to be taken is taken.
pub(super) async fn takes(bed: &Bed, shop: &Namespace, pod: &Value) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    until("a pod to be taken", LEARNED, async || {
        bed.controller().try_create(pod, shop.name()).await?.taken().map(|_| ())
    })
    .await
    .with_context(|| format!("pod {name}"))
}

/// A name that no other case of this run uses: objects of the cluster are named after the case's namespace.
pub(super) fn unique(shop: &Namespace, name: &str) -> String {
    format!("{}-{name}", shop.name())
}
