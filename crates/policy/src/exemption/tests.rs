use super::*;
use serde_json::{Value, json};

fn exemption(spec: Value) -> Value {
    json!({
        "apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "metadata": {"name": "e", "namespace": "shop"},
        "spec": spec,
    })
}

fn entry(entry: Value) -> Value {
    exemption(json!({"reason": "r", "entries": [entry]}))
}

const ADD: &str = "spec.initContainers[*].securityContext.capabilities.add";

/// Every slip is told with its place and with what is meant.
#[test]
fn refuses_slips() {
    let allow = |allow: Value| entry(json!({"containers": {"names": ["a"]}, "allow": [allow]}));
    let containers =
        |containers: Value| entry(json!({"containers": containers, "allow": [{"control": "Capabilities"}]}));
    let cluster = |spec: Value| {
        let mut document = exemption(spec);
        document["kind"] = json!("ClusterExemption");
        document["metadata"] = json!({"name": "e"});
        document
    };
    let preset = |spec: Value| {
        let mut document = cluster(spec);
        document["kind"] = json!("MeshPreset");
        document
    };
    let everywhere = json!({"namespaces": ["*"]});
    let cases = [
        (json!({"kind": "Exemptions"}), "kind", Some("Exemption")),
        (
            json!({"kind": "Exemption", "apiVersion": "meshward.dev/v1"}),
            "apiVersion",
            Some("meshward.dev/v1alpha1"),
        ),
        (exemption(json!({"reason": "r", "entrys": []})), "spec.entrys", Some("entries")),
        (exemption(json!({"reason": "r", "entries": []})), "spec.entries", None),
        (
            exemption(json!({"reason": " ", "entries": [{"allow": [{"control": "Sysctls"}]}]})),
            "spec.reason",
            None,
        ),
        (entry(json!({"allow": []})), "spec.entries[0].allow", None),
        (entry(json!({"allow": [{"control": "Capabilities"}]})), "spec.entries[0].allow[0]", None),
        (allow(json!({"control": "Capabilites"})), "spec.entries[0].allow[0].control", Some("Capabilities")),
        (
            allow(
                json!({"control": "Capabilities", "field": "spec.initContainer[*].securityContext.capabilities.add"}),
            ),
            "spec.entries[0].allow[0].field",
            Some(ADD),
        ),
        (
            allow(json!({"control": "Capabilities", "field": ADD, "values": ["NET_ADMN"]})),
            "spec.entries[0].allow[0].values[0]",
            Some("NET_ADMIN"),
        ),
        (
            allow(json!({"control": "Capabilities", "field": ADD, "values": ["CAP_NET_RAW"]})),
            "spec.entries[0].allow[0].values[0]",
            Some("NET_RAW"),
        ),
        (
            allow(json!({"control": "Capabilities", "field": ADD, "values": ["NET_BIND_SERVICE"]})),
            "spec.entries[0].allow[0].values[0]",
            None,
        ),
        (
            allow(
                json!({"control": "Capabilities", "field": "spec.containers[*].securityContext.capabilities.drop", "values": ["ALL"]}),
            ),
            "spec.entries[0].allow[0].values[0]",
            None,
        ),
        (
            allow(json!({"control": "Privileged Containers", "values": ["ture"]})),
            "spec.entries[0].allow[0].values[0]",
            Some("true"),
        ),
        (
            allow(json!({"control": "Host Ports", "values": ["70000"]})),
            "spec.entries[0].allow[0].values[0]",
            None,
        ),
        (
            allow(json!({"control": "HostPath Volumes", "values": ["etc"]})),
            "spec.entries[0].allow[0].values[0]",
            None,
        ),
        (allow(json!({"control": "Sysctls", "values": []})), "spec.entries[0].allow[0].values", None),
        (containers(json!({})), "spec.entries[0].containers", None),
        (containers(json!({"names": []})), "spec.entries[0].containers.names", None),
        (containers(json!({"names": ["A"]})), "spec.entries[0].containers.names[0]", None),
        (containers(json!({"kinds": ["inti"]})), "spec.entries[0].containers.kinds[0]", Some("init")),
        (containers(json!({"images": ["*/istio/proxyv2"]})), "spec.entries[0].containers.images[0]", None),
        (
            entry(
                json!({"containers": {"kinds": ["regular"]}, "allow": [{"control": "Capabilities", "field": ADD}]}),
            ),
            "spec.entries[0].allow[0].field",
            None,
        ),
        (
            exemption(
                json!({"reason": "r", "expires": "tomorrow", "entries": [{"allow": [{"control": "Sysctls"}]}]}),
            ),
            "spec.expires",
            None,
        ),
        (
            exemption(
                json!({"reason": "r", "subjects": everywhere, "entries": [{"allow": [{"control": "Sysctls"}]}]}),
            ),
            "spec.subjects.namespaces",
            None,
        ),
        (
            cluster(json!({"reason": "r", "entries": [{"allow": [{"control": "Sysctls"}]}]})),
            "spec.subjects.namespaces",
            None,
        ),
        (
            cluster(
                json!({"reason": "r", "subjects": {"namespaces": ["a"], "podLabels": {"matchLabels": {"a": "b*"}}}, "entries": [{"allow": [{"control": "Sysctls"}]}]}),
            ),
            "spec.subjects.podLabels.matchLabels.a",
            None,
        ),
        (
            preset(json!({"preset": "istio-innit", "reason": "r", "subjects": everywhere})),
            "spec.preset",
            Some("istio-init"),
        ),
        (
            preset(json!({"preset": "istio-init", "images": ["*"], "reason": "r", "subjects": everywhere})),
            "spec.images[0]",
            None,
        ),
    ];
    for (document, path, nearest) in cases {
        let errors = Exemption::parse(&document).unwrap_err();
        let [error] = errors.as_slice() else { panic!("{document}: {errors:?}") };
        assert_eq!(error.path, path, "{error}");
        assert_eq!(error.nearest.as_deref(), nearest, "{error}");
        let text = error.to_string();
        assert!(text.starts_with(path) && !text.ends_with(": "), "{text}");
    }
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let document = exemption(json!({
        "reason": "", "expires": "never",
        "entries": [{"containers": {"kinds": ["x"]}, "allow": [{"control": "y"}]}],
    }));
    let paths: Vec<String> = Exemption::parse(&document).unwrap_err().into_iter().map(|e| e.path).collect();
    assert_eq!(
        paths,
        [
            "spec.reason",
            "spec.expires",
            "spec.entries[0].containers.kinds[0]",
            "spec.entries[0].allow[0].control"
        ]
    );
}

