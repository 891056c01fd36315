//! One container as the kubelet would start it: its command line and environment after Kubernetes' own `$(NAME)`
//! expansion, because that is what the mesh's program really reads.

use meshward_redirect::net::visible;
use serde_json::Value;

use crate::pod::MOST_ENTRIES;

/// The most text that one container's command line, and its environment, may hold after expansion.
pub(crate) const MOST_TEXT: usize = 1024 * 1024;

/// A container of a pod template.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    value: &'a Value,
    index: usize,
    init: bool,
}

impl<'a> Container<'a> {
    pub(crate) fn new(value: &'a Value, index: usize, init: bool) -> Self {
        Self { value, index, init }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.text("name").unwrap_or_default()
    }

    /// Its place in its list (`initContainers` or `containers`).
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether it stands among the init containers.
    pub fn is_init(&self) -> bool {
        self.init
    }

    /// Whether it is a native sidecar: an init container that keeps running (Kubernetes 1.29).
    pub fn is_native_sidecar(&self) -> bool {
        self.init && self.text("restartPolicy") == Some("Always")
    }

    /// The field's path in the pod specification, for people.
    pub fn path(&self) -> String {
        format!("spec.{}[{}]", if self.init { "initContainers" } else { "containers" }, visible(self.name()))
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.value.get(field)?.as_str()
    }

    fn list(&self, field: &str) -> &'a [Value] {
        self.value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// A number of the container's security context, such as `runAsUser`.
    pub fn security_number(&self, field: &str) -> Option<&'a Value> {
        self.security(field)
    }

    /// A field of its own security context.
    pub(crate) fn security(&self, field: &str) -> Option<&'a Value> {
        self.value.get("securityContext")?.get(field).filter(|value| !value.is_null())
    }

    /// Its requests and limits.
    pub(crate) fn resources(&self) -> Option<&'a Value> {
        self.value.get("resources")
    }

    /// The container as it is written.
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// Whether both stand at the same place of their pod.
    pub(crate) fn is(&self, other: &Container<'_>) -> bool {
        (self.init, self.index) == (other.init, other.index)
    }

    /// Its volume mounts: the volume's name and the path.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let text = |mount: &'a Value, field: &str| mount.get(field).and_then(Value::as_str);
        let mounts = self.list("volumeMounts").iter().take(MOST_ENTRIES);
        mounts.filter_map(move |mount| Some((text(mount, "name")?, text(mount, "mountPath")?)))
    }

    /// The TCP ports that it declares.
    pub(crate) fn tcp_ports(&self) -> impl Iterator<Item = u64> + use<'a> {
        let tcp = |port: &&Value| port.get("protocol").and_then(Value::as_str).is_none_or(|p| p == "TCP");
        let ports = self.list("ports").iter().take(MOST_ENTRIES).filter(tcp);
        ports.filter_map(|port| port.get("containerPort")?.as_u64())
    }

    /// The ports of its HTTP probes.
    pub(crate) fn probe_ports(&self) -> impl Iterator<Item = &'a Value> {
        ["livenessProbe", "readinessProbe", "startupProbe"]
            .into_iter()
            .filter_map(|probe| self.value.get(probe)?.pointer("/httpGet/port"))
    }

    /// Whether the container takes variables from ConfigMaps or Secrets, which cannot be read from here.
    pub fn has_foreign_environment(&self) -> bool {
        !self.list("envFrom").is_empty()
    }

    /// The environment that the container's own `env` list sets.
    pub(crate) fn environment(&self) -> Environment {
        let mut environment = Environment::default();
        let mut left = MOST_TEXT;
        for entry in self.list("env").iter().take(MOST_ENTRIES) {
            let Some(name) = entry.get("name").and_then(Value::as_str) else { continue };
            let value = if entry.get("valueFrom").is_some_and(|from| !from.is_null()) {
                None
            } else {
                let text = entry.get("value").and_then(Value::as_str).unwrap_or_default();
                // Variables made of variables grow without bounds; what is too long counts as not known.
                environment.expand(text).ok().filter(|value| value.len() <= left)
            };
            left -= value.as_ref().map_or(0, String::len);
            environment.set(name, value);
        }
        environment
    }

    /// The command line: `command` then `args`, as written.
    pub fn command_line(&self) -> impl Iterator<Item = &'a str> {
        self.list("command").iter().chain(self.list("args")).take(MOST_ENTRIES).filter_map(Value::as_str)
    }

    /// `args` alone, as written.
    pub fn args(&self) -> impl Iterator<Item = &'a str> {
        self.list("args").iter().take(MOST_ENTRIES).filter_map(Value::as_str)
    }

    pub(crate) fn oversized(&self) -> Option<String> {
        for field in ["command", "args", "env"] {
            let found = self.list(field).len();
            if found > MOST_ENTRIES {
                return Some(format!(
                    "{found} entries in {}.{field}, accepted: at most {MOST_ENTRIES}",
                    self.path()
                ));
            }
        }
        None
    }
}

