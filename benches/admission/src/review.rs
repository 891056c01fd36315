//! What is sent: a pod as an AdmissionReview, of the size that pods of a mesh have, and the policies that judge it.

use hyper::body::Bytes;
use serde_json::{Value, json};

// The policies and pods of the other benches, so that figures can be held side by side.
#[allow(dead_code)]
#[path = "../../src/measure/policy/library.rs"]
mod library;

/// Bytes of the review.
const SIZE: usize = 8_500;

/// A set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// One rule `podSecurity` with an exclusion.
    PodSecurity,
    /// One policy a control.
    Eighteen,
    /// Most of them twice and more.
    Fifty,
}

impl Set {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PodSecurity => "one podSecurity policy",
            Self::Eighteen => "18 policies, one a control",
            Self::Fifty => "50 policies",
        }
    }

    /// The policies, in force on requests.
    pub(crate) fn policies(self) -> Vec<Value> {
        let policies = match self {
            Self::PodSecurity => vec![library::pod_security(true)],
            Self::Eighteen => library::eighteen(),
            Self::Fifty => library::fifty(),
        };
        policies.into_iter().map(enforced).collect()
    }
}

/// A pod as it is created ten thousand times: named by the API server, and nobody's to schedule.
pub(crate) fn one_of_many(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"] = json!({"generateName": "many-"});
    pod["spec"]["schedulerName"] = "nobody".into();
    pod
}

/// The policies of a set, about what is there already.
pub(crate) fn scanned(set: Set) -> Vec<Value> {
    let mut policies = set.policies();
    for policy in &mut policies {
        policy["spec"]["validationFailureAction"] = "Audit".into();
    }
    policies
}

/// So many policies about pods: what they cost in memory.
pub(crate) fn many(count: usize) -> Vec<Value> {
    let eighteen = library::eighteen();
    let copies = (0..count).map(|number| {
        let mut policy = enforced(eighteen[number % eighteen.len()].clone());
        policy["metadata"]["name"] = format!("many-{number}").into();
        policy
    });
    copies.collect()
}

fn enforced(mut policy: Value) -> Value {
    policy["spec"]["validationFailureAction"] = "Enforce".into();
    policy
}

/// A pod that every one of them lets through, so that every rule is evaluated to its end.
pub(crate) fn pod() -> Value {
    let mut environment = Vec::new();
    loop {
        let pod = with_environment(&environment);
        if review(&pod, false).len() >= SIZE {
            return pod;
        }
        environment.push(json!({"name": format!("KEY_{}", environment.len()), "value": "x".repeat(50)}));
    }
}

fn with_environment(environment: &[Value]) -> Value {
    let security = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1337, "privileged": false,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let container = |name: &str| {
        json!({
            "name": name, "image": format!("registry.example/{name}:1.2.3"), "env": environment,
            "ports": [{"containerPort": 8080}], "securityContext": security,
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "measured", "namespace": "default"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "nodeSelector": {"bench.meshward.dev/nowhere": "true"},
            "initContainers": [container("prepare")],
            "containers": [container("proxy"), container("app")],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// The pod as the API server sends it, with the unique name that it has then: without one Kyverno writes no report. Of a
/// real request both tell what they found in reports and Events, of a dry run neither does.
pub(crate) fn review(pod: &Value, dry_run: bool) -> Bytes {
    let mut pod = pod.clone();
    pod["metadata"]["uid"] = "6e1d2c0a-8a3f-4f5b-9c61-0b7f4f0f6a11".into();
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": "measured", "namespace": "default", "operation": "CREATE",
            "userInfo": {"username": "rig-admin", "groups": ["system:masters", "system:authenticated"]},
            "object": pod, "oldObject": null, "dryRun": dry_run,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    });
    Bytes::from(review.to_string())
}
