//! Who is meant to be in a mesh, and who said no. What a pod says about itself beats what its namespace says, in
//! every mesh; and a proxy in the pod beats a namespace that has meanwhile opted out, as in the meshes' CNI plugins.

use meshward_redirect::Mesh;
use meshward_redirect::net::visible;
use serde_json::Value;

use crate::problem::{Problem, Warning};
use crate::scope::{Found, Scope};
use crate::verdict::Reason;

/// The annotation by which a pod or namespace joined the seed project's mesh.
pub(crate) const SEED_MEMBER: &str = "istio-pod-network-controller/initialize";

/// Labels of OpenShift's own build and deployer pods, which the seed project skips.
const SEED_SKIPS: [&str; 2] = ["openshift.io/deployer-pod-for.name", "openshift.io/build.name"];

/// Go's spellings of a boolean and YAML's.
const SWITCH: &str = "true or false";

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn enabled(text: &str) -> Option<bool> {
    match text {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => switch(text),
    }
}

fn linkerd_inject(text: &str) -> Option<bool> {
    match text {
        "enabled" | "ingress" => Some(true),
        "disabled" => Some(false),
        _ => None,
    }
}

/// One voice for or against membership.
struct Voice<'a> {
    found: Found<'a>,
    read: fn(&str) -> Option<bool>,
    accepted: &'static str,
}

impl<'a> Scope<'a> {
    /// Reads one voice; a value that is none is a problem.
    fn hear(&mut self, voice: Voice<'a>) -> Option<(bool, Found<'a>)> {
        match (voice.read)(voice.found.value) {
            Some(says) => Some((says, voice.found)),
            None if voice.found.value.trim().is_empty() => None,
            None => {
                let problem = voice.found.invalid(voice.accepted);
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                None
            }
        }
    }