/// The variables a container starts with, as far as its specification says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// In order; None stands for a value that comes from somewhere else (`valueFrom`).
    variables: Vec<(String, Option<String>)>,
}

/// A variable that is set from a field, Secret or ConfigMap and therefore not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved(pub(crate) String);

impl Environment {
    fn set(&mut self, name: &str, value: Option<String>) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some(entry) => entry.1 = value,
            None => self.variables.push((name.to_string(), value)),
        }
    }

    /// The value of `name`, if it is set to a text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name)?.1.as_deref()
    }

    /// Every variable whose value is known, in order.
    pub(crate) fn known(&self) -> Vec<(String, String)> {
        self.variables.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }

    /// Whether `name` is set, but from somewhere that cannot be read here.
    pub(crate) fn is_unresolved(&self, name: &str) -> bool {
        self.variables.iter().any(|(known, value)| known == name && value.is_none())
    }

    /// Replaces `$(NAME)` as the kubelet does: `$$` is one `$`, a name that is not set stays as it is.
    ///
    /// # Errors
    /// [`Unresolved`] when a named variable's value cannot be known here, or the text would grow beyond bounds.
    pub(crate) fn expand(&self, text: &str) -> Result<String, Unresolved> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(position) = rest.find('$') {
            expanded.push_str(&rest[..position]);
            rest = &rest[position + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|after| after.split_once(')'))
            {
                match self.variables.iter().find(|(known, _)| known == name) {
                    Some((_, Some(value))) => expanded.push_str(value),
                    Some((_, None)) => return Err(Unresolved(name.to_string())),
                    None => {
                        expanded.push_str("$(");
                        expanded.push_str(name);
                        expanded.push(')');
                    }
                }
                rest = after;
            } else {
                expanded.push('$');
            }
            if expanded.len() > MOST_TEXT {
                return Err(Unresolved(text.chars().take(60).collect()));
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn environment() -> Environment {
        let container = json!({"env": [
            {"name": "PORT", "value": "15001"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "BOTH", "value": "$(PORT),$(LATER)"},
            {"name": "LATER", "value": "$(IP):1"},
            {"name": "PORT", "value": "15101"},
            {"name": "EMPTY"},
        ]});
        Container::new(&container, 0, true).environment()
    }

    #[test]
    fn variables_expand_in_order_and_the_last_one_counts() {
        let environment = environment();
        assert_eq!(environment.get("PORT"), Some("15101"));
        assert_eq!(environment.get("BOTH"), Some("15001,$(LATER)"));
        assert_eq!(environment.get("EMPTY"), Some(""));
        assert_eq!(environment.get("IP"), None);
        assert!(environment.is_unresolved("IP") && environment.is_unresolved("LATER"));
        assert!(!environment.is_unresolved("NONE"));
    }

    #[test]
    fn expansion_is_the_kubelets() {
        let environment = environment();
        for (text, expanded) in [
            ("$(PORT)", "15101"),
            ("a$(PORT)b$(PORT)", "a15101b15101"),
            ("$$(PORT)", "$(PORT)"),
            ("$$$(PORT)", "$15101"),
            ("$(NONE)", "$(NONE)"),
            ("$(PORT", "$(PORT"),
            ("$", "$"),
            ("$PORT", "$PORT"),
            ("$(EMPTY)x", "x"),
            ("ü$(PORT)", "ü15101"),
        ] {
            assert_eq!(environment.expand(text).as_deref(), Ok(expanded), "{text}");
        }
        assert_eq!(environment.expand("x$(IP)"), Err(Unresolved("IP".into())));
    }

    proptest! {
        #[test]
        fn text_without_dollar_is_untouched(text in "[^$]{0,40}") {
            prop_assert_eq!(environment().expand(&text), Ok(text));
        }

        #[test]
        fn expansion_never_panics(text in "[$()A-Zü]{0,40}") {
            let _ = environment().expand(&text);
        }
    }
}
