//! What no agent can take out of a pod. A transparent proxy needs NET_ADMIN for its own sockets (`IP_TRANSPARENT`), and
//! a proxy that runs as root is root; swapping such a pod would only break it.

use meshward_redirect::Mesh;
use serde_json::Value;

use crate::container::Container;
use crate::pod::{MOST_ENTRIES, PodTemplate};
use crate::problem::quoted;
use crate::swap::Members;
use crate::swap::harden::LOGIN_USER;
use crate::swap::wait::{SwapOptions, WAIT_CONTAINER};
use crate::verdict::Plan;

/// The one capability that *restricted* lets a container add.
const ALLOWED: &str = "NET_BIND_SERVICE";

/// One reason why a pod cannot do without privileges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Interception by TPROXY.
    #[error("TPROXY ({origin}) needs NET_ADMIN in the proxy; accepted: REDIRECT")]
    Tproxy {
        /// Where it was asked for.
        origin: String,
    },
    /// A container of the mesh runs as root.
    #[error("container {container} runs as root ({field}); accepted: any other user")]
    Root {
        /// The container.
        container: String,
        /// The field that says so.
        field: &'static str,
    },
    /// A container of the mesh is privileged.
    #[error("container {container} is privileged; accepted: one that is not")]
    Privileged {
        /// The container.
        container: String,
    },
    /// A container of the mesh adds capabilities.
    #[error("container {container} adds {}; accepted: {ALLOWED}", capabilities.join(", "))]
    Capabilities {
        /// The container.
        container: String,
        /// Those that are not allowed.
        capabilities: Vec<String>,
    },
    /// More than one init container sets up rules.
    #[error("{} all set up rules; accepted: one of them", containers.join(", "))]
    SeveralSetups {
        /// Their names.
        containers: Vec<String>,
    },
    /// A container that is no init container has the wait container's name.
    #[error("the name of container {WAIT_CONTAINER} is taken; accepted: any other name")]
    NameTaken,
    /// Consul's log-in would go to a proxy that does not run yet.
    #[error(
        "Consul's init container logs in as user {LOGIN_USER}, exempt are {exempt:?}; accepted: {LOGIN_USER} among them"
    )]
    LoginNotExempt {
        /// The users that are exempt.
        exempt: String,
    },
    /// The swapped pod would not want the same rules.
    #[error("the swapped pod would not get the rules of this one: {problem}")]
    OtherRules {
        /// The difference.
        problem: String,
    },
}

/// Everything that stands in the way.
pub(crate) fn all(
    pod: &PodTemplate<'_>,
    plan: &Plan,
    members: &Members<'_>,
    options: &SwapOptions,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if plan.mesh == Mesh::Istio {
        let mode = plan.settings.get("istio-inbound-interception-mode");
        if mode.value == "TPROXY" {
            refusals.push(Refusal::Tproxy { origin: mode.origin.to_string() });
        }
    }
    if members.setups.len() > 1 && !members.logs_in() {
        let containers = members.setups.iter().map(|container| container.name().into()).collect();
        refusals.push(Refusal::SeveralSetups { containers });
    }
    if members.wait.is_some_and(|container| !container.is_init()) {
        refusals.push(Refusal::NameTaken);
    }
    for container in members.kept(options) {
        // Consul's own init container loses its privileges in the swap.
        if !members.setups.iter().any(|setup| setup.is(&container)) {
            refusals.extend(privileges(pod, &container));
        }
    }
    if members.logs_in() && !members.setups.is_empty() {
        let exempt = plan.settings.get("exclude-uid").value;
        if !exempt.split(',').any(|user| user.trim().parse() == Ok(LOGIN_USER)) {
            refusals.push(Refusal::LoginNotExempt { exempt });
        }
    }
    refusals
}

fn privileges(pod: &PodTemplate<'_>, container: &Container<'_>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let name = || container.name().to_string();
    let user = container.security("runAsUser");
    let field = match user {
        Some(_) => "its own runAsUser",
        None => "the pod's runAsUser",
    };
    if user.or_else(|| pod.security("runAsUser")).and_then(Value::as_u64) == Some(0) {
        refusals.push(Refusal::Root { container: name(), field });
    }
    if container.security("privileged").and_then(Value::as_bool) == Some(true) {
        refusals.push(Refusal::Privileged { container: name() });
    }
    let added =
        container.security("capabilities").and_then(|capabilities| capabilities.get("add")?.as_array());
    let added = added.into_iter().flatten().take(MOST_ENTRIES);
    let forbidden = added.map(|one| one.as_str().map_or_else(|| quoted(&one.to_string()), str::to_string));
    let capabilities: Vec<String> = forbidden.filter(|one| one != ALLOWED).collect();
    if !capabilities.is_empty() {
        refusals.push(Refusal::Capabilities { container: name(), capabilities });
    }
    refusals
}
