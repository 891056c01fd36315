//! Pods before and after the swap, as a table, and over every manifest of the meshes' own injectors that is at hand.
//! Whatever was swapped: swapping again changes nothing, the patch leads to it, it asks for nothing that *restricted*
//! forbids, and it wants the rules that it wanted before.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};

use meshward_manifest::{Documents, Options};
use meshward_mesh::{
    Refusal, SwapError, SwapOptions, Swapped, SwappedPod, Unchanged, Validators, WAIT_CONTAINER, WaitExit,
    WaitUser, Wanted, patch, plan, pods, swap,
};
use serde_json::{Map, Value, json};

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read(path).unwrap();
    let documents = Documents::new(&text, Options::default());
    documents
        .map(|document| document.unwrap_or_else(|error| panic!("{}: {error}", path.display())).value)
        .collect()
}

/// The object with each of its templates swapped.
fn swapped_object(object: &Value, namespace: Option<&Value>, options: &SwapOptions) -> Value {
    let mut after = object.clone();
    for pod in pods(object) {
        if let Ok(Swapped::Changed(swapped)) = swap(&pod, namespace, options) {
            *after.pointer_mut(pod.pointer()).unwrap() = swapped.template;
        }
    }
    after
}

fn check_properties(name: &str, object: &Value, namespace: Option<&Value>, options: &SwapOptions) {
    let after = swapped_object(object, namespace, options);
    let operations: json_patch::Patch = serde_json::from_value(patch(object, &after).into()).unwrap();
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &operations).unwrap();
    assert_eq!(patched, after, "{name}: the patch");
    for (before, now) in pods(object).iter().zip(&pods(&after)) {
        let Ok(Swapped::Changed(_)) = swap(before, namespace, options) else { continue };
        let again = swap(now, namespace, options);
        assert!(
            matches!(again, Ok(Swapped::Unchanged(Unchanged::Already { .. }))),
            "{name}: again: {again:?}"
        );
        check_containers(name, now.spec(), &plan(now, namespace));
    }
}

/// Nothing of the mesh asks for root or capabilities.
fn check_containers(name: &str, spec: &Value, planned: &Result<Wanted, meshward_mesh::PlanError>) {
    let Ok(Wanted::Redirect(plan)) = planned else { panic!("{name}: {planned:?}") };
    let of_mesh = |container: &Value| {
        let name = container["name"].as_str().unwrap_or_default();
        let prefix = plan.mesh.name();
        name == WAIT_CONTAINER
            || name.starts_with(prefix)
            || plan.proxies.iter().any(|proxy| proxy.name == name)
    };
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| spec[list].as_array());
    let mut seen = 0;
    for container in lists.flatten().filter(|container| of_mesh(container)) {
        let context = &container["securityContext"];
        let added = context["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        assert!(added.iter().all(|one| one == "NET_BIND_SERVICE"), "{name}: {container}");
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{name}: {container}");
        assert_ne!(context["runAsUser"], json!(0), "{name}: {container}");
        assert_ne!(context["privileged"], json!(true), "{name}: {container}");
        seen += 1;
    }
    assert!(seen > 0, "{name}: no container of the mesh");
}

const EXPECTATIONS: &[&str] = &[
    "name",
    "kind",
    "annotations",
    "namespace",
    "options",
    "order",
    "changes",
    "left",
    "fields",
    "unchanged",
    "refused",
    "errors",
];

/// The object of a case, and its template's place in it.
fn object(case: &Map<String, Value>) -> Value {
    let spec: Map<String, Value> = case
        .iter()
        .filter(|(key, _)| !EXPECTATIONS.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if let Some(kind) = case.get("kind") {
        return json!({"kind": kind, "metadata": {"name": "web"}, "spec": {"template": {"spec": spec}}});
    }
    let annotations = case.get("annotations").cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "annotations": annotations}, "spec": spec})
}

fn options(case: &Map<String, Value>) -> SwapOptions {
    let given = case.get("options").cloned().unwrap_or_default();
    let mut options = SwapOptions { image: "registry.example/wait:1".into(), ..SwapOptions::default() };
    if let Some(timeout) = given["timeout"].as_u64() {
        options.timeout = u32::try_from(timeout).unwrap();
    }
    options.exit = match given["exit"].as_str() {
        Some("istio") => WaitExit::Istio,
        Some("linkerd") => WaitExit::Linkerd,
        _ => WaitExit::Own,
    };
    options.user = match given["user"].as_str() {
        Some("proxy") => WaitUser::Proxy,
        Some("platform") => WaitUser::Platform,
        _ => WaitUser::Ordinary,
    };
    if given["validators"] == "replace" {
        options.validators = Validators::Replace;
    }
    options
}

