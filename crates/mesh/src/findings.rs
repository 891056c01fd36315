//! Which containers of a pod belong to which mesh, and what each of them does there. Containers are told by what
//! they run, not by their name alone: names are configurable, and a name proves nothing.

use meshward_redirect::Mesh;

use crate::container::Container;
use crate::pod::PodTemplate;

/// What a container does for its mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sets up the rules itself, and needs privileges for it.
    Setup,
    /// Waits for somebody else to set them up (the mesh's CNI mode).
    Validator,
    /// The proxy that traffic is redirected to.
    Proxy,
}

/// One container with its part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member<'a> {
    pub(crate) mesh: Mesh,
    pub(crate) role: Role,
    pub(crate) container: Container<'a>,
}

/// All containers of a pod that have a part in some mesh.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings<'a>(Vec<Member<'a>>);

impl<'a> Findings<'a> {
    pub(crate) fn of(pod: &PodTemplate<'a>) -> Self {
        let member = |container: Container<'a>| {
            let (mesh, role) = part(&container)?;
            Some(Member { mesh, role, container })
        };
        Self(pod.containers().filter_map(member).collect())
    }

    /// The meshes that have a container in the pod, in the fixed order of [`Mesh::ALL`].
    pub(crate) fn meshes(&self) -> Vec<Mesh> {
        Mesh::ALL.into_iter().filter(|mesh| self.0.iter().any(|member| member.mesh == *mesh)).collect()
    }

    /// The containers of one mesh that have this part.
    pub(crate) fn all(&self, mesh: Mesh, role: Role) -> impl Iterator<Item = Container<'a>> {
        self.0
            .iter()
            .filter(move |member| member.mesh == mesh && member.role == role)
            .map(|member| member.container)
    }

    /// The first of them.
    pub(crate) fn first(&self, mesh: Mesh, role: Role) -> Option<Container<'a>> {
        self.all(mesh, role).next()
    }

    /// The names of all containers with this part, whichever mesh's.
    pub(crate) fn names(&self, role: Role) -> Vec<String> {
        let members = self.0.iter().filter(|member| member.role == role);
        members.map(|member| member.container.name().to_string()).collect()
    }

    /// Everything found, for error texts.
    pub(crate) fn members(&self) -> &[Member<'a>] {
        &self.0
    }
}

fn part(container: &Container<'_>) -> Option<(Mesh, Role)> {
    istio(container)
        .map(|role| (Mesh::Istio, role))
        .or_else(|| linkerd(container).map(|role| (Mesh::Linkerd, role)))
        .or_else(|| kuma(container).map(|role| (Mesh::Kuma, role)))
        .or_else(|| consul(container).map(|role| (Mesh::Consul, role)))
}

fn istio(container: &Container<'_>) -> Option<Role> {
    if container.is_init() {
        let named = matches!(container.name(), "istio-validation" | "istio-validate");
        if let Some(arguments) = istio_iptables(container) {
            let idle =
                arguments.iter().any(|word| matches!(*word, "--skip-rule-apply" | "--skip-rule-apply=true"));
            return Some(if idle || named { Role::Validator } else { Role::Setup });
        }
        if named || waits_for_the_seed(container) {
            return Some(Role::Validator);
        }
    }
    let mut arguments = container.args();
    let runs_proxy = arguments.next() == Some("proxy")
        && arguments.next().is_some_and(|role| matches!(role, "sidecar" | "router" | "waypoint"));
    (container.name() == "istio-proxy" || runs_proxy).then_some(Role::Proxy)
}

/// The arguments of `istio-iptables` in a container that runs it: as a word of pilot-agent's command line, as a
/// program of its own, or (Istio before 1.5, by the name `istio-init`) as the image's entry point.
pub(crate) fn istio_iptables<'a>(container: &Container<'a>) -> Option<Vec<&'a str>> {
    let line: Vec<&str> = container.command_line().collect();
    let program = line
        .iter()
        .take(4)
        .position(|word| matches!(file_name(word), "istio-iptables" | "istio-iptables.sh"));
    match program {
        Some(position) => Some(line[position + 1..].to_vec()),
        None => (container.name() == "istio-init" && line.first().is_some_and(|word| word.starts_with('-')))
            .then_some(line),
    }
}

