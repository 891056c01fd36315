//! How long rules take for one pod of about 10 KB, parsed already: one podSecurity rule, seventeen policies with one
//! control each in the style of the public library, a pod that no rule is about, and exemptions:
//! `cargo bench -p meshward-policy --bench rules`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark's output is its result")]

use meshward_policy::exemption::{Exemption, Who, apply};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Offline;
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Input, NoLookup, Policy};
use meshward_policy::kyverno::quirk::Quirks;
use meshward_policy::pss::{Level, Pod, Version, evaluate};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};

/// A pod that violates nothing but what its init container needs.
fn pod() -> Value {
    let environment: Vec<Value> =
        (0..30).map(|n| json!({"name": format!("KEY_{n}"), "value": "x".repeat(50)})).collect();
    let container = |name: &str, security: Value| {
        json!({
            "name": name, "image": format!("registry.example.com/{name}:1.2.3"), "env": environment,
            "ports": [{"containerPort": 8080}], "securityContext": security,
        })
    };
    let good = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1337, "privileged": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let init = json!({
        "allowPrivilegeEscalation": false, "privileged": false, "runAsUser": 0, "runAsNonRoot": false,
        "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
    });
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "shop"},
        "spec": {
            "initContainers": [container("istio-init", init)],
            "containers": [container("istio-proxy", good.clone()), container("app", good)],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "token", "projected": {"sources": []}}],
        },
    })
}

