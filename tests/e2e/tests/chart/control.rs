//! The controller's part.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use meshward_control::settings::Settings;
use meshward_control::status::ExemptionStatus;
use meshward_policy::pss::{Level, LevelVersion, Pod, evaluate};
use serde_json::{Value, json};

use super::{chart, objects, of_component, of_kind, read};

/// The renderings with a controller.
const WITH: [&str; 3] = ["default", "openshift", "everything"];

fn deployment(name: &str) -> Value {
    of_kind(&of_component(name, "control"), "Deployment").clone()
}

/// The Job that runs before the release goes uses what the controller uses, and has an end.
#[test]
fn uninstalling_has_an_end() {
    for name in WITH {
        let all = objects(name);
        let job = of_kind(&all, "Job");
        assert_eq!(job["metadata"]["annotations"]["helm.sh/hook"], "pre-delete", "{name}");
        assert!(job["spec"]["activeDeadlineSeconds"].as_u64().unwrap() < 300, "{name}: helm gives up first");
        let (job, control) =
            (&job["spec"]["template"]["spec"], &deployment(name)["spec"]["template"]["spec"]);
        assert_eq!(job["containers"][0]["args"], json!(["uninstall"]), "{name}");
        for field in ["image", "securityContext"] {
            assert_eq!(job["containers"][0][field], control["containers"][0][field], "{name}: {field}");
        }
        let variables = |of: &Value| -> BTreeMap<String, String> {
            let list = of["containers"][0]["env"].as_array().unwrap();
            list.iter().map(|one| (one["name"].to_string(), one["value"].to_string())).collect()
        };
        for (variable, value) in variables(job) {
            assert_eq!(variables(control).get(&variable), Some(&value), "{name}: {variable}");
        }
        assert_eq!(job["serviceAccountName"], control["serviceAccountName"], "{name}");
        // It must not answer for the controller.
        let service = of_kind(&all, "Service");
        let selector = service["spec"]["selector"].as_object().unwrap();
        let labels = &of_kind(&all, "Job")["spec"]["template"]["metadata"]["labels"];
        assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{name}");
    }
}

/// What the controller's container is told, by variable.
fn environment(name: &str) -> BTreeMap<String, String> {
    let deployment = deployment(name);
    let list = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
    list.iter()
        .map(|variable| {
            let text = |key: &str| variable[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("value"))
        })
        .collect()
}

/// The names of the settings with their variables and defaults.
fn settings() -> Vec<(String, String, Option<String>)> {
    let command = Settings::command();
    let of = |argument: &clap::Arg| {
        let default: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let variable = argument.get_env()?.to_string_lossy().into_owned();
        let flag = matches!(argument.get_action(), clap::ArgAction::SetTrue);
        let default = if flag { Some("false".to_owned()) } else { Some(default.join(",")) };
        Some((argument.get_long()?.to_owned(), variable, default))
    };
    command.get_arguments().filter_map(of).collect()
}

#[test]
fn nothing_of_the_controller_is_left_when_it_is_off() {
    for name in ["agent", "cni"] {
        assert!(of_component(name, "control").is_empty(), "{name}");
        assert!(!objects(name).is_empty(), "{name}");
    }
}

#[test]
fn the_controller_passes_restricted() {
    let restricted = LevelVersion::latest(Level::Restricted);
    for name in WITH {
        for object in objects(name).iter().filter(|object| object["kind"] != "DaemonSet") {
            let template = &object["spec"]["template"];
            // The host's network is what the value asks for; all the rest has to hold there too.
            if template.is_null() || template["spec"]["hostNetwork"] == true {
                continue;
            }
            let found = evaluate(restricted.level, restricted.version, &Pod::new(template));
            let wrong: Vec<_> = found.iter().filter(|result| !result.allowed()).map(|r| r.text()).collect();
            assert!(wrong.is_empty(), "{name}: {wrong:?}");
            let context = &template["spec"]["containers"][0]["securityContext"];
            assert_eq!(context["readOnlyRootFilesystem"], true, "{name}");
        }
    }
}

/// A setting of the controller that the chart does not know could not be set, and another default would surprise.
#[test]
fn every_setting_of_the_controller_is_a_value_with_its_default() {
    let values = read("values.yaml");
    let config = values.objects()[0]["controller"]["config"].as_object().unwrap().clone();
    let settings = settings();
    for (name, variable, default) in &settings {
        assert_eq!(variable, &format!("MESHWARD_{}", name.to_uppercase().replace('-', "_")));
        if SHAPED.contains(&name.as_str()) {
            assert!(!config.contains_key(name), "{name} is made of other values");
            continue;
        }
        let value = config.get(name).unwrap_or_else(|| panic!("controller.config.{name} is missing"));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // The log of a pod is read by programs first.
        let default = if name == "log-format" { Some("json".to_owned()) } else { default.clone() };
        assert_eq!(Some(value), default, "controller.config.{name}");
    }
    for name in config.keys() {
        assert!(settings.iter().any(|(known, ..)| known == name), "controller.config.{name} is no setting");
    }
}

/// Settings that the chart makes from other values, or leaves as they are.
const SHAPED: &[&str] = &[
    "kubeconfig",
    "namespace",
    "pod-name",
    "service-name",
    "service-port",
    "cluster-role",
    "listen",
    "admin-listen",
    "tls-cert",
    "tls-key",
    "ca-file",
    "pod-security-config",
];

