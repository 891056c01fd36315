//! Predicates about fields that only containers have.

use serde_json::Value;

use crate::pss::{
    Container, ContainerKind, Defaults, Pod,
    fields::{self, HandlerHost},
    finding::Holder,
    pod::{list, member, object},
};

use super::{Found, is_not};

pub(super) fn privileged<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for &container in pod.containers() {
        if let Some(value) = container.setting("privileged").filter(|value| is_not(value, false)) {
            found.container(&fields::PRIVILEGED, container, Some(value));
        }
    }
}

pub(super) fn escalation<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for &container in pod.containers() {
        let value = container.setting("allowPrivilegeEscalation");
        if value.is_none_or(|value| is_not(value, false)) {
            found.container(&fields::ESCALATION, container, value);
        }
    }
}

pub(super) fn proc_mount<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for &container in pod.containers() {
        if let Some(value) = container.setting("procMount").filter(|value| *value != "Default") {
            found.container(&fields::PROC_MOUNT, container, Some(value));
        }
    }
}

pub(super) fn capabilities<'a>(pod: &Pod<'a>, addable: &[&str], drop_all: bool, found: &mut Found<'a>) {
    for &container in pod.containers() {
        let capabilities = object(container.security, "capabilities");
        if drop_all && !list(capabilities, "drop").iter().any(|name| name == "ALL") {
            found.container(&fields::CAPABILITIES_DROP, container, member(capabilities, "drop"));
        }
        match member(capabilities, "add") {
            Some(Value::Array(names)) => {
                for (index, name) in names.iter().enumerate() {
                    if !addable.iter().any(|addable| name == addable) {
                        let holder = Holder::Container(container);
                        found.push(&fields::CAPABILITIES_ADD, holder, Some(index), Some(name));
                    }
                }
            }
            Some(other) => found.container(&fields::CAPABILITIES_ADD, container, Some(other)),
            None => {}
        }
    }
}

pub(super) fn host_ports<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    // SetDefaults_Pod in pkg/apis/core/v1/defaults.go; templates are left alone since 1.28.
    let filled_in = pod.base.is_empty() && pod.defaults == Defaults::ApiServer && pod.host_network();
    for &container in pod.containers() {
        let filled_in = filled_in && container.kind != ContainerKind::Ephemeral;
        for (index, port) in list(container.object, "ports").iter().enumerate() {
            let written = member(port.as_object(), "hostPort").filter(|port| !is_zero(port));
            let container_port = || member(port.as_object(), "containerPort").filter(|port| !is_zero(port));
            if let Some(port) = written.or_else(|| filled_in.then(container_port).flatten()) {
                found.push(&fields::HOST_PORT, Holder::Container(container), Some(index), Some(port));
            }
        }
    }
}

/// Zero in any spelling; `-0` reaches us as a floating point number.
pub(super) fn is_zero(value: &Value) -> bool {
    value.as_i64() == Some(0) || value.as_f64().is_some_and(|number| number == 0.0)
}

pub(super) fn handler_hosts<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for &container in pod.containers() {
        for handler in &fields::HANDLER_HOSTS {
            if let Some(host) = handler_host(container, handler) {
                found.container(&handler.field, container, Some(host));
            }
        }
    }
}

fn handler_host<'a>(container: Container<'a>, handler: &HandlerHost) -> Option<&'a Value> {
    let mut holder = container.object?;
    for step in handler.steps {
        holder = object(Some(holder), step)?;
    }
    member(object(Some(holder), handler.action), "host").filter(|host| *host != "")
}