/// Each expected text is part of the actual one at its place, and there are no others.
fn assert_listed(name: &str, expected: Option<&Value>, actual: &[String]) {
    let Some(expected) = expected.and_then(Value::as_array) else { return };
    let expected: Vec<&str> = expected.iter().map(|text| text.as_str().unwrap()).collect();
    let fits = expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(expected, actual)| actual.contains(expected));
    assert!(fits, "{name}\n  expected: {expected:#?}\n  actual: {actual:#?}");
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn check_swapped(name: &str, case: &Map<String, Value>, swapped: &SwappedPod) {
    assert_listed(&format!("{name}: changes"), case.get("changes"), &texts(&swapped.changes));
    assert_listed(&format!("{name}: left"), case.get("left"), &texts(&swapped.left));
    let list = swapped.template["spec"]["initContainers"].as_array().unwrap();
    let order: Vec<String> =
        list.iter().map(|container| container["name"].as_str().unwrap().to_string()).collect();
    if let Some(expected) = case.get("order") {
        assert_eq!(&json!(order), expected, "{name}: order");
    }
    for (pointer, expected) in case.get("fields").and_then(Value::as_object).into_iter().flatten() {
        let found = swapped.template.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{name}: {pointer} (left: actual)");
    }
}

fn check(case: &Map<String, Value>) {
    let name = case["name"].as_str().unwrap();
    let object = object(case);
    let namespace = case.get("namespace").map(
        |metadata| json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": metadata["labels"]}}),
    );
    let options = options(case);
    let templates = pods(&object);
    let result = swap(&templates[0], namespace.as_ref(), &options);
    match (&result, case.get("unchanged"), case.get("refused"), case.get("errors")) {
        (Ok(Swapped::Changed(swapped)), None, None, None) => {
            check_swapped(name, case, swapped);
            check_properties(name, &object, namespace.as_ref(), &options);
        }
        (Ok(Swapped::Unchanged(reason)), Some(says), None, None) => {
            assert!(reason.to_string().contains(says.as_str().unwrap()), "{name}: {reason}");
        }
        (Err(SwapError::Refused { refusals, .. }), None, expected @ Some(_), None) => {
            assert_listed(name, expected, &texts(refusals));
        }
        (Err(SwapError::Plan(error)), None, None, expected @ Some(_)) => {
            assert_listed(name, expected, &texts(&error.problems));
        }
        _ => panic!("{name}: {result:#?}"),
    }
}

#[test]
fn pods_are_swapped_as_in_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/swap.yaml");
    let table = read(&path).remove(0);
    let cases = table["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    cases.iter().for_each(|case| check(case.as_object().unwrap()));
}

fn suites() -> Option<PathBuf> {
    let root = std::env::var_os("MESHWARD_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"), PathBuf::from);
    if !root.is_dir() {
        meshward_netlab::skipped("no suites of the peers here");
        return None;
    }
    Some(root)
}

#[test]
fn manifests_of_the_meshes_own_injectors_are_swapped() {
    let Some(root) = suites() else { return };
    let (mut changed, mut refused) = (0, Vec::new());
    for folder in ["istio", "linkerd", "kuma"] {
        for entry in std::fs::read_dir(root.join("pods").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            for document in read(&path) {
                for validators in [Validators::Keep, Validators::Replace] {
                    let options = SwapOptions { validators, ..SwapOptions::default() };
                    check_properties(&name, &document, None, &options);
                    for pod in pods(&document) {
                        match swap(&pod, None, &options) {
                            Ok(Swapped::Changed(_)) => changed += 1,
                            Ok(Swapped::Unchanged(reason)) => {
                                let nothing = matches!(plan(&pod, None), Ok(Wanted::Nothing(_)));
                                assert!(nothing, "{name}: {reason}");
                            }
                            Err(SwapError::Refused { refusals, .. }) => {
                                refused.push((name.clone(), refusals))
                            }
                            Err(error) => panic!("{name}: {error}"),
                        }
                    }
                }
            }
        }
    }
    assert!(changed > 0, "no manifest of a mesh");
    for (name, refusals) in refused {
        assert!(matches!(refusals[0], Refusal::Tproxy { .. }), "{name}: {refusals:?}");
    }
}