/// Whether a container waits for istio-pod-network-controller's annotation in a downward API file: its `istio-init`
/// (cmd/init.go) runs the controller's own program, as a word of the command line or by the image's entry point.
pub(crate) fn waits_for_the_seed(container: &Container<'_>) -> bool {
    let line: Vec<&str> = container.command_line().take(4).collect();
    let by_program = line
        .windows(2)
        .any(|words| file_name(words[0]) == "istio-pod-network-controller" && words[1] == "init");
    by_program || (container.name() == "istio-init" && line.first() == Some(&"init"))
}

fn linkerd(container: &Container<'_>) -> Option<Role> {
    if container.is_init() {
        if linkerd_proxy_init(container).is_some() {
            return Some(Role::Setup);
        }
        let validates = container.command_line().next().is_some_and(|word| {
            matches!(file_name(word), "linkerd2-network-validator" | "linkerd-network-validator")
        });
        if validates || container.name() == "linkerd-network-validator" {
            return Some(Role::Validator);
        }
    }
    (container.name() == "linkerd-proxy").then_some(Role::Proxy)
}

/// The arguments of Linkerd's proxy-init in a container that runs it.
pub(crate) fn linkerd_proxy_init<'a>(container: &Container<'a>) -> Option<Vec<&'a str>> {
    let line: Vec<&str> = container.command_line().collect();
    let first = line.first()?;
    if matches!(file_name(first), "linkerd2-proxy-init" | "proxy-init" | "linkerd-proxy-init") {
        return Some(line[1..].to_vec());
    }
    let has = |flag: &str| {
        line.iter().any(|word| *word == flag || word.strip_prefix(flag).is_some_and(|v| v.starts_with('=')))
    };
    let shaped = has("--incoming-proxy-port") && has("--outgoing-proxy-port");
    (first.starts_with('-') && (shaped || container.name() == "linkerd-init")).then_some(line)
}

fn kuma(container: &Container<'_>) -> Option<Role> {
    if container.is_init() {
        let words: Vec<&str> = container.command_line().collect();
        if words.iter().take(4).any(|word| *word == "transparent-proxy-validator")
            || matches!(container.name(), "kuma-validator" | "kuma-validation")
        {
            return Some(Role::Validator);
        }
        if kuma_transparent_proxy(container).is_some() {
            return Some(Role::Setup);
        }
    }
    matches!(container.name(), "kuma-sidecar" | "kuma-gateway").then_some(Role::Proxy)
}

/// The arguments of `kumactl install transparent-proxy` in a container that runs it.
pub(crate) fn kuma_transparent_proxy<'a>(container: &Container<'a>) -> Option<Vec<&'a str>> {
    let line: Vec<&str> = container.command_line().collect();
    let position = line.windows(2).take(4).position(|words| words == ["install", "transparent-proxy"])?;
    let by_program = line[..position].iter().any(|word| file_name(word) == "kumactl");
    (by_program || container.name() == "kuma-init").then(|| line[position + 2..].to_vec())
}

/// The variable through which Consul's init container gets its configuration.
pub(crate) const CONSUL_CONFIG: &str = "CONSUL_REDIRECT_TRAFFIC_CONFIG";

