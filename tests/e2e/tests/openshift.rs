//! The chart's objects for OpenShift, held against OpenShift's own API: no OpenShift runs in these tests, so what its API
//! server would refuse has to be refused here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![allow(dead_code, reason = "fields are here to be decoded")]

use std::path::PathBuf;

use k8s_openapi::api::core::v1::SELinuxOptions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meshward_e2e::Manifest;
use serde::Deserialize;
use serde_json::{Value, json};

/// `security.openshift.io/v1`, as the type's own schema has it (openshift/api, security/v1): what is not optional here
/// is required there, and no other field exists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecurityContextConstraints {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    allow_host_dir_volume_plugin: bool,
    #[serde(rename = "allowHostIPC")]
    allow_host_ipc: bool,
    allow_host_network: bool,
    #[serde(rename = "allowHostPID")]
    allow_host_pid: bool,
    allow_host_ports: bool,
    allow_privilege_escalation: Option<bool>,
    allow_privileged_container: bool,
    allowed_capabilities: Vec<String>,
    allowed_flex_volumes: Option<Vec<Value>>,
    allowed_unsafe_sysctls: Option<Vec<String>>,
    default_add_capabilities: Vec<String>,
    default_allow_privilege_escalation: Option<bool>,
    forbidden_sysctls: Option<Vec<String>>,
    fs_group: Strategy,
    groups: Option<Vec<String>>,
    priority: i32,
    read_only_root_filesystem: bool,
    required_drop_capabilities: Vec<String>,
    run_as_user: RunAsUser,
    se_linux_context: SeLinux,
    seccomp_profiles: Vec<String>,
    supplemental_groups: Strategy,
    users: Option<Vec<String>>,
    volumes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strategy {
    r#type: Range,
    ranges: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
enum Range {
    MustRunAs,
    RunAsAny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunAsUser {
    r#type: User,
    uid: Option<i64>,
    uid_range_min: Option<i64>,
    uid_range_max: Option<i64>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
enum User {
    MustRunAs,
    MustRunAsRange,
    MustRunAsNonRoot,
    RunAsAny,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SeLinux {
    r#type: Range,
    se_linux_options: Option<SELinuxOptions>,
}

/// Kinds of volumes that a pod may name (`FSType`).
const VOLUMES: [&str; 8] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "hostPath",
    "persistentVolumeClaim",
    "projected",
    "secret",
    "ephemeral",
];

fn objects(name: &str) -> Vec<Value> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../charts/meshward/golden/{name}.yaml"));
    Manifest::parse(&std::fs::read_to_string(path).unwrap()).unwrap().objects().to_vec()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn constraints(objects: &[Value]) -> SecurityContextConstraints {
    let object = of_kind(objects, "SecurityContextConstraints");
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"))
}

#[test]
fn the_constraints_are_valid() {
    for name in ["openshift", "everything"] {
        let found = constraints(&objects(name));
        assert_eq!(found.api_version, "security.openshift.io/v1");
        assert!(found.metadata.name.is_some() && found.metadata.namespace.is_none(), "{name}");
        // The API refuses what is allowed and has to be dropped at once, and a strategy without what it needs.
        for capability in &found.allowed_capabilities {
            assert!(!found.required_drop_capabilities.contains(capability), "{name}: {capability}");
        }
        assert!(found.run_as_user.r#type != User::MustRunAs || found.run_as_user.uid.is_some());
        let options = found.se_linux_context.se_linux_options;
        assert!(matches!(found.se_linux_context.r#type, Range::RunAsAny) || options.is_some());
        for volume in &found.volumes {
            assert!(VOLUMES.contains(&volume.as_str()), "{name}: {volume}");
        }
        assert_eq!(found.volumes.iter().any(|kind| kind == "hostPath"), found.allow_host_dir_volume_plugin);
    }
}

/// What OpenShift's admission asks of the agent's pod under these constraints, field by field.
#[test]
fn the_agent_is_admitted_under_its_constraints_and_no_others_are_used() {
    for name in ["openshift", "everything"] {
        let objects = objects(name);
        let found = constraints(&objects);
        let template = &of_kind(&objects, "DaemonSet")["spec"]["template"];
        let required = &template["metadata"]["annotations"]["openshift.io/required-scc"];
        assert_eq!(required.as_str(), found.metadata.name.as_deref(), "{name}");
        let context = &template["spec"]["containers"][0]["securityContext"];
        assert_eq!(context["runAsUser"].as_i64(), found.run_as_user.uid, "{name}");
        assert_eq!(context["readOnlyRootFilesystem"], found.read_only_root_filesystem, "{name}");
        assert_eq!(context["privileged"], found.allow_privileged_container, "{name}");
        assert_eq!(
            Some(context["allowPrivilegeEscalation"].as_bool()),
            Some(found.allow_privilege_escalation)
        );
        assert_eq!(context["capabilities"]["add"], json!(found.allowed_capabilities), "{name}");
        assert_eq!(context["capabilities"]["drop"], json!(found.required_drop_capabilities), "{name}");
        let seccomp = &template["spec"]["securityContext"]["seccompProfile"]["type"];
        assert_eq!(
            (seccomp, found.seccomp_profiles),
            (&json!("RuntimeDefault"), vec!["runtime/default".into()])
        );
        // Nobody gets them by a group, and nobody but the agent's account by a role.
        assert_eq!((found.users, found.groups), (Some(vec![]), Some(vec![])), "{name}");
        let uses = |role: &&Value| {
            role["kind"] == "ClusterRole"
                && role["rules"].as_array().unwrap().iter().any(|rule| {
                    rule["verbs"] == json!(["use"]) && rule["resourceNames"] == json!([found.metadata.name])
                })
        };
        let roles: Vec<&Value> = objects.iter().filter(uses).map(|role| &role["metadata"]["name"]).collect();
        assert_eq!(roles.len(), 1, "{name}");
        let bound = objects.iter().filter(|one| one["kind"] == "ClusterRoleBinding");
        let bound: Vec<&Value> = bound.filter(|one| &one["roleRef"]["name"] == roles[0]).collect();
        assert_eq!(bound.len(), 1, "{name}");
        let subjects = &bound[0]["subjects"];
        assert_eq!(subjects.as_array().map(Vec::len), Some(1), "{name}");
        assert_eq!(subjects[0]["name"], template["spec"]["serviceAccountName"], "{name}");
    }
}