/// Whatever is rendered is a setting, and takes the value.
#[test]
fn the_controller_takes_the_rendered_environment() {
    for name in WITH {
        let known = settings();
        let mut arguments = vec!["meshward-control".to_owned()];
        for (variable, value) in environment(name) {
            if variable == "RUST_BACKTRACE" || value.is_empty() {
                continue;
            }
            let setting = known.iter().find(|(_, of, _)| *of == variable);
            let (long, _, default) = setting.unwrap_or_else(|| panic!("{name}: {variable} is no setting"));
            match (default.as_deref(), value.as_str()) {
                (Some("false"), "true") => arguments.push(format!("--{long}")),
                (Some("false"), _) => assert_eq!(value, "false", "{name}: {variable}"),
                _ => arguments.push(format!("--{long}={value}")),
            }
        }
        let settings = Settings::try_parse_from(arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
        let pod = &deployment(name)["spec"]["template"]["spec"];
        let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
        assert!(grace > ending(&settings), "{name}: killed before it has ended");
        let ports = &pod["containers"][0]["ports"];
        assert_eq!(ports[0]["containerPort"], settings.listen.listen.port(), "{name}");
        assert_eq!(ports[1]["containerPort"], settings.listen.admin_listen.port(), "{name}");
    }
}

/// How long it takes to end, at most.
fn ending(settings: &Settings) -> Duration {
    settings.drain_delay + settings.shutdown_timeout
}

#[test]
fn the_service_leads_to_the_webhooks() {
    for name in WITH {
        let objects = of_component(name, "control");
        let service = of_kind(&objects, "Service");
        let pod = &deployment(name)["spec"]["template"];
        for (key, value) in service["spec"]["selector"].as_object().unwrap() {
            assert_eq!(pod["metadata"]["labels"][key], *value, "{name}: {key}");
        }
        assert_eq!(
            service["spec"]["ports"][0]["targetPort"],
            pod["spec"]["containers"][0]["ports"][0]["name"]
        );
        assert_eq!(
            Some(service["metadata"]["name"].as_str().unwrap()),
            environment(name).get("MESHWARD_SERVICE_NAME").map(String::as_str)
        );
    }
}

/// Whoever takes the controller over must not have the cluster with it: nothing but what it writes can be written, and
/// where the API allows it, by name only.
#[test]
fn the_controller_writes_nothing_but_its_own() {
    let writes = |rule: &Value| {
        let verbs = rule["verbs"].as_array().unwrap();
        verbs.iter().any(|verb| !matches!(verb.as_str().unwrap(), "get" | "list" | "watch"))
    };
    let objects = of_component("default", "control");
    for rule in
        of_kind(&objects, "ClusterRole")["rules"].as_array().unwrap().iter().filter(|rule| writes(rule))
    {
        for resource in rule["resources"].as_array().unwrap() {
            let resource = resource.as_str().unwrap();
            let only_made = rule["verbs"] == json!(["create"]) || rule["verbs"] == json!(["create", "patch"]);
            let fine = resource.ends_with("/status")
                || resource.ends_with("reports")
                || (resource == "events" && only_made)
                || (resource.ends_with("webhookconfigurations")
                    && (rule["resourceNames"].is_array()
                        || rule["verbs"] == json!(["create", "list", "watch"])));
            assert!(fine, "{rule}");
        }
    }
    for rule in of_kind(&objects, "Role")["rules"].as_array().unwrap() {
        assert!(rule["resourceNames"].is_array() || rule["verbs"] == json!(["create"]), "{rule}");
    }
    let all = of_kind(&objects, "ClusterRole").to_string() + &of_kind(&objects, "Role").to_string();
    assert!(!all.contains("\"*\""), "a wildcard");
}

/// What the controller writes into a status must be defined: the API server drops what is not.
#[test]
fn the_status_that_is_written_is_defined() {
    let some = || Some(vec![String::new()]);
    let written = serde_json::to_value(ExemptionStatus {
        pods_saved: Some(1),
        last_used: Some(String::new()),
        no_longer_needed: some(),
        over_broad: some(),
        ..ExemptionStatus::default()
    })
    .unwrap();
    for definition in meshward_definitions::all() {
        if definition.set != meshward_definitions::Set::Meshward {
            continue;
        }
        let schema = &definition.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let defined = schema["properties"]["status"]["properties"].as_object().unwrap();
        for field in written.as_object().unwrap().keys() {
            assert!(defined.contains_key(field), "{}: status.{field} is not defined", definition.name());
        }
        for field in defined.keys() {
            assert!(written.get(field).is_some(), "{}: status.{field} is never written", definition.name());
        }
    }
}

/// The rendered definitions are those that are written from the types.
#[test]
fn definitions_are_rendered_as_they_are() {
    let rendered = [objects("definitions"), objects("openreports")].concat();
    for definition in meshward_definitions::all() {
        let object = rendered.iter().find(|object| object["metadata"]["name"] == definition.name()).unwrap();
        assert_eq!(object["spec"], definition.object["spec"], "{}", definition.name());
        let keep = object["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep";
        assert_eq!(keep, definition.set == meshward_definitions::Set::Meshward, "{}", definition.name());
        assert!(chart().join("definitions").join(definition.path()).exists());
    }
    assert_eq!(rendered.len(), meshward_definitions::all().len());
}
