//! What a mesh asks of a pod: which mesh it is a member of, the options its rules are built from, and where each of
//! those values came from; and the pod as it can do without privileges. Pure: a pod in as a JSON value, a verdict out.
//!
//! ```text
//! object ─► pods ─► plan ─┬─► Redirect(Plan { mesh, settings, source, setup, proxies, warnings })
//!                         └─► Nothing(Reason)
//! ```
//!
//! The order of truth: what was recorded at admission; the arguments and environment of the mesh's own init container;
//! the configuration object its injector left in an annotation; its annotations and the proxy's own settings; the
//! mesh's defaults.
//!
//! ```
//! let pod = serde_json::json!({"kind": "Pod", "metadata": {"name": "web"}, "spec": {
//!     "initContainers": [{"name": "istio-init", "args": ["istio-iptables", "-p", "15001", "-b", "*", "-i", "*"]}],
//!     "containers": [{"name": "web"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
//! }});
//! for pod in meshward_mesh::pods(&pod) {
//!     let meshward_mesh::Wanted::Redirect(plan) = meshward_mesh::plan(&pod, None)? else { continue };
//!     assert_eq!(plan.mesh.name(), "istio");
//!     assert_eq!(plan.settings.get("istio-inbound-ports").value, "*");
//! }
//! # Ok::<(), meshward_mesh::PlanError>(())
//! ```

mod arguments;
mod consul;
mod container;
mod decide;
mod document;
mod findings;
mod istio;
mod known;
mod kuma;
mod linkerd;
mod membership;
mod object;
mod patch;
mod pod;
mod problem;
mod record;
mod scope;
mod status;
mod swap;
mod verdict;

pub use container::Container;
pub use decide::{plan, plan_with_warnings};
pub use known::{REDIRECT as REDIRECT_ANNOTATION, SWAP as SWAP_KEY};
pub use object::pods;
pub use patch::patch;
pub use pod::{LONGEST_ANNOTATION, MOST_ENTRIES, PodTemplate};
pub use problem::{PlanError, Problem, Warning};
pub use record::{Recorded, recorded};
pub use status::{CONDITION, ConditionStatus, NodeStatus, Phase, PodRecord, PodStatus, STATUS_ANNOTATION};
pub use swap::{
    Change, Left, Refusal, SwapError, SwapOptions, Swapped, SwappedPod, Unchanged, Validators,
    WAIT_CONTAINER, WaitExit, WaitUser, swap,
};
pub use verdict::{Plan, Proxy, Reason, Setup, Source, Validator, Wanted};
