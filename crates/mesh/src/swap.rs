//! What the admission webhook and `meshward swap` make of a pod: its privileged mesh init container gives way to one
//! that only waits, and what the mesh left open in its own containers is closed. Without this, joining a mesh would
//! cost a namespace its Pod Security.
//!
//! Pure and idempotent, and it proves its own result: the swapped pod is planned again, and must want exactly the
//! rules that the pod wanted before.
//!
//! ```
//! use meshward_mesh::{SwapOptions, Swapped, pods, swap};
//! let pod = serde_json::json!({"kind": "Pod", "metadata": {"name": "web"}, "spec": {
//!     "initContainers": [{"name": "istio-init", "args": ["istio-iptables", "-b", "*", "-u", "1337"]}],
//!     "containers": [{"name": "web"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
//! }});
//! let Swapped::Changed(swapped) = swap(&pods(&pod)[0], None, &SwapOptions::default())? else { panic!() };
//! assert_eq!(swapped.template["spec"]["initContainers"][0]["name"], "meshward-wait");
//! # Ok::<(), meshward_mesh::SwapError>(())
//! ```

mod edit;
mod harden;
mod opt_out;
mod outcome;
mod refusal;
mod wait;

use meshward_redirect::Mesh;
use serde_json::Value;

use crate::container::Container;
use crate::decide::plan;
use crate::findings::{Findings, Role, waits_for_the_seed};
use crate::known::REDIRECT;
use crate::pod::PodTemplate;
use crate::verdict::{Plan, Wanted};

use edit::Edit;
pub use outcome::{Change, Left, SwapError, Swapped, SwappedPod, Unchanged};
pub use refusal::Refusal;
use wait::Wait;
pub use wait::{SwapOptions, Validators, WAIT_CONTAINER, WaitExit, WaitUser};

/// Gives the pod as it is to be admitted. `namespace` is the pod's Namespace object, where it is known.
///
/// # Errors
/// [`SwapError`] when the pod's wishes cannot be read, or cannot be fulfilled without privileges in the pod. It is
/// left as it is then: half a swap would be a pod that bypasses its mesh.
pub fn swap(
    pod: &PodTemplate<'_>,
    namespace: Option<&Value>,
    options: &SwapOptions,
) -> Result<Swapped, SwapError> {
    if let Some(by) = opt_out::of(pod, namespace)? {
        return Ok(Swapped::Unchanged(Unchanged::OptedOut { by }));
    }
    let plan = match fresh_plan(pod, namespace)? {
        Wanted::Redirect(plan) => plan,
        Wanted::Nothing(reason) => {
            let privileged = Findings::of(pod).names(Role::Setup);
            return Ok(Swapped::Unchanged(Unchanged::NoRules { reason, privileged }));
        }
    };
    let members = Members::of(pod, plan.mesh);
    let refusals = refusal::all(pod, &plan, &members, options);
    if !refusals.is_empty() {
        return Err(SwapError::refused(pod, refusals));
    }
    let mut edit = Edit::new(pod);
    let mut left = Vec::new();
    place_wait(&mut edit, &members, options, &Wait::of(options, &plan));
    for container in members.kept(options) {
        left.extend(harden::harden(&mut edit, pod, &container));
    }
    edit.annotate(REDIRECT, plan.to_annotation());
    let (template, changes) = edit.finish();
    same_rules(pod, namespace, &template, &plan)?;
    if changes.is_empty() {
        return Ok(Swapped::Unchanged(Unchanged::Already { left }));
    }
    Ok(Swapped::Changed(Box::new(SwappedPod { template, plan, changes, left })))
}

/// The plan; where the mesh's own init container is there, it says it, whatever was recorded before: an injector that
/// ran again (Istio's does when it is reinvoked) has resolved everything anew.
fn fresh_plan(pod: &PodTemplate<'_>, namespace: Option<&Value>) -> Result<Wanted, SwapError> {
    let stale = pod.annotation(REDIRECT).is_some() && !Findings::of(pod).names(Role::Setup).is_empty();
    if !stale {
        return Ok(plan(pod, namespace)?);
    }
    let mut template = pod.template().clone();
    if let Some(annotations) = template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(REDIRECT);
    }
    Ok(plan(&pod.with_template(&template), namespace)?)
}

