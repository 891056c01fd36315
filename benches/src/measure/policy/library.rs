//! Policies and pods of our own, in the style of the public library: one policy a control.

use serde_json::{Value, json};

/// A pod of some 10 KB that violates nothing but what its init container needs.
pub(super) fn large_pod() -> Value {
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

/// A policy with one rule about pods.
fn policy((name, rule): (&str, Value)) -> Value {
    let mut document = json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"background": true, "rules": [{"name": name, "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}}]},
    });
    if let (Some(target), Value::Object(rule)) = (document["spec"]["rules"][0].as_object_mut(), rule) {
        target.extend(rule);
    }
    document
}

/// A pattern for the same part of every container, and one for the pod.
fn everywhere(pod: Value, container: Value) -> Value {
    let mut spec = json!({"=(ephemeralContainers)": [container], "=(initContainers)": [container], "containers": [container]});
    if let (Some(spec), Value::Object(pod)) = (spec.as_object_mut(), pod) {
        spec.extend(pod);
    }
    json!({"validate": {"message": "This is not allowed here.", "pattern": {"spec": spec}}})
}

/// Policies for the seventeen controls.
pub(super) fn seventeen() -> Vec<Value> {
    let mut rules = expressions();
    rules.extend(patterns());
    rules.into_iter().map(policy).collect()
}

/// One more, as the library has it: seccomp asked for and not only allowed.
pub(super) fn eighteen() -> Vec<Value> {
    let wanted = json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault | Localhost"}}});
    let every = everywhere(json!({}), wanted.clone());
    let mut of_pod = every["validate"]["pattern"].clone();
    of_pod["spec"] = wanted;
    let strict =
        json!({"validate": {"message": "Say it.", "anyPattern": [of_pod, every["validate"]["pattern"]]}});
    let mut all = seventeen();
    all.push(policy(("seccomp-strict", strict)));
    all
}

/// Fifty, most of them again under another name.
pub(super) fn fifty() -> Vec<Value> {
    let seventeen = seventeen();
    let many = (0..50).map(|n| {
        let mut policy = seventeen[n % seventeen.len()].clone();
        policy["metadata"]["name"] = format!("policy-{n}").into();
        policy
    });
    many.collect()
}

/// A rule of the whole level, with or without the init container left out of one control.
pub(super) fn pod_security(excluded: bool) -> Value {
    let exclude = match excluded {
        true => json!([{"controlName": "Capabilities", "images": ["registry.example.com/istio-init:*"]}]),
        false => json!([]),
    };
    let rule = json!({"validate": {"podSecurity": {"level": "restricted", "version": "latest", "exclude": exclude}}});
    policy(("standard", rule))
}

/// The init container's preset.
pub(super) fn exemption() -> Value {
    json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "MeshPreset", "metadata": {"name": "istio-init"},
        "spec": {"preset": "istio-init", "images": ["registry.example.com/istio-init"], "reason": "r", "subjects": {"namespaces": ["*"]}},
    })
}

/// A file of small pods, 700 bytes each; every tenth violates what a careless pod does.
pub(super) fn pods(count: usize) -> String {
    let pod = |n: usize| {
        let careless = n.is_multiple_of(10);
        let security = match careless {
            true => "{privileged: true}",
            false => "{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}",
        };
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: web-{n}\n  namespace: shop-{}\n  labels:\n    \
             app.kubernetes.io/name: web\n    app.kubernetes.io/part-of: shop\n    app.kubernetes.io/instance: \
             web-{n}\n  annotations:\n    prometheus.io/scrape: \"true\"\nspec:\n  securityContext:\n    \
             seccompProfile:\n      type: RuntimeDefault\n  containers:\n    - name: app\n      image: \
             registry.example.com/shop/web:1.2.{n}\n      ports:\n        - containerPort: 8080\n      env:\n        \
             - name: MODE\n          value: production\n        - name: UPSTREAM\n          value: \
             http://api.shop.svc:8080\n      resources:\n        limits: {{cpu: 500m, memory: 128Mi}}\n      \
             securityContext: {security}\n  volumes:\n    - name: data\n      emptyDir: {{}}\n",
            n % 20
        )
    };
    (0..count).map(pod).collect()
}

/// Rules with variables and JMESPath.
fn expressions() -> Vec<(&'static str, Value)> {
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
    vec![("capabilities", added), ("drop-all", dropped), ("volume-types", volumes)]
}

/// Rules with a pattern.
fn patterns() -> Vec<(&'static str, Value)> {
    let security =
        |inner: Value| everywhere(json!({"=(securityContext)": inner}), json!({"=(securityContext)": inner}));
    let containers = |inner: Value| everywhere(json!({}), inner);
    let of_pod = |inner: Value| json!({"validate": {"message": "This is not allowed here.", "pattern": {"spec": inner}}});
    vec![
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
    ]
}
