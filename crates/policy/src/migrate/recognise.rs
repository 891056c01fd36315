//! Which control a rule is, told by what it refuses: the library's policies are written in patterns, deny conditions and
//! loops, have been rewritten over the years and copied under other names, but each refuses the pods of one control.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::jmespath::Offline;
use crate::kyverno::policy::{Policy, Status};
use crate::lint::Given;
use crate::lint::used::kyverno::input;
use crate::pss::{CHECKS, Field, Level, Pod, Scope, Version, evaluate};

/// What a rule is.
pub(super) struct Recognised {
    /// The controls.
    pub(super) controls: Vec<&'static str>,
    /// The level that checks all that it refuses.
    pub(super) level: Level,
    /// A pod that it refuses.
    pub(super) refused: Value,
    /// Fields of the controls that the rule does not look at.
    pub(super) unseen: Vec<String>,
}

/// A pod that violates one control in one field.
struct Probe {
    pod: Value,
    control: &'static str,
    level: Level,
    field: String,
}

/// The controls that a rule is; `None` if it refuses a pod that the standards allow, or nothing of what they forbid.
pub(super) fn recognise(policy: &Value, rule: &Value) -> Option<Recognised> {
    let mut single = policy.clone();
    let mut rule = rule.clone();
    rule["match"] = json!({ "any": [{ "resources": { "kinds": ["Pod"] } }] });
    rule.as_object_mut()?.remove("exclude");
    single["spec"]["rules"] = json!([rule]);
    single["kind"] = json!("ClusterPolicy");
    let policy = Policy::compile(&single).ok()?;
    if refuses(&policy, &good_pod()) {
        return None;
    }
    let probes = probes();
    let refused: Vec<bool> = probes.iter().map(|probe| refuses(&policy, &probe.pod)).collect();
    let hits = || probes.iter().zip(&refused).filter(|(_, refused)| **refused).map(|(probe, _)| probe);
    let controls: BTreeSet<&'static str> = hits().map(|probe| probe.control).collect();
    let level = hits().map(|probe| probe.level).max()?;
    let missed = probes
        .iter()
        .zip(&refused)
        .filter(|(probe, refused)| !**refused && controls.contains(probe.control) && probe.level <= level);
    let unseen: BTreeSet<String> = missed.map(|(probe, _)| probe.field.clone()).collect();
    let refused = hits().next()?.pod.clone();
    Some(Recognised {
        controls: controls.into_iter().collect(),
        level,
        refused,
        unseen: unseen.into_iter().collect(),
    })
}

fn refuses(policy: &Policy, pod: &Value) -> bool {
    let given = Given { documents: &[], resources: &[], environment: &Offline };
    policy.evaluate(&input(&given, pod, &[])).iter().any(|result| matches!(result.status, Status::Fail))
}

/// A pod that restricted allows, with a container of each kind.
fn good_pod() -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/app:1",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "probe", "namespace": "default" },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "initContainers": [container("init")], "containers": [container("app")],
            "ephemeralContainers": [container("debug")],
        },
    })
}

/// A pod that violates baseline and restricted.
pub(super) fn bad_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "probe", "namespace": "default" },
        "spec": {
            "hostNetwork": true, "hostPID": true,
            "containers": [{ "name": "app", "image": "registry.example/app:1", "securityContext": { "privileged": true } }],
        },
    })
}

/// One pod for each field and holder of each control.
fn probes() -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    for check in &CHECKS {
        let Some(revision) = check.revisions.last() else { continue };
        for field in revision.fields {
            for (name, pod) in pods(field) {
                let level = match violates(&pod, Level::Baseline, check.control) {
                    true => Level::Baseline,
                    false => Level::Restricted,
                };
                let known = probes.iter().any(|probe| probe.field == name && probe.control == check.control);
                if !known && violates(&pod, level, check.control) {
                    probes.push(Probe { pod, control: check.control, level, field: name });
                }
            }
        }
    }
    // A rule about hostPath volumes is not one about all the other types that restricted forbids.
    probes.retain(|probe| !(probe.control == "Volume Types" && probe.field.ends_with(".hostPath")));
    probes
}

fn violates(pod: &Value, level: Level, control: &str) -> bool {
    let results = evaluate(level, Version::Latest, &Pod::new(pod));
    results.iter().any(|result| !result.allowed() && result.check.control == control)
}

/// Pods that have a forbidden value in a field: one for each place the field can be in.
fn pods(field: &Field) -> Vec<(String, Value)> {
    let names = field.restricted_fields();
    let Some(value) = forbidden(field) else { return Vec::new() };
    let mut pods = Vec::new();
    for name in names {
        let mut pod = good_pod();
        match field.scope {
            Scope::Annotation => {
                let key = field.path.replace('*', "app");
                pod["metadata"]["annotations"] = json!({ key: value });
            }
            Scope::Pod => set(&mut pod["spec"], field.path, &value),
            Scope::Volume => pod["spec"]["volumes"] = json!([{ "name": "data", (field.path): value }]),
            Scope::Container => {
                let list = name.trim_start_matches("spec.").split('[').next().unwrap_or_default().to_owned();
                set(&mut pod["spec"][list.as_str()][0], field.path, &value);
            }
        }
        pods.push((name, pod));
    }
    pods
}

/// A value of a field that is forbidden; null for one that must be set.
fn forbidden(field: &Field) -> Option<Value> {
    let last = field.path.rsplit('.').next().unwrap_or_default();
    Some(match (field.scope, last) {
        (_, "") => return None,
        (Scope::Annotation, _) => json!("unconfined"),
        (Scope::Volume, "hostPath") => json!({ "path": "/etc" }),
        (Scope::Volume, _) => json!({}),
        (_, "drop") => Value::Null,
        (_, "add") => json!(["SYS_ADMIN"]),
        (_, "runAsNonRoot") => json!(false),
        (_, "runAsUser") => json!(0),
        (_, "procMount") => json!("Unmasked"),
        (_, "hostPort") => json!(8080),
        (_, "type") if field.path.contains("seLinux") => json!("spc_t"),
        (_, "type") => json!("Unconfined"),
        (_, "user" | "role") => json!("anybody"),
        (_, "name") => json!("kernel.msgmax"),
        (_, "host") => json!("evil.example"),
        _ => json!(true),
    })
}

/// Sets a value below an object; `[*]` is the first element of a list.
fn set(object: &mut Value, path: &str, value: &Value) {
    let mut at = object;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let next = match step.strip_suffix("[*]") {
            Some(list) => {
                at[list] = json!([{ "containerPort": 8080, "value": "1" }]);
                &mut at[list][0]
            }
            None => &mut at[step],
        };
        if steps.peek().is_none() {
            *next = value.clone();
        } else if !next.is_object() {
            *next = json!({});
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_about_one_control_each() {
        let probes = probes();
        let pod = good_pod();
        assert!(
            evaluate(Level::Restricted, Version::Latest, &Pod::new(&pod))
                .iter()
                .all(|result| result.allowed())
        );
        for control in crate::exemption::controls() {
            assert!(probes.iter().any(|probe| probe.control == control), "{control}");
        }
        for probe in &probes {
            let results = evaluate(Level::Restricted, Version::Latest, &Pod::new(&probe.pod));
            let broken: Vec<&str> =
                results.iter().filter(|r| !r.allowed()).map(|r| r.check.control).collect();
            let volume = probe.control == "HostPath Volumes" && broken == ["Volume Types"];
            assert!(broken == [probe.control] || volume || broken.is_empty(), "{}: {broken:?}", probe.field);
        }
    }
}
