//! What a pod should have, from what is known of it: the API server's view, or in its absence what the runtime was told
//! when the pod was made. Pure.

use std::sync::Arc;

use meshward_mesh::{Plan, PodTemplate, Setup, WAIT_CONTAINER, Wanted};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::Settings;
use serde_json::{Value, json};

use super::pod::PodView;
use crate::located::Located;

/// User and group of the wait container's image.
const WAIT_USER: u32 = 65532;
/// The meshes' own init containers; a pod that still has one sets up its rules itself.
const SETUP_CONTAINERS: [&str; 4] = ["istio-init", "linkerd-init", "kuma-init", "consul-connect-inject-init"];
/// How many warnings of a pod are told, and how much of each.
const MOST_WARNINGS: usize = 16;
const LONGEST_WARNING: usize = 512;

/// The rules of one pod.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Whose rules.
    pub mesh: Mesh,
    /// The options they are built from.
    pub settings: Settings,
    /// The options as one canonical text: equal texts are equal rules, in the same surroundings.
    pub identity: String,
    /// User and group of whoever tries the rules in the pod.
    pub wait: (u32, u32),
}

impl PartialEq for Wish {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity && self.wait == other.wait
    }
}

/// What a pod should have.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Desired {
    /// Not known yet.
    Unknown,
    /// It is never touched (hostNetwork, Windows), or has ended.
    Untouched {
        /// Why; none where nobody would ask.
        told: Option<String>,
    },
    /// No rules.
    Nothing {
        /// Why.
        reason: String,
        /// The mesh that this is about.
        mesh: Option<Mesh>,
    },
    /// These rules.
    Rules(Arc<Wish>),
    /// It asks for something invalid.
    Refused {
        /// What is wrong, and what is accepted.
        message: String,
    },
}

/// What else is worth knowing about a pod. A change of it changes no rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// What is allowed and yet surely not meant.
    pub warnings: Vec<String>,
    /// A container that runs and should not before the rules are in force.
    pub exposed: Option<String>,
    /// Whether a wait container is in the pod.
    pub guarded: bool,
}

/// Decides about a pod of the API server. `namespace` is its Namespace object, if there is one.
pub(super) fn of_view(view: &PodView, namespace: Option<&Value>) -> (Desired, Facts) {
    let object = view.object();
    let Some(pod) = meshward_mesh::pods(&object).into_iter().next() else {
        return (Desired::Unknown, Facts::default());
    };
    let mut facts = Facts { guarded: guarded(&pod), ..Facts::default() };
    let desired = if pod.is_finished() {
        Desired::Untouched { told: None }
    } else if pod.is_host_network() || pod.is_windows() {
        Desired::Untouched { told: shared_network(&object, namespace, facts.guarded) }
    } else {
        match meshward_mesh::plan(&pod, namespace) {
            Ok(Wanted::Redirect(plan)) => {
                facts.warnings = warnings(&plan);
                facts.exposed = exposed(&pod, view, Some(&plan));
                Desired::Rules(Arc::new(wish(&pod, &plan)))
            }
            Ok(Wanted::Nothing(reason)) => {
                Desired::Nothing { reason: reason.to_string(), mesh: reason.mesh() }
            }
            Err(error) => {
                facts.exposed = exposed(&pod, view, None);
                Desired::Refused { message: error.to_string() }
            }
        }
    };
    (desired, facts)
}

/// Decides by the annotations that the runtime knows, where they are enough.
pub(super) fn of_runtime(located: &Located) -> Option<Desired> {
    if !located.annotations.contains_key(meshward_mesh::REDIRECT_ANNOTATION) {
        return None;
    }
    let object = json!({"kind": "Pod", "spec": {}, "metadata": {"name": located.name,
        "namespace": located.namespace, "annotations": located.annotations, "labels": located.labels}});
    let pod = meshward_mesh::pods(&object).into_iter().next()?;
    match meshward_mesh::recorded(&pod) {
        Ok(recorded) => recorded.map(|recorded| {
            let identity = recorded.to_annotation();
            let wait = (WAIT_USER, WAIT_USER);
            Desired::Rules(Arc::new(Wish {
                mesh: recorded.mesh,
                settings: recorded.settings,
                identity,
                wait,
            }))
        }),
        Err(error) => Some(Desired::Refused { message: error.to_string() }),
    }
}

/// Whether the pod's own annotation says what it wants, so that its namespace has no say.
pub(super) fn is_recorded(view: &PodView) -> bool {
    let object = view.object();
    let annotations = object.pointer("/metadata/annotations");
    annotations.is_some_and(|all| all.get(meshward_mesh::REDIRECT_ANNOTATION).is_some())
}

fn guarded(pod: &PodTemplate<'_>) -> bool {
    pod.containers().any(|container| container.is_init() && container.name() == WAIT_CONTAINER)
}

/// Whoever put a pod of the node's network in a mesh should hear that nothing comes of it.
fn shared_network(object: &Value, namespace: Option<&Value>, guarded: bool) -> Option<String> {
    let mut own = object.clone();
    own["spec"]["hostNetwork"] = false.into();
    let pods = meshward_mesh::pods(&own);
    let in_mesh = match meshward_mesh::plan(pods.first()?, namespace) {
        Ok(Wanted::Redirect(_)) | Err(_) => true,
        Ok(Wanted::Nothing(reason)) => reason.mesh().is_some(),
    };
    (in_mesh || guarded).then(|| meshward_mesh::Reason::HostNetwork.to_string())
}

fn wish(pod: &PodTemplate<'_>, plan: &Plan) -> Wish {
    let wait = pod.containers().find(|container| container.name() == WAIT_CONTAINER);
    let id = |field: &str| {
        let of_pod = || pod.spec().get("securityContext")?.get(field);
        let own = wait.and_then(|container| container.security_number(field)).or_else(of_pod);
        own.and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()).unwrap_or(WAIT_USER)
    };
    let wait = (id("runAsUser"), id("runAsGroup"));
    Wish { mesh: plan.mesh, settings: plan.settings.clone(), identity: plan.to_annotation(), wait }
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.warnings.iter().map(ToString::to_string).map(short).take(MOST_WARNINGS).collect()
}

fn short(text: String) -> String {
    text.chars().take(LONGEST_WARNING).collect()
}

/// The first container that runs although whatever holds up the pod has not let it.
fn exposed(pod: &PodTemplate<'_>, view: &PodView, plan: Option<&Plan>) -> Option<String> {
    if plan.is_some_and(|plan| plan.already_redirected().is_some()) {
        return None;
    }
    let validator = plan.and_then(|plan| match &plan.setup {
        Setup::Outside { validator } => validator.as_ref().map(|validator| validator.name.as_str()),
        Setup::InitContainer { name, .. } => Some(name.as_str()),
    });
    let guards = |name: &str| {
        name == WAIT_CONTAINER
            || Some(name) == validator
            || (plan.is_none() && SETUP_CONTAINERS.contains(&name))
    };
    // The containers of one pod start in this order.
    let order: Vec<&str> = pod.containers().map(|container| container.name()).collect();
    let after = order.iter().position(|name| guards(name)).map_or(0, |guard| guard + 1);
    let found = order[after..].iter().find(|name| view.running.iter().any(|running| running == **name));
    found.map(|name| (*name).to_string())
}
