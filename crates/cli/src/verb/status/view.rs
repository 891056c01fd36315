//! From objects to what a person wants to know. Pure: the time is passed in.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use meshward_mesh::{CONDITION, Phase, PodStatus, STATUS_ANNOTATION, WAIT_CONTAINER};
use serde::Serialize;

use super::cluster::Found;

/// The cluster.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    /// Pods and agents that need somebody.
    pub(super) problems: usize,
    /// By node; none when they may not be listed.
    pub(super) agents: Option<Vec<Agent>>,
    /// Linux nodes whose mesh pods nobody programs; none when that is not known.
    pub(super) nodes_without_agent: Option<Vec<String>>,
    /// What needs somebody first.
    pub(super) pods: Vec<PodLine>,
}

/// The agent of a node.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Agent {
    pub(super) node: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ready: bool,
    /// Why it is not ready, as far as Kubernetes tells.
    pub(super) reason: String,
}

/// A pod that an agent has told of, or that waits for one.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PodLine {
    /// Whether it needs somebody.
    pub(super) problem: bool,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) phase: Phase,
    pub(super) mesh: Option<String>,
    pub(super) node: String,
    pub(super) reason: String,
    pub(super) since: Option<String>,
}

/// Whether a phase alone means that somebody is needed.
pub(super) fn is_bad(phase: Phase) -> bool {
    match phase {
        Phase::Refused | Phase::Failed => true,
        Phase::Waiting | Phase::Redirected | Phase::Nothing => false,
    }
}

/// Whether a pod in this phase cannot start yet.
pub(super) fn waits(phase: Phase) -> bool {
    phase == Phase::Waiting
}

/// How everything stands at `now` (seconds since 1970).
pub(super) fn view(found: &Found, now: i64, waiting_limit: Duration) -> View {
    let limit = i64::try_from(waiting_limit.as_secs()).unwrap_or(i64::MAX);
    let mut pods: Vec<PodLine> = found.pods.iter().filter_map(|pod| line(pod, now, limit)).collect();
    pods.sort_by(|a, b| key(a).cmp(&key(b)));
    let agents = found.agents.as_ref().map(|agents| {
        let mut agents: Vec<Agent> = agents.iter().filter(|pod| is_alive(pod)).map(agent).collect();
        agents.sort_by(|a, b| (&a.node, &a.name).cmp(&(&b.node, &b.name)));
        agents
    });
    let without = agents.as_ref().zip(found.nodes.as_ref()).map(|(agents, nodes)| without(agents, nodes));
    let sick = agents.iter().flatten().filter(|agent| !agent.ready).count();
    let problems = pods.iter().filter(|pod| pod.problem).count() + sick;
    View { problems, agents, nodes_without_agent: without, pods }
}

fn key(pod: &PodLine) -> (bool, u8, &str, &str) {
    let rank = match pod.phase {
        Phase::Refused => 0,
        Phase::Failed => 1,
        Phase::Waiting => 2,
        Phase::Redirected => 3,
        Phase::Nothing => 4,
    };
    (!pod.problem, rank, &pod.namespace, &pod.name)
}

fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none()
}

fn line(pod: &Pod, now: i64, limit: i64) -> Option<PodLine> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty())?;
    if !is_alive(pod) {
        return None;
    }
    let status = annotated(pod).or_else(|| conditioned(pod)).or_else(|| unseen(pod))?;
    let age = pod.metadata.creation_timestamp.as_ref().map_or(0, |time| now - time.0.as_second());
    Some(PodLine {
        problem: is_bad(status.phase) || (waits(status.phase) && age > limit),
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase: status.phase,
        mesh: status.mesh,
        node,
        reason: status.reason,
        since: status.since,
    })
}

