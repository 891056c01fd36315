//! The decision itself, in the order in which it is explained to people: what is never touched, who opted out, which
//! mesh, and then that mesh's own reading of the pod.

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Origin, Settings};
use serde_json::Value;

use crate::findings::Role;
use crate::known::REDIRECT;
use crate::membership::security_id;
use crate::pod::PodTemplate;
use crate::problem::{PlanError, Problem, Warning};
use crate::scope::Scope;
use crate::verdict::{Plan, Proxy, Reason, Setup, Source, Validator, Wanted};
use crate::{consul, istio, kuma, linkerd, record};

/// What a mesh's own reading of a pod comes to.
pub(crate) enum Reading {
    /// Options, and where they come from.
    Settings(Settings, Source),
    /// No rules.
    Nothing(Reason),
}

/// Decides what a pod wants. `namespace` is the pod's Namespace object, where it is known: some meshes take defaults
/// for the pod from its annotations and labels.
///
/// # Errors
/// [`PlanError`] with every value that is not accepted. Nothing of such a pod may be programmed.
pub fn plan(pod: &PodTemplate<'_>, namespace: Option<&Value>) -> Result<Wanted, PlanError> {
    plan_with_warnings(pod, namespace).map(|(wanted, _)| wanted)
}

/// The same with what is allowed and yet surely not meant, also of a pod that wants no rules: a misspelt key may be why.
/// A plan's own [`Plan::warnings`] are these.
///
/// # Errors
/// As [`plan`].
pub fn plan_with_warnings(
    pod: &PodTemplate<'_>,
    namespace: Option<&Value>,
) -> Result<(Wanted, Vec<Warning>), PlanError> {
    let mut scope = Scope::new(pod, namespace);
    let wanted = if scope.problems.is_empty() { decide(&mut scope) } else { None };
    match wanted {
        Some(Wanted::Redirect(plan)) if scope.problems.is_empty() => {
            let warnings = plan.warnings.clone();
            Ok((Wanted::Redirect(plan), warnings))
        }
        Some(wanted) if scope.problems.is_empty() => Ok((wanted, scope.warnings)),
        _ => Err(PlanError { object: pod.title(), problems: scope.problems }),
    }
}

/// None when problems stand in the way.
fn decide(scope: &mut Scope<'_>) -> Option<Wanted> {
    if let Some(reason) = never_touched(scope.pod).or_else(|| scope.seed_skips()) {
        return Some(Wanted::Nothing(reason));
    }
    let mut meshes = scope.findings.meshes();
    if meshes.is_empty() {
        return Some(Wanted::Nothing(scope.without_mesh()));
    }
    let mut opted_out = None;
    meshes.retain(|mesh| match scope.opted_out(*mesh) {
        Some(reason) => {
            opted_out.get_or_insert(reason);
            false
        }
        None => true,
    });
    match meshes[..] {
        [] => opted_out.map(Wanted::Nothing),
        [mesh] => in_mesh(scope, mesh),
        _ => {
            let found = meshes.iter().filter_map(|mesh| {
                let member = scope.findings.members().iter().find(|member| member.mesh == *mesh)?;
                Some((*mesh, member.container.name().to_string()))
            });
            let problem = Problem::SeveralMeshes { found: found.collect() };
            scope.problems.push(problem);
            None
        }
    }
}

fn never_touched(pod: &PodTemplate<'_>) -> Option<Reason> {
    if pod.is_windows() {
        Some(Reason::Windows)
    } else if pod.is_host_network() {
        Some(Reason::HostNetwork)
    } else if pod.is_finished() {
        Some(Reason::Finished)
    } else {
        None
    }
}

