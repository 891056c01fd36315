//! The demonstration's pod: an ordinary manifest, read and planned as any user's is. Everything that is told about it
//! comes from there.

use meshward_manifest::{Documents, Options};
use meshward_mesh::{Plan, Wanted};
use meshward_redirect::dialect::{self, Surroundings};
use meshward_redirect::{Mesh, RuleSet};
use serde_json::Value;

use crate::exit::Failure;

/// Where the manifest is in the repository.
pub(super) const FILE: &str = "examples/pods/istio.yaml";
const TEXT: &str = include_str!("../../../../../examples/pods/istio.yaml");

/// A container as the manifest wants it run.
#[derive(Debug, Clone)]
pub(super) struct Container {
    /// Its name.
    pub(super) name: String,
    /// `runAsUser` and `runAsGroup`
    pub(super) user: (u32, u32),
    /// `capabilities.add`
    pub(super) adds: Vec<String>,
}

/// The pod.
#[derive(Debug)]
pub(super) struct Pod {
    /// Namespace and name.
    pub(super) name: String,
    /// The mesh's privileged init container.
    pub(super) init: Container,
    /// The application.
    pub(super) app: Container,
    /// The application's port.
    pub(super) app_port: u16,
    /// The proxy.
    pub(super) proxy: Container,
    /// What the mesh asks for.
    pub(super) plan: Plan,
}

impl Pod {
    /// Reads the manifest that is built in.
    pub(super) fn read() -> Result<Self, Failure> {
        let document = Documents::new(TEXT.as_bytes(), Options::default()).next();
        let document = document.ok_or_else(|| lacking("a document"))?.map_err(|error| broken(&error))?;
        let pods = meshward_mesh::pods(&document.value);
        let pod = pods.first().ok_or_else(|| lacking("a pod"))?;
        let plan = match meshward_mesh::plan(pod, None).map_err(|error| broken(&error))? {
            Wanted::Redirect(plan) if plan.mesh == Mesh::Istio => *plan,
            Wanted::Redirect(_) => return Err(lacking("Istio")),
            Wanted::Nothing(reason) => return Err(broken(&reason)),
        };
        let proxy = plan.proxies.first().ok_or_else(|| lacking("a proxy"))?.name.clone();
        let container = |list: &str, which: &dyn Fn(&str) -> bool| {
            let all = pod.spec().get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let named = |one: &&Value| one.get("name").and_then(Value::as_str).is_some_and(which);
            all.iter().find(named).ok_or_else(|| lacking(list))
        };
        let app = container("containers", &|name| name != proxy)?;
        let app_port = app.pointer("/ports/0/containerPort").and_then(Value::as_u64);
        Ok(Self {
            name: format!("{}/{}", pod.namespace().unwrap_or("default"), pod.name()),
            init: read_container(container("initContainers", &|_| true)?)?,
            app: read_container(app)?,
            app_port: app_port
                .and_then(|port| port.try_into().ok())
                .ok_or_else(|| lacking("the application's port"))?,
            proxy: read_container(container("containers", &|name| name == proxy)?)?,
            plan,
        })
    }

    /// The rules it needs, where it does or does not have IPv6.
    pub(super) fn rules(&self, global_ipv6: bool) -> Result<RuleSet, Failure> {
        let surroundings = Surroundings { global_ipv4: Some(true), global_ipv6: Some(global_ipv6) };
        let built = dialect::build(self.plan.mesh, &self.plan.settings, surroundings);
        built.map(|built| built.rules).map_err(|error| broken(&error))
    }

    /// A port that an option of the mesh names.
    pub(super) fn port(&self, option: &str) -> Result<u16, Failure> {
        self.plan.settings.get(option).value.parse().map_err(|_| lacking(option))
    }
}

fn read_container(value: &Value) -> Result<Container, Failure> {
    let context = value.get("securityContext").ok_or_else(|| lacking("securityContext"))?;
    let id = |field: &str| context.get(field).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let user = id("runAsUser").zip(id("runAsGroup")).ok_or_else(|| lacking("runAsUser and runAsGroup"))?;
    let adds =
        context.pointer("/capabilities/add").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(Container {
        name: value.get("name").and_then(Value::as_str).unwrap_or_default().into(),
        user,
        adds: adds.iter().filter_map(Value::as_str).map(str::to_string).collect(),
    })
}

fn lacking(what: &str) -> Failure {
    Failure::impossible(format!("{FILE} has lost {what}"))
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::impossible(format!("{FILE}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_an_ordinary_injected_pod() {
        let Ok(pod) = Pod::read() else { unreachable!("the manifest is part of this program") };
        assert_eq!(pod.init.adds, ["NET_ADMIN", "NET_RAW"]);
        assert_eq!((pod.init.user.0, pod.app.user.0, pod.proxy.user.0), (0, 1000, 1337));
        assert!(pod.app.adds.is_empty() && pod.proxy.adds.is_empty());
        assert!(pod.plan.warnings.is_empty(), "{:?}", pod.plan.warnings);
    }
}
