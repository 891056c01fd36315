//! `apply --cluster`: what is asked of a cluster before its objects are judged: its policies, where none are named, and
//! the objects that the policies are about.

use std::collections::HashSet;
use std::sync::Arc;

use meshward_kit::client::{Access, Kind};
use meshward_policy::kyverno::matching::Gvk;

use super::Arguments;
use crate::exit::Failure;
use crate::input::Input;
use crate::kyverno::live::{Live, Resource};
use crate::kyverno::policies::{Care, Library};
use crate::kyverno::problem::{Problem, Problems};
use crate::load::Found;
use crate::terminal;

/// Kinds that are read as policies.
const POLICIES: [&str; 3] = ["ClusterPolicy", "Policy", "PolicyException"];

/// Connects to the cluster that the flags name.
///
/// # Errors
/// [`Failure`] with what keeps it from being asked.
pub(super) fn connect(arguments: &Arguments) -> Result<Arc<Live>, Failure> {
    let access = Access {
        kubeconfig: arguments.kubeconfig.clone(),
        context: arguments.context.clone(),
        user_agent: format!("meshward/{}", env!("CARGO_PKG_VERSION")),
    };
    Live::connect(&access).map(Arc::new).map_err(Failure::impossible)
}

/// Reads the policies and exceptions of the cluster.
///
/// # Errors
/// [`Failure`] where it has none, or they may not be read.
pub(super) fn policies(
    live: &Live,
    library: &mut Library,
    care: Care,
    problems: &mut Problems,
) -> Result<(), Failure> {
    let resources = live.resources().map_err(Failure::impossible)?;
    let mut text = Vec::new();
    let mut known = HashSet::new();
    for resource in resources.iter().filter(|resource| resource.gvk.group == "kyverno.io") {
        // Each in the version that its group prefers.
        let kind = resource.gvk.kind.as_str();
        if POLICIES.contains(&kind) && known.insert(kind) {
            live.objects(resource, None, &mut text).map_err(Failure::impossible)?;
        }
    }
    if known.is_empty() {
        let message =
            "no policies: the cluster has no kinds of kyverno.io, and no file is named; accepted: either";
        return Err(Failure::input(message));
    }
    let input = Input::of_text("cluster", text, problems);
    library.read_input(&input, false, care, problems);
    Ok(())
}

/// The objects of the cluster that a rule may be about; `None` if there is none.
///
/// # Errors
/// [`Failure`] where its kinds cannot be learned.
pub(super) fn objects(
    live: &Live,
    library: &Library,
    arguments: &Arguments,
    problems: &mut Problems,
) -> Result<Option<Found>, Failure> {
    let mut text = Vec::new();
    for resource in meant(&live.resources().map_err(Failure::impossible)?, library) {
        let namespace = arguments.namespace.as_deref();
        if namespace.is_some() && !resource.namespaced && !arguments.cluster_wide_resources {
            continue;
        }
        let Err(error) = live.objects(resource, namespace, &mut text) else { continue };
        // Kinds that can be listed by nobody come and go with extensions; what we may not read is somebody's gap.
        match error.kind() {
            Kind::Gone | Kind::Invalid => terminal::warning(&error.to_string()),
            _ => problems.tell(Problem::of_file("cluster", error.to_string())),
        }
    }
    let found = !text.is_empty();
    Ok(found.then(|| Found { path: "cluster".into(), name: "".into(), text: Some(text) }))
}

/// The kinds that some rule is about: each object once, in the first version that is meant.
fn meant<'r>(resources: &'r [Resource], library: &Library) -> Vec<&'r Resource> {
    let is_meant = |gvk: &Gvk| {
        let mut kinds = library.policies.iter().flat_map(|loaded| loaded.policy.kinds());
        kinds.any(|kinds| kinds.is_empty() || kinds.iter().any(|kind| kind.matches(gvk, "")))
    };
    let mut seen = HashSet::new();
    resources
        .iter()
        .filter(|resource| is_meant(&resource.gvk))
        .filter(|resource| {
            // Core events are served a second time under their new name.
            let Gvk { group, kind, .. } = &resource.gvk;
            let group = if kind == "Event" && group == "events.k8s.io" { "" } else { group };
            seen.insert((group, kind.as_str()))
        })
        .collect()
}
