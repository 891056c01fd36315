//! The node's taint: pods that need rules are not scheduled to a node whose agent cannot give them any. Optional, since
//! the wait container guards pods either way; it saves them the wait.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use meshward_kit::admin::{Condition, Readiness};
use meshward_kit::backoff::Backoff;
use meshward_kit::client::{Kind, RequestError};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const EFFECT: &str = "NoSchedule";
/// How long the taint may take to be put on when the agent ends.
const LAST: Duration = Duration::from_secs(5);

/// Takes the taint `key` off `node` once `readiness` says ready, and puts it on when `token` is cancelled. `condition`
/// tells of a taint that could not be changed.
pub async fn keep_taint(
    client: Client,
    node: String,
    key: String,
    readiness: Readiness,
    condition: Condition,
    token: CancellationToken,
) {
    let nodes: Api<Node> = Api::all(client);
    let take_off = async {
        readiness.wait_for(true).await;
        insist(&nodes, &node, &key, false, &condition).await;
    };
    if token.run_until_cancelled(take_off).await.is_some() {
        token.cancelled().await;
    }
    if tokio::time::timeout(LAST, insist(&nodes, &node, &key, true, &condition)).await.is_err() {
        tracing::warn!(node, taint = key, "the taint could not be put on in time");
    }
}

/// Tries until it is done.
async fn insist(nodes: &Api<Node>, node: &str, key: &str, tainted: bool, condition: &Condition) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(60));
    loop {
        match set(nodes, node, key, tainted).await {
            Ok(changed) => {
                condition.hold();
                if changed {
                    tracing::info!(node, taint = key, tainted, "node taint changed");
                }
                return;
            }
            // Somebody else changed the node between our reading and our writing.
            Err(error) if error.kind() == Kind::Conflict => {}
            Err(error) => {
                if condition.fail(format!("the node's taint is not kept: {error}")) {
                    tracing::error!(%error, "the node's taint is not kept; tried again");
                }
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// True when the node was changed.
async fn set(nodes: &Api<Node>, node: &str, key: &str, tainted: bool) -> Result<bool, RequestError> {
    let found = nodes.get(node).await.map_err(RequestError::of(format!("read node {node}")))?;
    let Some(patch) = patch(&found, key, tainted) else { return Ok(false) };
    let params = PatchParams { field_manager: Some("meshward-node".into()), ..PatchParams::default() };
    let answer = nodes.patch(node, &params, &Patch::Merge(&patch)).await;
    answer.map(|_| true).map_err(RequestError::of(format!("change the taints of node {node}")))
}

/// A merge patch replaces the whole list, so it names the version that the list was read from: a taint that somebody
/// added since makes it a conflict instead of a loss. None when the node is as it should be.
fn patch(node: &Node, key: &str, tainted: bool) -> Option<Value> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let is_ours = |taint: &Taint| taint.key == key;
    let ours = taints.iter().filter(|taint| is_ours(taint)).count();
    let there = taints.iter().any(|taint| is_ours(taint) && taint.effect == EFFECT);
    if (tainted && there) || (!tainted && ours == 0) {
        return None;
    }
    let mut taints: Vec<Taint> = taints.into_iter().filter(|taint| tainted || !is_ours(taint)).collect();
    if tainted {
        taints.push(Taint { key: key.into(), effect: EFFECT.into(), ..Taint::default() });
    }
    Some(json!({
        "metadata": { "resourceVersion": node.metadata.resource_version },
        "spec": { "taints": taints },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: Value) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n", "resourceVersion": "7" },
            "spec": { "taints": taints },
        }))
        .unwrap()
    }

    #[test]
    fn only_our_taint_changes() {
        let ours = json!({ "key": "m/x", "effect": "NoSchedule" });
        let other = json!({ "key": "gpu", "value": "yes", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z" });
        let list =
            |taints: Value| json!({ "metadata": { "resourceVersion": "7" }, "spec": { "taints": taints } });
        let table = [
            (json!([other, ours]), false, Some(list(json!([other])))),
            (json!([ours]), false, Some(list(json!([])))),
            (json!([other]), false, None),
            (Value::Null, false, None),
            (json!([other]), true, Some(list(json!([other, ours])))),
            (Value::Null, true, Some(list(json!([ours])))),
            (json!([ours]), true, None),
            // An administrator's harder taint of the same key holds pods off no less, and goes with ours.
            (json!([{ "key": "m/x", "effect": "NoExecute" }]), false, Some(list(json!([])))),
        ];
        for (before, tainted, expected) in table {
            assert_eq!(patch(&node(before.clone()), "m/x", tainted), expected, "{before} {tainted}");
        }
    }
}
