//! Predicates about the pod's own fields and annotations, and those that a pod and its containers share.

use serde_json::{Map, Value};

use crate::pss::{
    Container, Field, Pod, fields,
    finding::Holder,
    pod::{list, member, object},
};

use super::{Found, container::is_zero, is_not};

pub(super) fn host_namespaces<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for field in [&fields::HOST_NETWORK, &fields::HOST_PID, &fields::HOST_IPC] {
        if let Some(value) = member(pod.spec, field.path).filter(|value| is_not(value, false)) {
            found.pod(field, Some(value));
        }
    }
}

pub(super) fn sysctls<'a>(pod: &Pod<'a>, allowed: &[&str], found: &mut Found<'a>) {
    for (index, sysctl) in list(pod.security, "sysctls").iter().enumerate() {
        let name = member(sysctl.as_object(), "name");
        if !name.is_some_and(|name| allowed.iter().any(|allowed| name == allowed)) {
            found.push(&fields::SYSCTL_NAME, Holder::Pod, Some(index), name);
        }
    }
}

pub(super) fn apparmor<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    if let Some(profile) = pod.setting("appArmorProfile").filter(|profile| !is_contained(profile)) {
        found.pod(&fields::APPARMOR_POD, member(profile.as_object(), "type"));
    }
    for &container in pod.containers() {
        if let Some(profile) = container.setting("appArmorProfile").filter(|profile| !is_contained(profile)) {
            found.container(&fields::APPARMOR_CONTAINER, container, member(profile.as_object(), "type"));
        }
    }
    for (key, value, container) in annotated(pod, fields::APPARMOR_PREFIX) {
        let fine = match value {
            Value::Null => true,
            Value::String(profile) => {
                profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/")
            }
            _ => false,
        };
        if !fine {
            found.push(
                &fields::APPARMOR_ANNOTATION,
                Holder::Annotation { key, container },
                None,
                Some(value),
            );
        }
    }
}

/// The annotations with a prefix that ends before a container's name, with that container if the pod has it.
fn annotated<'a>(pod: &Pod<'a>, prefix: &str) -> Vec<(&'a str, &'a Value, Option<Container<'a>>)> {
    let annotations = pod.annotations().into_iter().flatten();
    let prefixed =
        annotations.filter_map(|(key, value)| Some((key.as_str(), value, key.strip_prefix(prefix)?)));
    let prefixed: Vec<_> = prefixed.collect();
    if prefixed.is_empty() {
        return Vec::new();
    }
    let containers = pod.by_name();
    prefixed.into_iter().map(|(key, value, name)| (key, value, containers.get(name).copied())).collect()
}

/// Whether a set AppArmor or seccomp profile is of one of the two types that both checks accept.
fn is_contained(profile: &Value) -> bool {
    profile.get("type").is_some_and(|kind| kind == "RuntimeDefault" || kind == "Localhost")
}

pub(super) fn seccomp_annotations<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    let fine = |value: &Value| {
        value.as_str().is_some_and(|profile| {
            profile == "runtime/default" || profile == "docker/default" || profile.starts_with("localhost/")
        })
    };
    let shared = pod.annotations().and_then(|annotations| annotations.get_key_value(fields::SECCOMP_POD));
    if let Some((key, value)) = shared.filter(|(_, value)| !fine(value)) {
        let holder = Holder::Annotation { key, container: None };
        found.push(&fields::SECCOMP_ANNOTATION_POD, holder, None, Some(value));
    }
    for (key, value, container) in annotated(pod, fields::SECCOMP_PREFIX) {
        // An annotation for a container that the pod does not have takes no effect and is not looked at.
        if container.is_some() && !fine(value) {
            found.push(&fields::SECCOMP_ANNOTATION, Holder::Annotation { key, container }, None, Some(value));
        }
    }
}

pub(super) fn seccomp<'a>(pod: &Pod<'a>, required: bool, found: &mut Found<'a>) {
    let shared = pod.setting("seccompProfile");
    let covered = shared.is_some_and(is_contained);
    if let Some(profile) = shared.filter(|_| !covered) {
        found.pod(&fields::SECCOMP_TYPE_POD, Some(profile.get("type").unwrap_or(&Value::Null)));
    }
    for &container in pod.containers() {
        match container.setting("seccompProfile") {
            Some(profile) if is_contained(profile) => {}
            Some(profile) => {
                let kind = profile.get("type").unwrap_or(&Value::Null);
                found.container(&fields::SECCOMP_TYPE, container, Some(kind));
            }
            None if required && !covered => found.container(&fields::SECCOMP_TYPE, container, None),
            None => {}
        }
    }
}

pub(super) fn non_root<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    let shared = pod.setting("runAsNonRoot");
    let covered = shared == Some(&Value::Bool(true));
    if let Some(value) = shared.filter(|_| !covered) {
        found.pod(&fields::NON_ROOT_POD, Some(value));
    }
    for &container in pod.containers() {
        match container.setting("runAsNonRoot") {
            Some(Value::Bool(true)) => {}
            Some(value) => found.container(&fields::NON_ROOT, container, Some(value)),
            None if !covered => found.container(&fields::NON_ROOT, container, None),
            None => {}
        }
    }
}

pub(super) fn root_user<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    let root = |value: &&Value| !value.is_number() || is_zero(value);
    if let Some(value) = pod.setting("runAsUser").filter(root) {
        found.pod(&fields::USER_POD, Some(value));
    }
    for &container in pod.containers() {
        if let Some(value) = container.setting("runAsUser").filter(root) {
            found.container(&fields::USER, container, Some(value));
        }
    }
}

pub(super) fn windows_host_process<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    let of = |security| {
        member(object(security, "windowsOptions"), "hostProcess").filter(|value| is_not(value, false))
    };
    if let Some(value) = of(pod.security) {
        found.pod(&fields::HOST_PROCESS_POD, Some(value));
    }
    for &container in pod.containers() {
        if let Some(value) = of(container.security) {
            found.container(&fields::HOST_PROCESS, container, Some(value));
        }
    }
}

pub(super) fn selinux<'a>(pod: &Pod<'a>, types: &[&str], found: &mut Found<'a>) {
    const POD: [&Field; 3] =
        [&fields::SELINUX_TYPE_POD, &fields::SELINUX_USER_POD, &fields::SELINUX_ROLE_POD];
    const CONTAINER: [&Field; 3] = [&fields::SELINUX_TYPE, &fields::SELINUX_USER, &fields::SELINUX_ROLE];
    let offending = |options: Option<&'a Map<String, Value>>| {
        let kind =
            member(options, "type").filter(|kind| *kind != "" && !types.iter().any(|fine| *kind == fine));
        let other = |key| member(options, key).filter(|value| *value != "");
        [kind, other("user"), other("role")]
    };
    let options = object(pod.security, "seLinuxOptions");
    for (field, value) in POD.into_iter().zip(offending(options)).filter(|(_, value)| value.is_some()) {
        found.pod(field, value);
    }
    for &container in pod.containers() {
        let options = object(container.security, "seLinuxOptions");
        for (field, value) in
            CONTAINER.into_iter().zip(offending(options)).filter(|(_, value)| value.is_some())
        {
            found.container(field, container, value);
        }
    }
}
