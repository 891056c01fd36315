//! Every preset allows exactly the container that its mesh's injector writes, and nothing that is nearly it.

use crate::table::documents;
use meshward_policy::exemption::{Exemption, Trait, Who, apply, near_misses};
use meshward_policy::go::time::Moment;
use meshward_policy::image::normalise;
use meshward_policy::pss::{CheckResult, Container, Finding, Level, Pod, Version, evaluate, extract};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::{Path, PathBuf};

const NOW: Moment = Moment { seconds: 1_760_000_000, nanoseconds: 0, offset: 0 };

/// The preset for a container as injectors name it.
fn preset_of(container: &Container<'_>) -> Option<&'static str> {
    let has_command = container.object.is_some_and(|object| object.contains_key("command"));
    let adds =
        container.object.and_then(|object| object.get("securityContext")?.pointer("/capabilities/add"));
    match container.name {
        "istio-init" => Some("istio-init"),
        "istio-validation" => Some("istio-validation"),
        "istio-proxy" if adds.is_some() => Some("istio-proxy-tproxy"),
        "linkerd-init" if has_command => Some("linkerd-init"),
        "linkerd-init" => Some("linkerd-init-separate"),
        "kuma-init" => Some("kuma-init"),
        _ => None,
    }
}

/// The preset for the repository that an image is of.
fn exemption(preset: &str, image: &str) -> Exemption {
    let slash = image.rfind('/').map_or(0, |slash| slash + 1);
    let name = image[slash..].split(':').next().unwrap_or_default();
    let repository = format!("{}{name}", &image[..slash]);
    let document = json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "MeshPreset", "metadata": {"name": preset},
        "spec": {"preset": preset, "images": [repository], "reason": "test", "subjects": {"namespaces": ["shop"]}},
    });
    Exemption::parse(&document).unwrap_or_else(|errors| panic!("{preset} for {image}: {errors:?}"))
}

/// The findings at restricted about containers of a name, after an exemption.
fn left(object: &Value, name: &str, exemption: &Exemption, told: &mut BTreeSet<Trait>) -> Vec<String> {
    let pod = extract(object).unwrap().unwrap();
    let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
    let who = Who::of(&pod, "shop");
    let exemptions = std::slice::from_ref(exemption);
    let removed = apply(&mut results, &pod, &who, exemptions, NOW);
    assert!(removed.iter().all(|removed| removed.finding.container().is_some_and(|c| c.name == name)));
    let mut left = Vec::new();
    let of_container =
        |finding: &&Finding<'_>| finding.container().is_some_and(|container| container.name == name);
    for CheckResult { check, findings, .. } in &results {
        for finding in findings.iter().filter(of_container) {
            left.push(format!("{} {} {}", check.id, finding.path(), finding.value_text()));
            for near in near_misses(check, finding, &pod, &who, exemptions, NOW) {
                told.extend(near.misses.iter().map(|miss| miss.part));
            }
        }
    }
    left
}

fn container<'v>(object: &'v mut Value, base: &str, list: &str, index: usize) -> &'v mut Value {
    object.pointer_mut(&format!("{base}/spec/{list}/{index}")).unwrap()
}

fn push(container: &mut Value, list: &str, element: Value) {
    let mut elements = container[list].as_array().cloned().unwrap_or_default();
    elements.push(element);
    container[list] = Value::Array(elements);
}