#[test]
fn reads_what_is_right() {
    let document = exemption(json!({
        "reason": "r", "owner": "o", "expires": "2027-01-01T00:00:00Z",
        "entries": [{"containers": {"names": ["a"]}, "allow": [{"control": "Capabilities"}]}],
    }));
    let read = Exemption::parse(&document).unwrap();
    assert_eq!((read.key(), read.reason(), read.owner(), read.len()), ("shop/e".to_owned(), "r", "o", 1));
    let at = |text| near::moment(text).unwrap();
    assert!(!read.expired(at("2026-12-31T23:59:59Z")) && read.expired(at("2027-01-01T00:00:00Z")));
}

#[test]
fn every_preset_is_an_exemption_that_would_be_accepted() {
    for preset in &PRESETS {
        let document = json!({
            "apiVersion": "meshward.dev/v1alpha1", "kind": "MeshPreset", "metadata": {"name": preset.name},
            "spec": {"preset": preset.name, "reason": "r", "subjects": {"namespaces": ["*"]}},
        });
        let read = Exemption::parse(&document).unwrap_or_else(|errors| panic!("{}: {errors:?}", preset.name));
        assert_eq!(read.preset().map(|preset| preset.name), Some(preset.name));
        let written = json!({"reason": "r", "entries": [serde_json::to_value(preset.entry(None)).unwrap()]});
        assert!(Exemption::parse(&exemption(written)).is_ok(), "{}", preset.name);
        assert!(preset.allow.iter().all(|allow| !allow.why.is_empty()));
    }
}