/// The proof: the agent, which sees the swapped pod only, must come to the same rules.
fn same_rules(
    pod: &PodTemplate<'_>,
    namespace: Option<&Value>,
    template: &Value,
    before: &Plan,
) -> Result<(), SwapError> {
    let problem = match plan(&pod.with_template(template), namespace) {
        Ok(Wanted::Redirect(after)) if after.to_annotation() == before.to_annotation() => return Ok(()),
        Ok(Wanted::Redirect(after)) => format!("it would want {} then", after.to_annotation()),
        Ok(Wanted::Nothing(reason)) => format!("it would want no rules then: {reason}"),
        Err(error) => error.to_string(),
    };
    Err(SwapError::refused(pod, vec![Refusal::OtherRules { problem }]))
}

/// The containers of the pod's mesh, and a wait container that is there already.
pub(crate) struct Members<'a> {
    mesh: Mesh,
    /// Those that set up rules, and istio-pod-network-controller's, which waits for its annotation as root: nobody's
    /// repair controller looks for it, so there is no reason to keep it.
    setups: Vec<Container<'a>>,
    validators: Vec<Container<'a>>,
    proxies: Vec<Container<'a>>,
    wait: Option<Container<'a>>,
}

impl<'a> Members<'a> {
    fn of(pod: &PodTemplate<'a>, mesh: Mesh) -> Self {
        let findings = Findings::of(pod);
        let validators = findings.all(mesh, Role::Validator);
        let (seeds, validators): (Vec<_>, Vec<_>) = validators.partition(waits_for_the_seed);
        Self {
            mesh,
            setups: findings.all(mesh, Role::Setup).chain(seeds).collect(),
            validators,
            proxies: findings.all(mesh, Role::Proxy).collect(),
            wait: pod.containers().find(|container| container.name() == WAIT_CONTAINER),
        }
    }

    /// Consul's init container also logs the proxy in, so nothing can take its place.
    fn logs_in(&self) -> bool {
        self.mesh == Mesh::Consul
    }

    /// The containers that the wait container takes the place of.
    fn replaced(&self, options: &SwapOptions) -> Vec<Container<'a>> {
        if self.logs_in() {
            return Vec::new();
        }
        let validators = match options.validators {
            Validators::Keep => &[][..],
            Validators::Replace => &self.validators,
        };
        self.setups.iter().chain(validators).copied().collect()
    }

    /// The mesh's containers that stay.
    fn kept(&self, options: &SwapOptions) -> Vec<Container<'a>> {
        let replaced = self.replaced(options);
        let all = self.setups.iter().chain(&self.validators).chain(&self.proxies).copied();
        all.filter(|container| !replaced.iter().any(|other| other.is(container))).collect()
    }

    /// Whether something of the mesh's own keeps the pod from starting without rules.
    fn waits(&self, options: &SwapOptions) -> bool {
        !self.logs_in() && options.validators == Validators::Keep && !self.validators.is_empty()
    }

    /// The first init container that must not start before the rules are there.
    fn first_to_guard(&self) -> Option<usize> {
        let login = self.logs_in().then(|| self.setups.iter().chain(&self.validators)).into_iter().flatten();
        let sidecars = self.proxies.iter().filter(|proxy| proxy.is_init());
        login.chain(sidecars).map(Container::index).min()
    }
}

fn place_wait(edit: &mut Edit, members: &Members<'_>, options: &SwapOptions, wait: &Wait<'_>) {
    if members.logs_in() {
        members.setups.iter().for_each(|container| harden::log_in_only(edit, container));
    }
    let replaced = members.replaced(options);
    let Some(first) = replaced.iter().min_by_key(|container| container.index()) else {
        match members.wait {
            Some(present) => {
                let place = members.first_to_guard().map_or(present.index(), |at| at.min(present.index()));
                edit.refresh_wait(&present, place, wait);
            }
            None if members.waits(options) => {}
            None => edit.insert_wait(members.first_to_guard(), wait),
        }
        return;
    };
    let place = members.first_to_guard().map_or(first.index(), |guarded| guarded.min(first.index()));
    edit.replace_with_wait(&replaced, members.wait.as_ref(), place, wait);
}
