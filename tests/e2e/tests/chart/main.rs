//! What the chart's kept renderings mean, read as the API server reads them. That the chart still renders them is checked
//! by `cargo xtask chart`, which has helm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod agent;
mod control;
mod values;

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use meshward_e2e::Manifest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts/meshward")
}

fn read(path: &str) -> Manifest {
    Manifest::parse(&std::fs::read_to_string(chart().join(path)).unwrap()).unwrap()
}

fn objects(name: &str) -> Vec<Value> {
    read(&format!("golden/{name}.yaml")).objects().to_vec()
}

/// Every kept rendering.
const ALL: [&str; 7] = ["default", "agent", "openshift", "cni", "everything", "definitions", "openreports"];

/// The objects of one part of the product: `node` or `control`.
fn of_component(name: &str, component: &str) -> Vec<Value> {
    let mut objects = objects(name);
    objects.retain(|object| object["metadata"]["labels"]["app.kubernetes.io/component"] == component);
    objects
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// Decoded and written again, nothing may be lost: what is lost is a field that Kubernetes does not have.
fn survives<T: DeserializeOwned + Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    assert_subset(object, &serde_json::to_value(typed).unwrap(), "");
}

fn assert_subset(part: &Value, whole: &Value, path: &str) {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part {
                let there =
                    whole.get(key).unwrap_or_else(|| panic!("{path}/{key} is no field of Kubernetes"));
                assert_subset(value, there, &format!("{path}/{key}"));
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.len(), whole.len(), "{path}");
            for (index, (part, whole)) in part.iter().zip(whole).enumerate() {
                assert_subset(part, whole, &format!("{path}/{index}"));
            }
        }
        _ => assert_eq!(part, whole, "{path}"),
    }
}

#[test]
fn every_object_is_one_of_kubernetes() {
    for object in ALL.iter().flat_map(|name| objects(name)) {
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => survives::<ServiceAccount>(&object),
            "ConfigMap" => survives::<ConfigMap>(&object),
            "ClusterRole" => survives::<ClusterRole>(&object),
            "ClusterRoleBinding" => survives::<ClusterRoleBinding>(&object),
            "DaemonSet" => survives::<DaemonSet>(&object),
            "Deployment" => survives::<Deployment>(&object),
            "Job" => survives::<Job>(&object),
            "Service" => survives::<Service>(&object),
            "PodDisruptionBudget" => survives::<PodDisruptionBudget>(&object),
            "Role" => survives::<Role>(&object),
            "RoleBinding" => survives::<RoleBinding>(&object),
            "CustomResourceDefinition" => survives::<CustomResourceDefinition>(&object),
            "NetworkPolicy" => survives::<NetworkPolicy>(&object),
            // Of other projects.
            "PodMonitor" | "SecurityContextConstraints" | "Issuer" | "Certificate" => {}
            other => panic!("a {other} in the chart, and no type to read it with"),
        }
    }
}