fn consul(container: &Container<'_>) -> Option<Role> {
    if container.is_init() && !container.is_native_sidecar() {
        let environment = container.environment();
        if environment.get(CONSUL_CONFIG).is_some_and(|text| !text.is_empty())
            || environment.is_unresolved(CONSUL_CONFIG)
        {
            return Some(Role::Setup);
        }
        // The same container in CNI mode: it logs the proxy in and leaves the rules to others.
        let name = container.name();
        if name == "consul-connect-inject-init" || name.starts_with("consul-connect-inject-init-") {
            return Some(Role::Validator);
        }
    }
    let name = container.name();
    let proxy = ["consul-dataplane", "envoy-sidecar"]
        .into_iter()
        .any(|proxy| name.strip_prefix(proxy).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')));
    proxy.then_some(Role::Proxy)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn init(value: Value) -> Option<(Mesh, Role)> {
        part(&Container::new(&value, 0, true))
    }

    #[test]
    fn setup_containers_are_told_by_what_they_run() {
        for (value, mesh) in [
            (json!({"name": "x", "args": ["istio-iptables", "-p", "15001"]}), Mesh::Istio),
            (
                json!({"name": "x", "command": ["/usr/local/bin/pilot-agent", "istio-iptables"], "args": ["-p", "1"]}),
                Mesh::Istio,
            ),
            (json!({"name": "x", "command": ["/usr/local/bin/istio-iptables.sh"]}), Mesh::Istio),
            (json!({"name": "istio-init", "args": ["-p", "15001"]}), Mesh::Istio),
            (
                json!({"name": "x", "command": ["/usr/lib/linkerd/linkerd2-proxy-init"], "args": []}),
                Mesh::Linkerd,
            ),
            (
                json!({"name": "x", "args": ["--incoming-proxy-port=4143", "--outgoing-proxy-port", "4140"]}),
                Mesh::Linkerd,
            ),
            (json!({"name": "linkerd-init", "args": ["-p", "4143"]}), Mesh::Linkerd),
            (
                json!({"name": "x", "command": ["/usr/bin/kumactl", "install", "transparent-proxy"]}),
                Mesh::Kuma,
            ),
            (
                json!({"name": "x", "env": [{"name": "CONSUL_REDIRECT_TRAFFIC_CONFIG", "value": "{}"}]}),
                Mesh::Consul,
            ),
        ] {
            assert_eq!(init(value.clone()), Some((mesh, Role::Setup)), "{value}");
        }
    }

    #[test]
    fn validators_leave_the_rules_to_others() {
        for (value, mesh) in [
            (
                json!({"name": "x", "args": ["istio-iptables", "--run-validation", "--skip-rule-apply"]}),
                Mesh::Istio,
            ),
            (json!({"name": "istio-validation"}), Mesh::Istio),
            (json!({"name": "istio-init", "args": ["init", "--timeout", "300"]}), Mesh::Istio),
            (
                json!({"name": "x", "command": ["/usr/local/bin/istio-pod-network-controller", "init"], "args": ["--file", "/f"]}),
                Mesh::Istio,
            ),
            (json!({"name": "linkerd-network-validator"}), Mesh::Linkerd),
            (json!({"name": "x", "command": ["/usr/lib/linkerd/linkerd2-network-validator"]}), Mesh::Linkerd),
            (json!({"name": "kuma-validator"}), Mesh::Kuma),
            (json!({"name": "consul-connect-inject-init"}), Mesh::Consul),
            (
                json!({"name": "consul-connect-inject-init-web", "env": [{"name": "CONSUL_REDIRECT_TRAFFIC_CONFIG"}]}),
                Mesh::Consul,
            ),
        ] {
            assert_eq!(init(value.clone()), Some((mesh, Role::Validator)), "{value}");
        }
    }

    #[test]
    fn a_name_alone_does_not_make_a_setup_container() {
        for value in [
            json!({"name": "istio-init", "image": "busybox", "command": ["sh", "-c", "true"]}),
            json!({"name": "istio-init", "args": ["initialise"]}),
            json!({"name": "x", "args": ["init", "--file", "/f"]}),
            json!({"name": "linkerd-init", "command": ["sleep", "1"]}),
            json!({"name": "kuma-init", "command": ["true"]}),
            json!({"name": "app", "args": ["--incoming-proxy-port", "1"]}),
            json!({"name": "app", "args": ["a", "b", "c", "d", "istio-iptables"]}),
            json!({"name": "app"}),
            json!({}),
            json!(3),
        ] {
            assert_eq!(init(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn proxies() {
        let proxy = |value: Value| part(&Container::new(&value, 0, false));
        for (value, mesh) in [
            (json!({"name": "istio-proxy"}), Mesh::Istio),
            (json!({"name": "edge", "args": ["proxy", "router"]}), Mesh::Istio),
            (json!({"name": "linkerd-proxy"}), Mesh::Linkerd),
            (json!({"name": "kuma-sidecar"}), Mesh::Kuma),
            (json!({"name": "kuma-gateway"}), Mesh::Kuma),
            (json!({"name": "consul-dataplane"}), Mesh::Consul),
            (json!({"name": "consul-dataplane-web"}), Mesh::Consul),
        ] {
            assert_eq!(proxy(value.clone()), Some((mesh, Role::Proxy)), "{value}");
        }
        assert_eq!(proxy(json!({"name": "consul-dataplanes"})), None);
        // The rules are an init container's business; the same words in a regular container mean nothing.
        assert_eq!(proxy(json!({"name": "x", "args": ["istio-iptables", "-p", "1"]})), None);
    }
}