/// Changes to the container, each with the part of the preset that it breaks.
fn near(object: &Value, base: &str, list: &str, index: usize) -> Vec<(&'static str, Value, Option<Trait>)> {
    let mut changed = Vec::new();
    let mut change = |name, part, edit: &dyn Fn(&mut Value)| {
        let mut object = object.clone();
        edit(container(&mut object, base, list, index));
        changed.push((name, object, part));
    };
    let security = |field: &'static str, value: Value| {
        move |container: &mut Value| container["securityContext"][field] = value.clone()
    };
    change("another image", Some(Trait::Image), &|c| c["image"] = json!("evil.example/istio/proxyv2:1"));
    change("a longer image", Some(Trait::Image), &|c| {
        c["image"] = json!(format!("evil.example/{}", c["image"].as_str().unwrap()));
    });
    change("another name", Some(Trait::ContainerName), &|c| c["name"] = json!("istio-init-2"));
    change("another command", Some(Trait::Command), &|c| c["command"] = json!(["/bin/sh", "-c", "id"]));
    change("a library of one's own", Some(Trait::Env), &|c| {
        push(c, "env", json!({"name": "LD_PRELOAD", "value": "/tmp/x"}))
    });
    change("variables from elsewhere", Some(Trait::Env), &|c| {
        push(c, "envFrom", json!({"configMapRef": {"name": "x"}}))
    });
    change("a file of one's own", Some(Trait::Mounts), &|c| {
        push(c, "volumeMounts", json!({"name": "x", "mountPath": "/usr/local/bin"}));
    });
    change("a device", Some(Trait::Mounts), &|c| {
        push(c, "volumeDevices", json!({"name": "x", "devicePath": "/dev/x"}))
    });
    change("a hook", Some(Trait::Hooks), &|c| {
        c["lifecycle"]["postStart"] = json!({"exec": {"command": ["pilot-agent", "wait; id"]}});
    });
    change("a probe that runs", Some(Trait::Hooks), &|c| {
        c["livenessProbe"] = json!({"exec": {"command": ["id"]}})
    });
    change("privileged", None, &security("privileged", json!(true)));
    change("another field", None, &security("procMount", json!("Unmasked")));
    change("one more capability", Some(Trait::Value), &|c| {
        let add = c["securityContext"]["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        c["securityContext"]["capabilities"]["add"] = add.into_iter().chain([json!("SYS_ADMIN")]).collect();
    });
    let restarted = container(&mut object.clone(), base, list, index).get("restartPolicy").is_some();
    change("another life", Some(Trait::ContainerKind), &|c| {
        c["restartPolicy"] = if restarted { Value::Null } else { json!("Always") };
    });
    let mut moved = object.clone();
    let copy = container(&mut moved, base, list, index).take();
    moved.pointer_mut(&format!("{base}/spec/{list}")).unwrap().as_array_mut().unwrap().remove(index);
    let other = "ephemeralContainers";
    let spec = moved.pointer_mut(&format!("{base}/spec")).unwrap();
    if spec[other].is_null() {
        spec[other] = json!([]);
    }
    spec[other].as_array_mut().unwrap().push(copy);
    changed.push(("in another list", moved, None));
    changed
}

fn check(object: &Value, shown: &mut BTreeMap<&'static str, usize>) {
    let Ok(Some(pod)) = extract(object) else { return };
    let base = pod.base();
    for found in pod.containers() {
        let Some(preset) = preset_of(found) else { continue };
        // One suite has a name with capitals, which no container runtime accepts.
        if normalise(found.image()).is_none() {
            continue;
        }
        let exemption = exemption(preset, found.image());
        let name = found.name;
        assert_eq!(
            left(object, name, &exemption, &mut BTreeSet::new()),
            Vec::<String>::new(),
            "{preset}: {name}"
        );
        let (list, index) = (found.kind.list(), found.index);
        for (what, changed, part) in near(object, base, list, index) {
            let other = if what == "another name" { "istio-init-2" } else { name };
            // What the validation container needs is so little that a change of place can take the need away.
            let mut told = BTreeSet::new();
            let left = left(&changed, other, &exemption, &mut told);
            assert!(!left.is_empty(), "{preset}: {what} passes");
            let about_control = part.is_none_or(|part| told.contains(&part) || preset == "istio-validation");
            assert!(about_control, "{preset}: {what} is not told: {told:?}");
        }
        *shown.entry(preset).or_default() += 1;
    }
}

