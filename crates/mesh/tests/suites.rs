//! Manifests as the meshes' own injectors write them, where they are at hand: the verdict on each pod is the one in
//! `suite-verdicts.txt`, what an init container was told is exactly what is planned, and pods in CNI mode get rules
//! that behave as those of Istio's own plugin.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use meshward_manifest::{Documents, Options};
use meshward_mesh::{Container, Plan, PodTemplate, Setup, Source, Wanted, Warning, plan, pods};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::{Origin, Settings, flags, istio, kuma, linkerd};
use meshward_redirect::net::Family;
use serde_json::{Value, json};

#[path = "../../redirect/tests/support/all.rs"]
mod support;

fn suites() -> Option<PathBuf> {
    let root = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    if !root.is_dir() {
        meshward_netlab::skipped("no suites of the peers here");
        return None;
    }
    Some(root)
}

/// Every document of every manifest, by `folder/file`.
fn manifests(root: &Path) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for folder in ["istio", "linkerd", "kuma"] {
        for entry in std::fs::read_dir(root.join("pods").join(folder)).expect("a folder of manifests") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read(&path).expect("a readable file");
            let documents = Documents::new(&text, Options::default())
                .map(|document| document.unwrap_or_else(|error| panic!("{}: {error}", path.display())).value)
                .collect();
            all.insert(format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()), documents);
        }
    }
    all
}

fn verdict(pod: &PodTemplate<'_>) -> String {
    match plan(pod, None) {
        Err(error) => format!("error {error}"),
        Ok(Wanted::Nothing(reason)) => format!("nothing {}", reason.name()),
        Ok(Wanted::Redirect(plan)) => {
            let setup = match &plan.setup {
                Setup::InitContainer { name, .. } => format!("init {name}"),
                Setup::Outside { validator: Some(validator) } => format!("validator {}", validator.name),
                Setup::Outside { validator: None } => "outside".into(),
            };
            let proxies: Vec<String> = plan
                .proxies
                .iter()
                .map(|proxy| format!("{}{}", proxy.name, if proxy.native_sidecar { " native" } else { "" }))
                .collect();
            // What an injector wrote is no mistake; remarks on what its user asked for are the dialects' business.
            let remarks = |warning: &&Warning| !matches!(warning, Warning::Option { .. });
            let warnings: Vec<String> =
                plan.warnings.iter().filter(remarks).map(|w| format!(", {w}")).collect();
            format!("{}, {setup}, {}{}", plan.mesh, proxies.join(" + "), warnings.concat())
        }
    }
}

#[test]
fn verdicts_are_those_of_the_table() {
    let Some(root) = suites() else { return };
    let table = include_str!("suite-verdicts.txt");
    let rows = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    let mut expected: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, row) in rows {
        expected.entry(file).or_default().push(row);
    }
    let mut differences = Vec::new();
    for (file, documents) in manifests(&root) {
        let found = documents
            .iter()
            .flat_map(pods)
            .map(|pod| format!("{} {}: {}", pod.kind(), pod.name(), verdict(&pod)));
        let mut found: Vec<String> = found.collect();
        if found.is_empty() {
            found.push("no pod".into());
        }
        // A suite may have more files than the table; of those it is only asked that there is a verdict.
        match expected.get(file.as_str()) {
            Some(rows) if *rows == found => {}
            None if !found.iter().any(|row| row.contains("error")) => {}
            _ => differences.extend(found.iter().map(|row| format!("{file}: {row}"))),
        }
    }
    assert!(differences.is_empty(), "not as in the table:\n{}", differences.join("\n"));
}

fn program(mesh: Mesh) -> (&'static str, &'static [flags::Flag]) {
    match mesh {
        Mesh::Istio => ("istio-iptables", istio::FLAGS),
        Mesh::Linkerd => ("linkerd2-proxy-init", linkerd::FLAGS),
        Mesh::Kuma | Mesh::Consul => ("kumactl", kuma::FLAGS),
    }
}

/// The settings that a container's own arguments make, read without any of the crate's knowledge of pods.
fn from_arguments(mesh: Mesh, pod: &PodTemplate<'_>, container: &Container<'_>) -> Settings {
    let (name, flags) = program(mesh);
    let mut settings = Settings::new(flags);
    let mut words: Vec<String> = container.args().map(str::to_string).collect();
    if mesh == Mesh::Istio {
        assert_eq!(words.remove(0), "istio-iptables");
    }
    flags::parse_arguments(name, flags, &words, &mut settings, |_| Origin::Default).expect("arguments");
    if mesh == Mesh::Kuma {
        assert_eq!(settings.get("config").value, "/tmp/transparent-proxy/base/config.yaml");
        settings = Settings::new(flags);
        let text = pod.annotation("traffic.kuma.io/transparent-proxy-config").expect("the configuration");
        let document = Documents::new(text.as_bytes(), Options::default()).next().expect("a document");
        kuma::config::apply(&document.expect("YAML").value, &mut settings, |_| Origin::Default)
            .expect("accepted");
    }
    settings
}

