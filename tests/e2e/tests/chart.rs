//! What the chart's kept renderings mean, read as the API server reads them. That the chart still renders them is checked
//! by `cargo xtask chart`, which has helm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use meshward_e2e::Manifest;
use meshward_node::settings::{SETTINGS, Sources};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts/meshward")
}

fn read(path: &str) -> Manifest {
    Manifest::parse(&std::fs::read_to_string(chart().join(path)).unwrap()).unwrap()
}

fn objects(name: &str) -> Vec<Value> {
    read(&format!("golden/{name}.yaml")).objects().to_vec()
}

fn all() -> Vec<Value> {
    ["default", "openshift", "cni", "everything"].iter().flat_map(|name| objects(name)).collect()
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
    for object in all() {
        match object["kind"].as_str().unwrap() {
            "ServiceAccount" => survives::<ServiceAccount>(&object),
            "ConfigMap" => survives::<ConfigMap>(&object),
            "ClusterRole" => survives::<ClusterRole>(&object),
            "ClusterRoleBinding" => survives::<ClusterRoleBinding>(&object),
            "DaemonSet" => survives::<DaemonSet>(&object),
            "NetworkPolicy" => survives::<NetworkPolicy>(&object),
            // Of other projects.
            "PodMonitor" | "SecurityContextConstraints" => {}
            other => panic!("a {other} in the chart, and no type to read it with"),
        }
    }
}

#[test]
fn the_agent_has_two_capabilities_and_no_host_namespace() {
    for name in ["default", "openshift", "cni"] {
        let objects = objects(name);
        let spec = &of_kind(&objects, "DaemonSet")["spec"]["template"]["spec"];
        for field in ["hostPID", "hostNetwork", "hostIPC"] {
            assert_eq!(spec[field], Value::Null, "{name} {field}");
        }
        let context = &spec["containers"][0]["securityContext"];
        assert_eq!(
            context["capabilities"],
            json!({"add": ["NET_ADMIN", "SYS_ADMIN"], "drop": ["ALL"]}),
            "{name}"
        );
        assert_eq!(context["privileged"], false, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
    }
}

#[test]
fn the_agent_may_only_patch_the_status_of_pods() {
    let objects = objects("default");
    for rule in of_kind(&objects, "ClusterRole")["rules"].as_array().unwrap() {
        let writes = rule["verbs"]
            .as_array()
            .unwrap()
            .iter()
            .any(|verb| !matches!(verb.as_str().unwrap(), "get" | "list" | "watch"));
        let resources = &rule["resources"];
        assert!(!writes || resources == &json!(["pods/status"]) || resources == &json!(["events"]), "{rule}");
    }
}

/// The SCC allows what the DaemonSet asks for, and nothing else.
#[test]
fn the_scc_is_no_wider_than_the_daemonset() {
    for name in ["openshift", "everything"] {
        let objects = objects(name);
        let spec = &of_kind(&objects, "DaemonSet")["spec"]["template"]["spec"];
        let scc = of_kind(&objects, "SecurityContextConstraints");
        assert_eq!(
            scc["allowedCapabilities"],
            spec["containers"][0]["securityContext"]["capabilities"]["add"]
        );
        assert_eq!(scc["allowHostPID"].as_bool(), Some(spec["hostPID"] == true), "{name}");
        for field in [
            "allowPrivilegedContainer",
            "allowHostNetwork",
            "allowHostIPC",
            "allowHostPorts",
            "allowPrivilegeEscalation",
        ] {
            assert_eq!(scc[field], false, "{name} {field}");
        }
        let volumes =
            spec["volumes"].as_array().unwrap().iter().flat_map(|volume| volume.as_object().unwrap().keys());
        for kind in volumes.filter(|key| *key != "name") {
            assert!(scc["volumes"].as_array().unwrap().contains(&json!(kind)), "{name} {kind}");
        }
    }
}

/// The node's CNI folders are nobody's business unless the plugin is asked for.
#[test]
fn cni_folders_are_mounted_in_cni_mode_only() {
    let mounts = |name: &str| of_kind(&objects(name), "DaemonSet").to_string().contains("cni-bin");
    assert!(!mounts("default"));
    assert!(mounts("cni"));
}

/// Settings that the chart makes from other values, or leaves as they are.
const SHAPED: [&str; 15] = [
    "node-name",
    "kubeconfig",
    "admin-address",
    "socket",
    "nri",
    "nri-socket",
    "cri-socket",
    "cni",
    "cni-conf-dir",
    "cni-bin-dir",
    "cni-socket",
    "proc",
    "proc-root",
    "taint",
    "taint-key",
];

/// A setting of the agent that the chart does not know could not be set, and another default would surprise.
#[test]
fn every_setting_of_the_agent_is_a_value_with_its_default() {
    let values = read("values.yaml");
    let config = &values.objects()[0]["config"];
    for setting in SETTINGS.iter().filter(|setting| !SHAPED.contains(&setting.name)) {
        let value =
            config[setting.name].as_str().unwrap_or_else(|| panic!("config.{} is missing", setting.name));
        // The log of a pod is read by programs first.
        let default = if setting.name == "log-format" { Some("json") } else { setting.default };
        assert_eq!(Some(value), default, "config.{}", setting.name);
    }
}

#[test]
fn the_agent_takes_the_rendered_configuration() {
    for name in ["default", "openshift", "cni", "everything"] {
        let objects = objects(name);
        let text = of_kind(&objects, "ConfigMap")["data"]["node.yaml"].as_str().unwrap();
        let sources = Sources {
            environment: [("NODE_NAME".into(), "worker".into())].into(),
            file: Some((PathBuf::from(name), text.into())),
            ..Sources::default()
        };
        sources.resolve().unwrap();
    }
}

/// What a change of needs no rollout is what the agent takes over by itself.
#[test]
fn the_checksum_leaves_out_what_is_reloadable() {
    let helpers = std::fs::read_to_string(chart().join("templates/_helpers.tpl")).unwrap();
    let line = helpers.lines().find(|line| line.contains("range list")).unwrap();
    let mut reloadable: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    let mut wanted: Vec<&str> =
        SETTINGS.iter().filter(|setting| setting.reloadable).map(|setting| setting.name).collect();
    reloadable.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(reloadable, wanted);
}

/// Every value has a default and a description, and nothing else is accepted.
#[test]
fn schema_and_values_agree() {
    let schema: Value =
        serde_json::from_slice(&std::fs::read(chart().join("values.schema.json")).unwrap()).unwrap();
    let values = read("values.yaml");
    agree(&schema, &values.objects()[0], "");
}

fn agree(schema: &Value, values: &Value, path: &str) {
    // A map with keys of the user's own.
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} takes what nobody knows");
    for (key, property) in properties {
        let path = format!("{path}.{key}");
        let is_own =
            ["updateStrategy", "resources", "probes"].iter().any(|of| path.starts_with(&format!(".{of}.")));
        if path == ".global" || is_own {
            continue;
        }
        assert!(property["description"].is_string(), "{path} is not described");
        assert!(!values[key].is_null(), "{path} has no default in values.yaml");
        agree(property, &values[key], &path);
    }
    for key in values.as_object().unwrap().keys() {
        assert!(properties.contains_key(key), "{path}.{key} is not in the schema");
    }
}
