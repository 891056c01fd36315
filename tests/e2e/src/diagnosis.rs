//! What a person would look at first when a case has failed.

use k8s_openapi::api::core::v1;
use kube::Api;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::agent::Agent;
use crate::cluster::Cluster;
use crate::controller::Controller;
use crate::namespace::Namespace;
use crate::pod::Pod;

/// Lines of a log.
const LINES: usize = 40;

/// Pods, their Events and logs, and the agent's log.
pub(crate) async fn of(cluster: &Cluster, namespaces: &[Namespace]) -> String {
    let mut text = String::new();
    for namespace in namespaces {
        let api: Api<v1::Pod> = Api::namespaced(cluster.client.clone(), namespace.name());
        match api.list(&ListParams::default()).await {
            Ok(list) => {
                for pod in &list.items {
                    text.push_str(&one(&namespace.existing(&pod.name_any()), pod).await);
                }
            }
            Err(error) => text.push_str(&format!("{}: {error}\n", namespace.name())),
        }
    }
    let log = match Agent::of(cluster).logs().await {
        Ok(log) => last(&log),
        Err(error) => format!("{error:#}"),
    };
    let controller = Controller::of(cluster).logs().await;
    text + &section("the agent's log", &log) + &section("the controller's log", &controller)
}

async fn one(handle: &Pod, pod: &v1::Pod) -> String {
    let mut text =
        format!("pod {}/{}: {}\n", pod.namespace().unwrap_or_default(), pod.name_any(), state(pod));
    let annotations = pod.metadata.annotations.iter().flatten();
    for (key, value) in annotations.filter(|(key, _)| key.starts_with("meshward.dev/")) {
        text.push_str(&format!("  {key}: {value}\n"));
    }
    match handle.events().await {
        Ok(events) => text.push_str(&section("Events", &events.join("\n"))),
        Err(error) => text.push_str(&format!("  no Events: {error:#}\n")),
    }
    for (container, _) in
        statuses(pod).filter(|(_, status)| status.started != Some(false) || status.restart_count > 0)
    {
        // A container that never ran has no log, and its state says why.
        if let Ok(log) = handle.logs(container, false).await {
            text.push_str(&section(&format!("log of {container}"), &last(&log)));
        }
    }
    text
}

/// Phase, conditions that do not hold and containers that do not run, in one line.
pub(crate) fn state(pod: &v1::Pod) -> String {
    let Some(status) = &pod.status else { return "no status".into() };
    let mut parts = vec![status.phase.clone().unwrap_or_default()];
    for condition in status.conditions.iter().flatten().filter(|one| one.status != "True") {
        let why =
            [&condition.reason, &condition.message].map(|part| part.clone().unwrap_or_default()).join(" ");
        parts.push(format!("not {} ({})", condition.type_, why.trim()));
    }
    parts.extend(statuses(pod).filter_map(|(name, status)| Some(format!("{name} {}", container(status)?))));
    parts.join("; ")
}

fn statuses(pod: &v1::Pod) -> impl Iterator<Item = (&str, &v1::ContainerStatus)> {
    let lists =
        pod.status.iter().flat_map(|status| [&status.init_container_statuses, &status.container_statuses]);
    lists.flatten().flatten().map(|status| (status.name.as_str(), status))
}

/// Why a container does not run; none when it does.
fn container(status: &v1::ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    let said = |reason: &Option<String>, message: &Option<String>| {
        [reason, message].map(|part| part.clone().unwrap_or_default().trim().to_string()).join(" ")
    };
    if let Some(waiting) = &state.waiting {
        return Some(format!("waits ({})", said(&waiting.reason, &waiting.message)));
    }
    let ended = state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
    Some(format!("ended with {} ({})", ended.exit_code, said(&ended.reason, &ended.message)))
}

fn section(title: &str, body: &str) -> String {
    let lines: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!("  {title}:\n{lines}")
}

fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