    /// What the pod itself says about its membership: the strongest voice first, the first one that is there counts.
    fn own_voices(&self, mesh: Mesh) -> Vec<Voice<'a>> {
        let voice = |found, read, accepted| Voice { found, read, accepted };
        match mesh {
            Mesh::Istio => {
                let key = "sidecar.istio.io/inject";
                // The label beats the annotation (istio/istio pkg/kube/inject/webhook.go, injectRequired).
                self.pod_label(key)
                    .or_else(|| self.on_pod(key))
                    .into_iter()
                    .chain(self.on_pod(SEED_MEMBER))
                    .map(|found| voice(found, switch, SWITCH))
                    .collect()
            }
            Mesh::Linkerd => self
                .on_pod("linkerd.io/inject")
                .map(|found| voice(found, linkerd_inject, "enabled, disabled or ingress"))
                .into_iter()
                .collect(),
            Mesh::Kuma => {
                let key = "kuma.io/sidecar-injection";
                let found = self.pod_label(key).or_else(|| self.on_pod(key));
                found.map(|found| voice(found, enabled, "enabled or disabled")).into_iter().collect()
            }
            Mesh::Consul => self
                .on_pod("consul.hashicorp.com/connect-inject")
                .map(|found| voice(found, switch, SWITCH))
                .into_iter()
                .collect(),
        }
    }

    fn namespace_voices(&self, mesh: Mesh) -> Vec<Voice<'a>> {
        let voice = |found, read, accepted| Voice { found, read, accepted };
        let one = |found: Option<Found<'a>>, read, accepted| {
            found.map(|found| voice(found, read, accepted)).into_iter().collect::<Vec<_>>()
        };
        match mesh {
            Mesh::Istio => {
                let mut voices = one(self.namespace_label("istio-injection"), enabled, "enabled or disabled");
                voices.extend(one(self.on_namespace(SEED_MEMBER), switch, SWITCH));
                if voices.is_empty() {
                    voices.extend(one(self.namespace_label("istio.io/rev"), |_| Some(true), "a revision"));
                }
                voices
            }
            Mesh::Linkerd => {
                one(self.on_namespace("linkerd.io/inject"), linkerd_inject, "enabled, disabled or ingress")
            }
            Mesh::Kuma => {
                let key = "kuma.io/sidecar-injection";
                one(
                    self.namespace_label(key).or_else(|| self.on_namespace(key)),
                    enabled,
                    "enabled or disabled",
                )
            }
            Mesh::Consul => one(self.on_namespace("consul.hashicorp.com/connect-inject"), switch, SWITCH),
        }
    }

    /// The pod's own "no" to a mesh.
    pub(crate) fn opted_out(&mut self, mesh: Mesh) -> Option<Reason> {
        for voice in self.own_voices(mesh) {
            if let Some((false, found)) = self.hear(voice) {
                return Some(Reason::OptedOut { mesh, by: found.says() });
            }
        }
        None
    }

    /// What says that the pod is meant to be in the mesh, though none of its containers is there.
    fn meant_to_be(&mut self, mesh: Mesh) -> Option<String> {
        let own = self.own_voices(mesh);
        let voices = if own.is_empty() { self.namespace_voices(mesh) } else { own };
        let says = voices.into_iter().find_map(|voice| self.hear(voice).filter(|(says, _)| *says));
        says.map(|(_, found)| found.says()).or_else(|| {
            let mark = match mesh {
                Mesh::Istio => self.on_pod("sidecar.istio.io/status"),
                Mesh::Linkerd => self.on_pod("linkerd.io/proxy-version"),
                Mesh::Kuma => self.on_pod("kuma.io/sidecar-injected").filter(|found| found.value == "true"),
                Mesh::Consul => self.on_pod("consul.hashicorp.com/connect-inject-status"),
            };
            mark.map(|found| format!("{} is there", found.place()))
        })
    }

    /// Why a pod without any mesh's containers gets no rules.
    pub(crate) fn without_mesh(&mut self) -> Reason {
        if let Some(reason) = Mesh::ALL.into_iter().find_map(|mesh| self.opted_out(mesh)) {
            return reason;
        }
        if let Some(by) = self.ambient() {
            return Reason::Ambient { by };
        }
        Mesh::ALL
            .into_iter()
            .find_map(|mesh| Some(Reason::NoProxy { mesh, because: self.meant_to_be(mesh)? }))
            .unwrap_or(Reason::NoMesh)
    }

    /// Why a pod with some of a mesh's containers, but no proxy, gets no rules.
    pub(crate) fn without_proxy(&mut self, mesh: Mesh) -> Reason {
        let container = self.findings.members().iter().find(|member| member.mesh == mesh);
        let because = container.map_or_else(String::new, |member| {
            format!("its container {} is {mesh}'s", visible(member.container.name()))
        });
        Reason::NoProxy { mesh, because }
    }

    fn ambient(&mut self) -> Option<String> {
        let key = "istio.io/dataplane-mode";
        let found = self.pod_label(key).or_else(|| self.namespace_label(key))?;
        (found.value == "ambient").then(|| found.says())
    }

    /// Whether the pod, or its namespace where the pod is silent, joined the seed project's mesh.
    pub(crate) fn is_seed_member(&mut self) -> bool {
        let Some(found) = self.on_either(SEED_MEMBER) else { return false };
        self.hear(Voice { found, read: switch, accepted: SWITCH }).is_some_and(|(says, _)| says)
    }

    /// The label that makes the seed project skip a pod.
    pub(crate) fn seed_skips(&mut self) -> Option<Reason> {
        let label = SEED_SKIPS.into_iter().find(|label| self.pod.label(label).is_some())?;
        self.is_seed_member().then_some(Reason::Skipped { label })
    }

    /// Tells about keys that a mesh has given up.
    pub(crate) fn warn_deprecated(&mut self) {
        for (key, instead) in [
            ("traffic.sidecar.istio.io/kubevirtInterfaces", "istio.io/reroute-virtual-interfaces"),
            ("kuma.io/virtual-probes-port", "kuma.io/application-probe-proxy-port"),
        ] {
            if self.on_pod(key).is_some() {
                self.warnings.push(Warning::Deprecated { key: key.into(), instead });
            }
        }
        let key = "kuma.io/sidecar-injection";
        if self.on_pod(key).is_some() {
            self.warnings
                .push(Warning::Deprecated { key: key.into(), instead: "the label of the same name" });
        }
    }
}

/// The effective id of a container's security context, falling back to the pod's.
pub(crate) fn security_id(
    scope: &mut Scope<'_>,
    container: &crate::container::Container<'_>,
    field: &str,
) -> Option<(u32, String)> {
    let own = container.security_number(field).map(|value| (value, container.path()));
    let of_pod = || {
        let value = scope.pod.spec().get("securityContext")?.get(field).filter(|value| !value.is_null())?;
        Some((value, "spec".to_string()))
    };
    let (value, place) = own.or_else(of_pod)?;
    let place = format!("{place}.securityContext.{field}");
    // u32::MAX is "no id" (-1) to the kernel.
    let id = Value::as_u64(value).and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX);
    if id.is_none() {
        let found = crate::problem::quoted(&value.to_string());
        let problem = Problem::Value { place: place.clone(), found, accepted: "a number, 0 to 4294967294" };
        if !scope.problems.contains(&problem) {
            scope.problems.push(problem);
        }
    }
    id.map(|id| (id, place))
}