fn annotated(pod: &Pod) -> Option<PodStatus> {
    let text = pod.metadata.annotations.as_ref()?.get(STATUS_ANNOTATION)?;
    serde_json::from_str(text).ok()
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// An agent of another version: its annotation cannot be read, its condition can.
fn conditioned(pod: &Pod) -> Option<PodStatus> {
    let found = condition(pod, CONDITION)?;
    let phase = match (found.status.as_str(), found.reason.as_deref()) {
        ("True", _) => Phase::Redirected,
        (_, Some("Refused")) => Phase::Refused,
        (_, Some("Failed")) => Phase::Failed,
        (_, Some("NotRedirected")) => Phase::Nothing,
        _ => Phase::Waiting,
    };
    Some(bare(phase, found.message.clone().unwrap_or_default()))
}

/// A pod with our wait container that no agent has told of.
fn unseen(pod: &Pod) -> Option<PodStatus> {
    let mut containers = pod.spec.as_ref()?.init_containers.iter().flatten();
    let waits = containers.any(|container| container.name == WAIT_CONTAINER);
    waits.then(|| bare(Phase::Waiting, "no agent has told of it yet".into()))
}

fn bare(phase: Phase, reason: String) -> PodStatus {
    PodStatus { phase, reason, mesh: None, fingerprint: None, sandbox: None, since: None }
}

fn agent(pod: &Pod) -> Agent {
    let ready = condition(pod, "Ready");
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Agent {
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        ready: ready.is_some_and(|ready| ready.status == "True"),
        reason: ready
            .filter(|ready| ready.status != "True")
            .map(|ready| text(&ready.message))
            .unwrap_or_default(),
    }
}

fn without(agents: &[Agent], nodes: &[Node]) -> Vec<String> {
    let with: BTreeSet<&str> = agents.iter().map(|agent| agent.node.as_str()).collect();
    let names = nodes.iter().filter(|node| is_linux(node)).filter_map(|node| node.metadata.name.clone());
    let mut names: Vec<String> = names.filter(|name| !with.contains(name.as_str())).collect();
    names.sort();
    names
}

fn is_linux(node: &Node) -> bool {
    let system = node.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/os"));
    system.is_none_or(|system| system == "linux")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn pod(name: &str, age: i64, annotation: Option<&str>, more: Value) -> Pod {
        let created = jiff_text(NOW - age);
        let mut pod = json!({
            "metadata": { "name": name, "namespace": "shop", "creationTimestamp": created },
            "spec": { "nodeName": "n1", "containers": [] },
        });
        if let Some(text) = annotation {
            pod["metadata"]["annotations"] = json!({ STATUS_ANNOTATION: text });
        }
        json_patch::merge(&mut pod, &more);
        serde_json::from_value(pod).expect("a pod")
    }

    fn jiff_text(seconds: i64) -> String {
        let time = k8s_openapi::jiff::Timestamp::from_second(seconds).expect("a time");
        time.to_string()
    }

    fn annotation(phase: &str) -> String {
        json!({ "phase": phase, "reason": format!("{phase} it is"), "mesh": "istio" }).to_string()
    }

    #[test]
    fn what_needs_somebody_comes_first() {
        let waiting = json!({ "spec": { "initContainers": [{ "name": WAIT_CONTAINER }] } });
        let found = Found {
            pods: vec![
                pod("fine", 900, Some(&annotation("redirected")), json!({})),
                pod("fresh", 10, Some(&annotation("waiting")), json!({})),
                pod("stuck", 61, Some(&annotation("waiting")), json!({})),
                pod("broken", 1, Some(&annotation("failed")), json!({})),
                pod("wrong", 1, Some(&annotation("refused")), json!({})),
                pod("opted-out", 1, Some(&annotation("nothing")), json!({})),
                pod("forged", 1, Some("{"), json!({})),
                pod(
                    "newer-agent",
                    1,
                    Some("{}"),
                    json!({ "status": { "conditions": [
                    { "type": CONDITION, "status": "False", "reason": "Refused", "message": "why" }] } }),
                ),
                pod("unseen", 100, None, waiting.clone()),
                pod(
                    "unscheduled",
                    100,
                    None,
                    json!({ "spec": { "nodeName": null, "initContainers": [{ "name": WAIT_CONTAINER }] } }),
                ),
                pod(
                    "finished",
                    100,
                    Some(&annotation("failed")),
                    json!({ "status": { "phase": "Succeeded" } }),
                ),
                pod("other", 100, None, json!({})),
            ],
            ..Found::default()
        };
        let view = view(&found, NOW, Duration::from_secs(60));
        let lines: Vec<String> = view
            .pods
            .iter()
            .map(|pod| format!("{} {} {}", if pod.problem { "!" } else { "." }, pod.name, pod.phase.name()))
            .collect();
        let expected = [
            "! newer-agent refused",
            "! wrong refused",
            "! broken failed",
            "! stuck waiting",
            "! unseen waiting",
            ". fresh waiting",
            ". fine redirected",
            ". opted-out nothing",
        ];
        assert_eq!(lines, expected);
        assert_eq!((view.problems, view.agents), (5, None));
    }

    #[test]
    fn agents_and_nodes_without_one() {
        let agent = |name: &str, node: &str, ready: &str| {
            let conditions = json!([{ "type": "Ready", "status": ready, "message": "containers with unready status: [agent]" }]);
            pod(
                name,
                1,
                None,
                json!({ "spec": { "nodeName": node }, "status": { "conditions": conditions } }),
            )
        };
        let node = |name: &str, system: &str| -> Node {
            let labels = json!({ "kubernetes.io/os": system });
            serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).expect("a node")
        };
        let found = Found {
            agents: Some(vec![agent("b", "n2", "False"), agent("a", "n1", "True")]),
            nodes: Some(vec![
                node("n3", "linux"),
                node("n1", "linux"),
                node("w1", "windows"),
                node("n2", "linux"),
            ]),
            ..Found::default()
        };
        let view = view(&found, NOW, Duration::from_secs(60));
        assert_eq!(view.nodes_without_agent, Some(vec!["n3".to_string()]));
        let agents = view.agents.unwrap();
        assert_eq!(
            agents.iter().map(|agent| (agent.name.as_str(), agent.ready)).collect::<Vec<_>>(),
            [("a", true), ("b", false)]
        );
        assert_eq!(agents[1].reason, "containers with unready status: [agent]");
        assert_eq!(view.problems, 1);
    }
}
