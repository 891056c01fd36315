//! Verdicts on pods, as tables: `cases/*.yaml` hold pods in short form with everything that is expected of them. A
//! case says either which options are set (all of them, each with its value and, where it matters, its origin), or
//! why there is nothing to do, or what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::Path;

use meshward_manifest::{Documents, Options};
use meshward_mesh::{Plan, PlanError, Reason, Setup, Wanted, plan, plan_with_warnings, pods};
use serde_json::{Map, Value, json};

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap();
    let mut documents = Documents::new(&text, Options::default());
    let document = documents.next().unwrap().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(documents.next().is_none(), "{}: one document", path.display());
    document.value
}

/// The pod of a case: `annotations` and `labels` are metadata, everything else but the expectations is specification.
fn pod(case: &Map<String, Value>) -> Value {
    let mut spec = Map::new();
    for (key, value) in case {
        if !matches!(
            key.as_str(),
            "name"
                | "annotations"
                | "labels"
                | "status"
                | "namespace"
                | "settings"
                | "origins"
                | "source"
                | "setup"
                | "proxies"
                | "warnings"
                | "nothing"
                | "says"
                | "errors"
                | "annotation"
                | "already"
        ) {
            spec.insert(key.clone(), value.clone());
        }
    }
    let or_empty = |key: &str| case.get(key).cloned().unwrap_or_else(|| json!({}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "annotations": or_empty("annotations"), "labels": or_empty("labels")},
        "spec": spec,
        "status": or_empty("status"),
    })
}

fn namespace(case: &Map<String, Value>) -> Option<Value> {
    let mut metadata = case.get("namespace")?.as_object()?.clone();
    metadata.insert("name".into(), "shop".into());
    Some(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|text| text.as_str().unwrap_or_else(|| panic!("{text} is no text")).to_string())
        .collect()
}

fn text_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_string)))
        .collect()
}

/// Each expected text is part of the actual one at its place, and there are no others.
fn assert_listed(name: &str, what: &str, expected: &[String], actual: &[String]) {
    let fits = expected.len() == actual.len()
        && expected.iter().zip(actual).all(|(expected, actual)| actual.contains(expected.as_str()));
    assert!(fits, "{name}: {what}\n  expected: {expected:#?}\n  actual: {actual:#?}");
}

fn check_plan(name: &str, case: &Map<String, Value>, plan: &Plan) {
    let set: Vec<_> = plan.settings.all().filter(|setting| plan.settings.is_set(setting.option)).collect();
    let values: BTreeMap<String, String> =
        set.iter().map(|setting| (setting.option.to_string(), setting.value.clone())).collect();
    assert_eq!(values, text_map(case.get("settings")), "{name}: settings (left: actual)");
    for (option, origin) in text_map(case.get("origins")) {
        assert_eq!(plan.settings.get(&option).origin.to_string(), origin, "{name}: origin of {option}");
    }
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_listed(name, "warnings", &texts(case.get("warnings")), &warnings);
    if let Some(source) = case.get("source") {
        assert_eq!(&serde_json::to_value(plan.source).unwrap(), source, "{name}: source");
    }
    if let Some(expected) = case.get("setup") {
        let setup = match &plan.setup {
            Setup::InitContainer { name, index, .. } => format!("init {name} {index}"),
            Setup::Outside { validator: Some(validator) } => {
                format!("validator {} {}", validator.name, validator.index)
            }
            Setup::Outside { validator: None } => "outside".into(),
        };
        assert_eq!(setup, expected.as_str().unwrap(), "{name}: setup");
    }
    if case.contains_key("proxies") {
        let proxies: Vec<String> = plan
            .proxies
            .iter()
            .map(|proxy| {
                let id = |id: Option<u32>| id.map_or("-".to_string(), |id| id.to_string());
                let native = if proxy.native_sidecar { " native" } else { "" };
                format!("{} {}:{}{native}", proxy.name, id(proxy.user), id(proxy.group))
            })
            .collect();
        assert_eq!(proxies, texts(case.get("proxies")), "{name}: proxies");
    }
    if let Some(annotation) = case.get("annotation") {
        assert_eq!(plan.to_annotation(), annotation.as_str().unwrap(), "{name}: annotation");
    }
    assert_eq!(
        plan.already_redirected(),
        case.get("already").and_then(Value::as_str),
        "{name}: already redirected"
    );
}

/// A plan survives being written down and read back.
fn check_round_trip(name: &str, pod: &Value, namespace: Option<&Value>, first: &Plan) {
    let mut recorded = pod.clone();
    recorded["metadata"]["annotations"]["meshward.dev/redirect"] = first.to_annotation().into();
    let Ok(Wanted::Redirect(again)) = plan(&pods(&recorded)[0], namespace) else {
        panic!("{name}: the recorded plan is not accepted: {}", first.to_annotation());
    };
    assert_eq!(again.to_annotation(), first.to_annotation(), "{name}: recorded plan");
}

fn check(name: &str, case: &Map<String, Value>) {
    let (pod, namespace) = (pod(case), namespace(case));
    let verdict: Result<Wanted, PlanError> = plan(&pods(&pod)[0], namespace.as_ref());
    match (&verdict, case.get("settings"), case.get("nothing"), case.get("errors")) {
        (Ok(Wanted::Redirect(plan)), Some(_), None, None) => {
            check_plan(name, case, plan);
            check_round_trip(name, &pod, namespace.as_ref(), plan);
        }
        (Ok(Wanted::Nothing(reason)), None, Some(expected), None) => {
            check_reason(name, case, reason, expected);
            let (_, warnings) = plan_with_warnings(&pods(&pod)[0], namespace.as_ref()).unwrap();
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            if case.contains_key("warnings") {
                assert_listed(name, "warnings", &texts(case.get("warnings")), &warnings);
            }
        }
        (Err(error), None, None, errors @ Some(_)) => {
            let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
            assert_listed(name, "errors", &texts(errors), &problems);
            assert!(error.to_string().starts_with("Pod \"web\": "), "{name}: {error}");
        }
        _ => panic!("{name}: the verdict is {verdict:#?}"),
    }
}

fn check_reason(name: &str, case: &Map<String, Value>, reason: &Reason, expected: &Value) {
    assert_eq!(reason.name(), expected.as_str().unwrap(), "{name}: {reason}");
    let json = serde_json::to_value(reason).unwrap();
    assert_eq!(json["kind"], reason.name(), "{name}: the name in JSON");
    if let Some(says) = case.get("says") {
        assert_eq!(reason.to_string(), says.as_str().unwrap(), "{name}: reason");
    }
}

fn check_file(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    let table = read(&path);
    let cases = table["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let case = case.as_object().unwrap();
        check(&format!("{file}: {}", case["name"].as_str().unwrap()), case);
    }
}

#[test]
fn membership() {
    check_file("membership.yaml");
}

#[test]
fn istio() {
    check_file("istio.yaml");
}

#[test]
fn seed() {
    check_file("seed.yaml");
}

#[test]
fn linkerd() {
    check_file("linkerd.yaml");
}

#[test]
fn kuma() {
    check_file("kuma.yaml");
}

#[test]
fn consul() {
    check_file("consul.yaml");
}

#[test]
fn record() {
    check_file("record.yaml");
}