fn in_mesh(scope: &mut Scope<'_>, mesh: Mesh) -> Option<Wanted> {
    if scope.findings.first(mesh, Role::Proxy).is_none() {
        return Some(Wanted::Nothing(scope.without_proxy(mesh)));
    }
    let (settings, source) = match settle(scope, mesh)? {
        Reading::Nothing(reason) => return Some(Wanted::Nothing(reason)),
        Reading::Settings(settings, source) => (settings, source),
    };
    scope.warn_deprecated();
    let proxies = proxies(scope, mesh);
    match dialect::check(mesh, &settings) {
        // What nobody wrote, nobody can put right.
        Ok(lints) => scope.warnings.extend(
            lints
                .into_iter()
                .filter(|lint| !matches!(settings.get(lint.option).origin, Origin::Derived { .. }))
                .map(|lint| Warning::Option { option: lint.option, message: lint.message }),
        ),
        Err(problems) => scope.problems.extend(problems.into_iter().map(Problem::Option)),
    }
    let setup = setup(scope, mesh);
    check_proxies(scope, mesh, &settings, &proxies, &setup);
    let warnings = std::mem::take(&mut scope.warnings);
    Some(Wanted::Redirect(Box::new(Plan { mesh, settings, source, setup, proxies, warnings })))
}

/// What was decided at admission counts, whatever became of the values it was decided from. A pod that lost its init
/// container then may even look as if nobody had asked for its traffic.
fn settle(scope: &mut Scope<'_>, mesh: Mesh) -> Option<Reading> {
    let (problems, warnings) = (scope.problems.len(), scope.warnings.len());
    let reading = match mesh {
        Mesh::Istio => istio::read(scope),
        Mesh::Linkerd => linkerd::read(scope),
        Mesh::Kuma => kuma::read(scope),
        Mesh::Consul => consul::read(scope),
    };
    let stands = match &reading {
        Some(Reading::Nothing(reason)) => {
            !matches!(reason, Reason::InterceptionOff { .. } | Reason::NotInjected { .. })
        }
        _ => false,
    };
    match scope.on_pod(REDIRECT) {
        Some(recorded) if !stands => {
            scope.problems.truncate(problems);
            scope.warnings.truncate(warnings);
            Some(Reading::Settings(record::read(scope, mesh, &recorded)?, Source::Record))
        }
        _ => reading,
    }
}

fn setup(scope: &Scope<'_>, mesh: Mesh) -> Setup {
    match scope.findings.first(mesh, Role::Setup) {
        Some(container) => Setup::InitContainer {
            name: container.name().to_string(),
            index: container.index(),
            completed: scope.pod.has_completed(container.name()),
        },
        None => Setup::Outside {
            validator: scope
                .findings
                .first(mesh, Role::Validator)
                .map(|container| Validator { name: container.name().to_string(), index: container.index() }),
        },
    }
}

fn proxies(scope: &mut Scope<'_>, mesh: Mesh) -> Vec<Proxy> {
    let containers: Vec<_> = scope.findings.all(mesh, Role::Proxy).collect();
    containers
        .into_iter()
        .map(|container| Proxy {
            name: container.name().to_string(),
            native_sidecar: container.is_native_sidecar(),
            user: security_id(scope, &container, "runAsUser").map(|(id, _)| id),
            group: security_id(scope, &container, "runAsGroup").map(|(id, _)| id),
        })
        .collect()
}

/// A proxy whose traffic is not exempt gets it back for ever; one that runs as root cannot be told from the pod's
/// other root processes.
fn check_proxies(scope: &mut Scope<'_>, mesh: Mesh, settings: &Settings, proxies: &[Proxy], setup: &Setup) {
    let user_option = if mesh == Mesh::Kuma { "kuma-dp-user" } else { "proxy-uid" };
    let users = settings.get(user_option);
    let root = mesh != Mesh::Istio && users.value.trim() == "0" && matches!(setup, Setup::Outside { .. });
    if root && scope.problems.is_empty() {
        let problem = "found 0, accepted: a proxy that does not run as root";
        scope.problems.push(Problem::Option(users.invalid(problem)));
        return;
    }
    let groups = matches!(mesh, Mesh::Istio | Mesh::Linkerd).then(|| settings.get("proxy-gid"));
    for proxy in proxies {
        let Some(user) = proxy.user else { continue };
        let holds = |list: &str, id: u32| list.split(',').any(|element| element.trim().parse() == Ok(id));
        let by_group = groups.as_ref().zip(proxy.group).is_some_and(|(groups, group)| {
            // Istio's groups are the users' numbers where none is given.
            let list = if groups.value.trim().is_empty() { &users.value } else { &groups.value };
            holds(list, group)
        });
        if !holds(&users.value, user) && !by_group {
            let exempt = users.value.clone();
            scope.warnings.push(Warning::ProxyNotExempt { container: proxy.name.clone(), user, exempt });
        }
    }
}