fn objects(document: &Value, found: &mut Vec<Value>) {
    match document.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().for_each(|item| objects(item, found)),
        None => found.push(document.clone()),
    }
}

#[test]
fn allow_exactly_what_injectors_write() {
    let root = match env::var_os("MESHWARD_SUITES") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
    };
    let pods = root.join("pods");
    if !pods.is_dir() {
        println!("skipped: no suites at {}", root.display());
        return;
    }
    let mut shown = BTreeMap::new();
    for mesh in ["istio", "kuma", "linkerd"] {
        let files = std::fs::read_dir(pods.join(mesh)).unwrap().map(|entry| entry.unwrap().path());
        for file in files {
            let mut found = Vec::new();
            documents(&file).iter().for_each(|document| objects(document, &mut found));
            for object in &found {
                check(object, &mut shown);
            }
        }
    }
    println!("containers by preset: {shown:?}");
    let expected = [
        "istio-init",
        "istio-proxy-tproxy",
        "istio-validation",
        "kuma-init",
        "linkerd-init",
        "linkerd-init-separate",
    ];
    assert_eq!(shown.keys().copied().collect::<Vec<_>>(), expected);
}

/// A container in the shape of a preset that no suite shows, from what its source writes.
#[test]
fn allow_the_shapes_that_no_suite_shows() {
    let script = "consul-k8s-control-plane connect-init -pod-name=${POD_NAME} -pod-namespace=${POD_NAMESPACE} \\\n  \
                  -log-level=info \\\n  -log-json=false \\\n";
    let consul = |privileged: bool| {
        json!({
            "name": "consul-connect-inject-init", "image": "hashicorp/consul-k8s-control-plane:1.9.0",
            "command": ["/bin/sh", "-ec", script],
            "securityContext": {
                "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "privileged": privileged,
                "capabilities": {"add": ["NET_ADMIN"]},
            },
        })
    };
    let linkerd = |privileged: bool| {
        json!({
            "name": "linkerd-init", "image": "cr.l5d.io/linkerd/proxy:edge-26.1.1",
            "command": ["/usr/lib/linkerd/linkerd2-proxy-init"], "args": ["--incoming-proxy-port", "4143"],
            "securityContext": {
                "allowPrivilegeEscalation": privileged, "privileged": privileged, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]},
                "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "seccompProfile": {"type": "RuntimeDefault"},
            },
        })
    };
    let istio = json!({
        "name": "istio-init", "image": "docker.io/istio/proxyv2:1.29.0",
        "args": ["istio-iptables", "-p", "15001", "--native-nftables"],
        "securityContext": {
            "allowPrivilegeEscalation": true, "privileged": true, "runAsUser": 0, "runAsNonRoot": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
        },
    });
    let mut injected = consul(false);
    injected["command"][2] = json!(format!("{script}; id"));
    let cases = [
        ("consul-connect-inject-init", consul(false), true),
        ("consul-connect-inject-init", consul(true), false),
        ("consul-connect-inject-init", injected, false),
        ("consul-connect-inject-init-privileged", consul(true), true),
        ("linkerd-init-root", linkerd(false), true),
        ("linkerd-init-root", linkerd(true), false),
        ("linkerd-init", linkerd(false), false),
        ("linkerd-init-privileged", linkerd(true), true),
        ("istio-init", istio.clone(), false),
        ("istio-init-privileged", istio, true),
    ];
    for (preset, container, allowed) in cases {
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"initContainers": [container]}});
        let name = container["name"].as_str().unwrap();
        let exemption = exemption(preset, container["image"].as_str().unwrap());
        let left = left(&object, name, &exemption, &mut BTreeSet::new());
        assert_eq!(left.is_empty(), allowed, "{preset}: {left:?}");
        let pod = Pod::new(&object);
        assert_eq!(pod.service_account(), "default");
    }
}