/// A rule of one policy, about pods.
fn policy(name: &str, rule: Value) -> Policy {
    let mut document = json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"rules": [{"name": name, "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}}]},
    });
    let target = document["spec"]["rules"][0].as_object_mut().unwrap();
    target.extend(rule.as_object().unwrap().clone());
    Policy::compile_with(&document, Quirks::KYVERNO).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

/// A pattern for the same part of every container, and one for the pod.
fn everywhere(pod: Value, container: Value) -> Value {
    let mut spec = json!({"=(ephemeralContainers)": [container], "=(initContainers)": [container], "containers": [container]});
    spec.as_object_mut().unwrap().extend(pod.as_object().unwrap().clone());
    json!({"validate": {"message": "This is not allowed here.", "pattern": {"spec": spec}}})
}

fn seventeen() -> Vec<Policy> {
    let security =
        |inner: Value| everywhere(json!({"=(securityContext)": inner}), json!({"=(securityContext)": inner}));
    let containers = |inner: Value| everywhere(json!({}), inner);
    let of_pod = |inner: Value| json!({"validate": {"message": "This is not allowed here.", "pattern": {"spec": inner}}});
    let all = "request.object.spec.[ephemeralContainers, initContainers, containers][]";
    let not_deleted = json!({"all": [{"key": "{{ request.operation || 'BACKGROUND' }}", "operator": "NotEquals", "value": "DELETE"}]});
    let added = json!({
        "preconditions": not_deleted,
        "validate": {"message": "Not these.", "deny": {"conditions": {"all": [{
            "key": format!("{{{{ {all}.securityContext.capabilities.add[] }}}}"), "operator": "AnyNotIn",
            "value": ["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"],
        }]}}},
    });
    let dropped = json!({
        "preconditions": not_deleted,
        "validate": {"message": "All must go.", "foreach": [{"list": all, "deny": {"conditions": {"all": [{
            "key": "ALL", "operator": "AnyNotIn", "value": "{{ element.securityContext.capabilities.drop[] || `[]` }}",
        }]}}}]},
    });
    let volumes = json!({"validate": {"message": "Only these.", "foreach": [{"list": "request.object.spec.volumes[]", "deny": {"conditions": {"all": [{
        "key": "{{ element.keys(@) }}", "operator": "AnyNotIn",
        "value": ["name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"],
    }]}}}]}});
    let rules = [
        ("capabilities", added),
        (
            "host-namespaces",
            of_pod(json!({"=(hostPID)": "false", "=(hostIPC)": "false", "=(hostNetwork)": "false"})),
        ),
        ("host-path", of_pod(json!({"=(volumes)": [{"X(hostPath)": "null"}]}))),
        ("host-ports", containers(json!({"=(ports)": [{"=(hostPort)": 0}]}))),
        ("host-process", security(json!({"=(windowsOptions)": {"=(hostProcess)": "false"}}))),
        ("privileged", containers(json!({"=(securityContext)": {"=(privileged)": "false"}}))),
        ("proc-mount", containers(json!({"=(securityContext)": {"=(procMount)": "Default"}}))),
        (
            "selinux-type",
            security(
                json!({"=(seLinuxOptions)": {"=(type)": "container_t | container_init_t | container_kvm_t"}}),
            ),
        ),
        ("selinux-user", security(json!({"=(seLinuxOptions)": {"X(user)": "null", "X(role)": "null"}}))),
        (
            "apparmor",
            json!({"validate": {"message": "Only these.", "pattern": {"=(metadata)": {"=(annotations)": {"=(container.apparmor.security.beta.kubernetes.io/*)": "runtime/default | localhost/*"}}}}}),
        ),
        ("seccomp", security(json!({"=(seccompProfile)": {"=(type)": "RuntimeDefault | Localhost"}}))),
        (
            "sysctls",
            of_pod(
                json!({"=(securityContext)": {"=(sysctls)": [{"=(name)": "kernel.shm_rmid_forced | net.ipv4.ip_local_port_range"}]}}),
            ),
        ),
        ("escalation", containers(json!({"securityContext": {"allowPrivilegeEscalation": "false"}}))),
        ("non-root", containers(json!({"securityContext": {"runAsNonRoot": "true"}}))),
        ("non-root-user", security(json!({"=(runAsUser)": ">0"}))),
        ("drop-all", dropped),
        ("volume-types", volumes),
    ];
    rules.into_iter().map(|(name, rule)| policy(name, rule)).collect()
}

fn main() {
    let pod = pod();
    let user = UserInfo::default();
    let input = |object| Input {
        object,
        old_object: &Value::Null,
        operation: "CREATE",
        gvk: None,
        subresource: "",
        namespace_labels: &Value::Null,
        user: &user,
        variables: &[],
        exceptions: &[],
        lookup: &NoLookup,
        environment: &Offline,
    };
    println!("pod of {} bytes", pod.to_string().len());
    let policies = seventeen();
    for policy in &policies {
        for result in policy.evaluate(&input(&pod)) {
            assert_ne!(result.status.as_str(), "error", "{}: {}", result.rule, result.message);
        }
    }
    let time = measure(|| policies.iter().for_each(|policy| drop(black_box(policy.evaluate(&input(&pod))))));
    println!("{} policies with one control each: {time:.2} µs", policies.len());
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "shop"}});
    let time = measure(|| drop(black_box(policies[1].evaluate(&input(&service)))));
    println!("an object that a policy is not about: {time:.3} µs");
    let exclude = json!([{"controlName": "Capabilities", "images": ["registry.example.com/istio-init:*"]}]);
    for (name, exclude) in [("no exclusion", json!([])), ("one exclusion", exclude)] {
        let rule = json!({"validate": {"podSecurity": {"level": "restricted", "version": "latest", "exclude": exclude}}});
        let policy = policy("standard", rule);
        for (mode, quirks) in [("kyverno", Quirks::KYVERNO), ("strict", Quirks::STRICT)] {
            let time = measure(|| drop(black_box(policy.evaluate_with(&input(&pod), quirks))));
            println!("podSecurity at restricted, {name}, {mode}: {time:.2} µs");
        }
    }
    exemptions(&pod);
}

fn exemptions(object: &Value) {
    let document = json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "MeshPreset", "metadata": {"name": "istio-init"},
        "spec": {"preset": "istio-init", "images": ["registry.example.com/istio-init"], "reason": "r", "subjects": {"namespaces": ["*"]}},
    });
    let exemption = Exemption::parse(&document).unwrap();
    let many: Vec<Exemption> = (0..50).map(|_| exemption.clone()).collect();
    let now = Moment { seconds: 1_760_000_000, nanoseconds: 0, offset: 0 };
    for (name, exemptions) in [("no", &many[..0]), ("one", &many[..1]), ("fifty", &many[..])] {
        let time = measure(|| {
            let pod = Pod::new(black_box(object));
            let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
            black_box(apply(&mut results, &pod, &Who::of(&pod, "shop"), exemptions, now));
        });
        println!("restricted, {name} exemption: {time:.2} µs");
    }
}

/// Microseconds a call, the best of some rounds.
fn measure(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 2_000;
    let round = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    (0..7).map(round).fold(f64::INFINITY, f64::min)
}
