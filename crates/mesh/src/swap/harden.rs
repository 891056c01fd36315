//! The mesh's own containers that stay: what *restricted* asks for is filled in where the mesh said nothing. What it did
//! say stays, and is told.

use serde_json::{Map, Value, json};

use crate::container::Container;
use crate::findings::CONSUL_CONFIG;
use crate::pod::PodTemplate;
use crate::swap::edit::{Edit, within};
use crate::swap::outcome::{Change, Left};

/// The user and group of Consul's init container in CNI mode (consul-k8s, connect-inject/constants).
pub(crate) const LOGIN_USER: u32 = 5996;

/// Closes the open fields of one container.
pub(crate) fn harden(edit: &mut Edit, pod: &PodTemplate<'_>, container: &Container<'_>) -> Vec<Left> {
    let mut closing = Closing { container: container.name(), fields: Vec::new(), left: Vec::new() };
    let by_pod = Inherited::of(pod);
    edit.container(container, |value| {
        within(value, "securityContext", |context| {
            closing.field(context, "allowPrivilegeEscalation", false, false);
            closing.field(context, "runAsNonRoot", true, by_pod.non_root);
            closing.seccomp(context, by_pod.seccomp);
            closing.capabilities(context);
        });
    });
    let Closing { fields, left, .. } = closing;
    if !fields.is_empty() {
        edit.record(Change::Hardened { container: container.name().into(), fields });
    }
    left
}

/// What the pod's own security context already says for all of its containers.
struct Inherited {
    non_root: bool,
    seccomp: bool,
}

impl Inherited {
    fn of(pod: &PodTemplate<'_>) -> Self {
        let profile = pod.security("seccompProfile").and_then(|profile| profile.get("type"));
        Self {
            non_root: pod.security("runAsNonRoot").and_then(Value::as_bool) == Some(true),
            seccomp: profile.is_some_and(is_confined),
        }
    }
}

fn is_confined(profile: &Value) -> bool {
    matches!(profile.as_str(), Some("RuntimeDefault" | "Localhost"))
}

/// One container's security context on its way.
struct Closing<'a> {
    container: &'a str,
    fields: Vec<&'static str>,
    left: Vec<Left>,
}

impl Closing<'_> {
    fn put(&mut self, context: &mut Map<String, Value>, field: &'static str, value: Value) {
        context.insert(field.into(), value);
        self.fields.push(field);
    }

    fn leave(&mut self, field: &'static str, value: &Value) {
        self.left.push(Left { container: self.container.into(), field, value: value.to_string() });
    }

    fn field(
        &mut self,
        context: &mut Map<String, Value>,
        field: &'static str,
        wanted: bool,
        inherited: bool,
    ) {
        match set(context, field) {
            None if inherited => {}
            None => self.put(context, field, wanted.into()),
            Some(value) if *value == wanted => {}
            Some(other) => self.leave(field, &other.clone()),
        }
    }

    fn seccomp(&mut self, context: &mut Map<String, Value>, inherited: bool) {
        match set(context, "seccompProfile").and_then(|profile| profile.get("type")) {
            None if inherited => {}
            None => self.put(context, "seccompProfile", json!({"type": "RuntimeDefault"})),
            Some(profile) if is_confined(profile) => {}
            Some(other) => self.leave("seccompProfile.type", &other.clone()),
        }
    }

    /// `drop` has to name ALL; a mesh that dropped some meant no more than all.
    fn capabilities(&mut self, context: &mut Map<String, Value>) {
        let capabilities = set(context, "capabilities").and_then(Value::as_object);
        let dropped = capabilities.and_then(|capabilities| capabilities.get("drop")?.as_array());
        if dropped.is_some_and(|dropped| dropped.iter().any(|one| one == "ALL")) {
            return;
        }
        let mut closed = capabilities.cloned().unwrap_or_default();
        closed.insert("drop".into(), json!(["ALL"]));
        self.put(context, "capabilities", closed.into());
    }
}

/// Takes from Consul's init container what it needed for rules. What is left is its shape in CNI mode.
pub(crate) fn log_in_only(edit: &mut Edit, container: &Container<'_>) {
    edit.container(container, |value| {
        if let Some(environment) = value.get_mut("env").and_then(Value::as_array_mut) {
            environment.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(CONSUL_CONFIG));
        }
        let closed = [
            ("runAsUser", json!(LOGIN_USER)),
            ("runAsGroup", json!(LOGIN_USER)),
            ("runAsNonRoot", json!(true)),
            ("allowPrivilegeEscalation", json!(false)),
            ("privileged", json!(false)),
            ("capabilities", json!({"drop": ["ALL"]})),
        ];
        within(value, "securityContext", |context| {
            context.extend(closed.map(|(field, value)| (field.to_string(), value)));
        });
    });
    edit.record(Change::LogInOnly { container: container.name().into() });
}

fn set<'a>(context: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    context.get(field).filter(|value| !value.is_null())
}