fn values(settings: &Settings) -> BTreeMap<&'static str, String> {
    settings.all().map(|setting| (setting.option, setting.value)).collect()
}

#[test]
fn init_containers_get_what_they_were_told() {
    let Some(root) = suites() else { return };
    let mut compared = 0;
    for (file, documents) in manifests(&root) {
        for pod in documents.iter().flat_map(pods) {
            let Ok(Wanted::Redirect(plan)) = plan(&pod, None) else { continue };
            if plan.source != Source::InitContainer {
                continue;
            }
            let (name, index) = match &plan.setup {
                Setup::InitContainer { name, index, .. } => (name, *index),
                Setup::Outside { validator } => {
                    let validator = validator.as_ref().expect("a validator with arguments");
                    (&validator.name, validator.index)
                }
            };
            let container = pod.containers().nth(index).expect("the container");
            assert_eq!(container.name(), name, "{file}");
            let told = from_arguments(plan.mesh, &pod, &container);
            assert_eq!(values(&plan.settings), values(&told), "{file}");
            compared += 1;
        }
    }
    assert!(compared > 0, "no manifest with an init container");
}

/// The pods that Istio's CNI plugin was given: golden, annotations, environment and security context of the proxy.
fn cni_pods() -> Vec<(&'static str, Value, Value, Value)> {
    let traffic = "traffic.sidecar.istio.io";
    let custom = json!({"runAsUser": 1000670000, "runAsGroup": 1000670001});
    let tproxy = json!({"sidecar.istio.io/interceptionMode": "TPROXY"});
    let none = || json!({});
    vec![
        ("basic", none(), json!([]), none()),
        ("basic", none(), json!([]), json!({"runAsUser": 0})),
        (
            "include-exclude-ip",
            json!({format!("{traffic}/includeOutboundIPRanges"): "127.0.0.0/8", format!("{traffic}/excludeOutboundIPRanges"): "10.0.0.0/8"}),
            json!([]),
            none(),
        ),
        (
            "include-exclude-ports",
            json!({
                format!("{traffic}/includeInboundPorts"): "1111,2222",
                format!("{traffic}/excludeInboundPorts"): "3333,4444",
                format!("{traffic}/excludeOutboundPorts"): "5555,6666",
            }),
            json!([]),
            none(),
        ),
        ("tproxy", tproxy.clone(), json!([]), none()),
        ("dns", none(), json!([{"name": "ISTIO_META_DNS_CAPTURE", "value": "true"}]), none()),
        ("invalid-drop", none(), json!([{"name": "INVALID_DROP", "value": "true"}]), none()),
        ("custom-uid", none(), json!([]), custom.clone()),
        ("custom-uid-tproxy", tproxy, json!([]), custom),
    ]
}

fn planned(annotations: &Value, environment: Value, security: Value) -> Box<Plan> {
    let mut annotations = annotations.clone();
    annotations["sidecar.istio.io/status"] = "true".into();
    let pod = json!({"kind": "Pod", "metadata": {"name": "test", "annotations": annotations}, "spec": {"containers": [
        {"name": "test"},
        {"name": "istio-proxy", "env": environment, "securityContext": security},
        {"name": "istio-validate"},
    ]}});
    let pods = pods(&pod);
    match plan(&pods[0], None) {
        Ok(Wanted::Redirect(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pods_without_init_container_behave_as_with_istios_cni_plugin() {
    let Some(root) = suites() else { return };
    for (name, annotations, environment, security) in cni_pods() {
        let golden =
            std::fs::read_to_string(root.join(format!("istio-cni/{name}.txt.golden"))).expect("golden");
        let plan = planned(&annotations, environment, security);
        let options = istio::Options::from_settings(&plan.settings).expect("valid options");
        let ours = support::Chains::from(&istio::rules(&options));
        let golden = support::iptables_text::parse(&golden);
        if let Some((packet, theirs, ours)) = support::difference(&golden, &ours, Family::Ipv4) {
            panic!("{name}: {packet:?}\n golden: {theirs:?}\n ours: {ours:?}");
        }
    }
}
