//! The agent's part.

use std::path::PathBuf;

use meshward_node::settings::{SETTINGS, Sources};
use serde_json::{Value, json};

use super::{chart, of_component, of_kind, read};

#[test]
fn the_agent_has_two_capabilities_and_no_host_namespace() {
    for name in ["default", "openshift", "cni"] {
        let objects = of_component(name, "node");
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
    let objects = of_component("default", "node");
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
        let objects = of_component(name, "node");
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
    let mounts =
        |name: &str| of_kind(&of_component(name, "node"), "DaemonSet").to_string().contains("cni-bin");
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
        let objects = of_component(name, "node");
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
