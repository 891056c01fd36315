//! Tables. What stands in annotations was written by whoever owns the pod: nothing of it may steer the terminal.

use std::fmt::Write;

use comfy_table::{Table, presets};
use meshward_mesh::NodeStatus;

use super::view::View;

/// The cluster.
pub(super) fn cluster(view: &View) -> String {
    let mut text = String::new();
    match view.agents.as_deref() {
        Some([]) => text.push_str("No agent runs in this cluster.\n"),
        Some(agents) => {
            let rows = agents.iter().map(|agent| {
                let state = if agent.ready { "ready" } else { "not ready" };
                vec![
                    agent.node.clone(),
                    format!("{}/{}", agent.namespace, agent.name),
                    state.into(),
                    agent.reason.clone(),
                ]
            });
            text.push_str(&table(&["NODE", "AGENT", "STATE", "REASON"], rows));
        }
        None => {}
    }
    for node in view.nodes_without_agent.iter().flatten() {
        let _ = writeln!(text, "node {} has no agent: mesh pods there wait", clean(node));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if view.pods.is_empty() {
        text.push_str("No pod waits for rules or has any.\n");
        return text;
    }
    let rows = view.pods.iter().map(|pod| {
        let mark = if pod.problem { "!" } else { "" };
        let name = format!("{}/{}", pod.namespace, pod.name);
        let mesh = pod.mesh.clone().unwrap_or_default();
        vec![mark.into(), name, pod.phase.name().into(), mesh, pod.node.clone(), pod.reason.clone()]
    });
    text.push_str(&table(&["", "POD", "STATE", "MESH", "NODE", "REASON"], rows));
    text
}

/// One node.
pub(super) fn node(status: &NodeStatus) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!("node {}, agent {}: {ready}\n", clean(&status.node), clean(&status.version));
    for condition in status.conditions.iter().filter(|condition| !condition.holds) {
        let mark = if condition.required { "missing" } else { "warning" };
        let _ = writeln!(text, "  {mark} {}: {}", clean(&condition.name), clean(&condition.reason));
    }
    if status.pods.is_empty() {
        text.push_str("No pod of this node waits for rules or has any.\n");
        return text;
    }
    let mut pods: Vec<_> = status.pods.iter().collect();
    pods.sort_by_key(|pod| !(super::view::is_bad(pod.phase) || super::view::waits(pod.phase)));
    let rows = pods.into_iter().map(|pod| {
        let word = |value: &Option<String>| value.clone().unwrap_or_default();
        let locked = if pod.locked { ", locked" } else { "" };
        let backend = pod.backend.as_ref().map_or_else(String::new, |backend| format!("{backend}{locked}"));
        let name = format!("{}/{}", pod.namespace, pod.name);
        let repairs = pod.repairs.to_string();
        vec![
            name,
            pod.phase.name().into(),
            word(&pod.mesh),
            backend,
            word(&pod.source),
            repairs,
            pod.reason.clone(),
        ]
    });
    text.push('\n');
    text.push_str(&table(&["POD", "STATE", "MESH", "RULES", "BY", "REPAIRS", "REASON"], rows));
    text
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    table.add_rows(rows.map(|row| row.iter().map(|cell| clean(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
