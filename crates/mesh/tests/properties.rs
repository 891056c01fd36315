//! Whatever is in a pod: a verdict or an error, never a panic; and what is planned is always made of valid options.

use meshward_mesh::{SwapOptions, Swapped, Unchanged, Validators, Wanted, plan, pods, swap};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Keys that something reads, and some that nothing does.
const KEYS: &[&str] = &[
    "sidecar.istio.io/inject",
    "sidecar.istio.io/status",
    "sidecar.istio.io/interceptionMode",
    "status.sidecar.istio.io/port",
    "proxy.istio.io/config",
    "istio.io/reroute-virtual-interfaces",
    "istio.io/dataplane-mode",
    "traffic.sidecar.istio.io/includeInboundPorts",
    "traffic.sidecar.istio.io/excludeInboundPorts",
    "traffic.sidecar.istio.io/includeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeOutboundIPRanges",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "istio-pod-network-controller/initialize",
    "pod-network-controller.istio.io/envoy-port",
    "linkerd.io/inject",
    "config.linkerd.io/skip-inbound-ports",
    "config.linkerd.io/skip-subnets",
    "config.linkerd.io/admin-port",
    "kuma.io/sidecar-injected",
    "kuma.io/sidecar-injection",
    "kuma.io/gateway",
    "kuma.io/builtin-dns",
    "traffic.kuma.io/transparent-proxy-config",
    "traffic.kuma.io/exclude-outbound-ports-for-uids",
    "consul.hashicorp.com/connect-inject-status",
    "consul.hashicorp.com/transparent-proxy",
    "consul.hashicorp.com/redirect-traffic-config",
    "consul.hashicorp.com/transparent-proxy-exclude-uids",
    "meshward.dev/redirect",
    "meshward.dev/redirec",
    "openshift.io/build.name",
];

/// Words of every value that means something somewhere, and of some that do not.
const WORDS: &[&str] = &[
    "",
    "true",
    "false",
    "enabled",
    "disabled",
    "*",
    "80",
    "80,443",
    "80-90",
    "99999",
    "-1",
    "10.0.0.0/8",
    "fe80::1",
    "::/0",
    "eth0",
    "NONE",
    "TPROXY",
    "REDIRECT",
    "injected",
    "builtin",
    "ambient",
    "{}",
    "[]",
    "{",
    "null",
    "a: 1",
    "redirect: {inbound: {enabled: true}}",
    "{\"version\":1,\"mesh\":\"istio\",\"settings\":{\"envoy-port\":\"15001\"}}",
    "{\"ProxyUserID\":\"5995\",\"ProxyInboundPort\":20000}",
    "&a [*a]",
    "tcp:22:1000",
    "$(A)",
    "$(B)",
    "ü\u{0}",
];

const NAMES: &[&str] = &[
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "linkerd-proxy",
    "linkerd-init",
    "linkerd-network-validator",
    "kuma-sidecar",
    "kuma-init",
    "kuma-gateway",
    "consul-dataplane",
    "consul-connect-inject-init",
    "meshward-wait",
    "app",
];

const ARGUMENTS: &[&str] = &[
    "istio-iptables",
    "-p",
    "-u",
    "-b",
    "-m",
    "--skip-rule-apply",
    "--redirect-dns",
    "proxy",
    "sidecar",
    "router",
    "install",
    "transparent-proxy",
    "kumactl",
    "--config=/a/b",
    "--incoming-proxy-port",
    "--outgoing-proxy-port",
    "--proxy-uid",
    "--ipv6=false",
    "--what",
];

const VARIABLES: &[&str] = &[
    "A",
    "B",
    "ISTIO_META_DNS_CAPTURE",
    "DISABLE_ENVOY",
    "PROXY_CONFIG",
    "ISTIO_OUTBOUND_OWNER_GROUPS",
    "CONSUL_REDIRECT_TRAFFIC_CONFIG",
    "CONSUL_DUAL_STACK",
    "LINKERD2_PROXY_INBOUND_LISTEN_ADDR",
    "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_PORT",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => proptest::sample::select(WORDS).prop_map(str::to_string), 1 => "\\PC{0,20}"]
}

fn junk() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        any::<i64>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        word().prop_map(Value::from)
    ]
}

/// Nearly always what belongs there.
fn or_junk<S: Strategy<Value = Value>>(strategy: S) -> impl Strategy<Value = Value> {
    prop_oneof![19 => strategy, 1 => junk()]
}

fn texts() -> impl Strategy<Value = Value> {
    let key = prop_oneof![9 => proptest::sample::select(KEYS).prop_map(str::to_string), 1 => "[a-z./]{0,20}"];
    let entries = proptest::collection::btree_map(key, or_junk(word().prop_map(Value::from)), 0..6);
    or_junk(entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()))
}

fn variable() -> impl Strategy<Value = Value> {
    (proptest::sample::select(VARIABLES), word(), 0..8u8).prop_map(|(name, value, kind)| match kind {
        0 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}),
        _ => json!({"name": name, "value": value}),
    })
}

fn container() -> impl Strategy<Value = Value> {
    let argument =
        prop_oneof![2 => proptest::sample::select(ARGUMENTS).prop_map(str::to_string), 1 => word()];
    (
        proptest::sample::select(NAMES),
        or_junk(proptest::collection::vec(argument, 0..6).prop_map(Value::from)),
        or_junk(proptest::collection::vec(or_junk(variable()), 0..4).prop_map(Value::from)),
        proptest::option::of(or_junk((0..70_000u32).prop_map(|id| json!({"runAsUser": id, "runAsGroup": id})))),
        any::<bool>(),
    )
        .prop_map(|(name, args, env, security, native)| {
            let restart = if native { json!("Always") } else { Value::Null };
            json!({"name": name, "args": args, "env": env, "securityContext": security, "restartPolicy": restart})
        })
}

fn containers() -> impl Strategy<Value = Value> {
    or_junk(proptest::collection::vec(or_junk(container()), 0..4).prop_map(Value::from))
}

fn pod() -> impl Strategy<Value = Value> {
    (texts(), texts(), containers(), containers()).prop_map(|(annotations, labels, init, regular)| {
        json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations, "labels": labels},
            "spec": {"initContainers": init, "containers": regular}})
    })
}

fn namespace() -> impl Strategy<Value = Option<Value>> {
    let metadata = (texts(), texts());
    proptest::option::of(or_junk(metadata.prop_map(|(annotations, labels)| {
        json!({"kind": "Namespace", "metadata": {"annotations": annotations, "labels": labels}})
    })))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn there_is_always_a_verdict(pod in pod(), namespace in namespace()) {
        for found in pods(&pod) {
            match plan(&found, namespace.as_ref()) {
                Ok(Wanted::Redirect(first)) => {
                    // Recorded and read back, the same rules come out.
                    let mut recorded = pod.clone();
                    if let Some(annotations) = recorded["metadata"]["annotations"].as_object_mut() {
                        annotations.insert("meshward.dev/redirect".into(), first.to_annotation().into());
                        let again = plan(&pods(&recorded)[0], namespace.as_ref());
                        let Ok(Wanted::Redirect(again)) = again else { return Err(TestCaseError::fail(format!("{again:?}"))) };
                        prop_assert_eq!(again.to_annotation(), first.to_annotation());
                    }
                }
                Ok(Wanted::Nothing(reason)) => prop_assert!(!reason.to_string().is_empty()),
                Err(error) => {
                    prop_assert!(!error.problems.is_empty());
                    prop_assert!(error.to_string().len() < 64 * 1024);
                }
            }
        }
    }

    /// What was swapped wants the same rules, and is not swapped twice.
    #[test]
    fn swapping_is_idempotent(pod in pod(), namespace in namespace(), replace in any::<bool>()) {
        let validators = if replace { Validators::Replace } else { Validators::Keep };
        let options = SwapOptions { validators, ..SwapOptions::default() };
        let found = pods(&pod);
        let Ok(Swapped::Changed(swapped)) = swap(&found[0], namespace.as_ref(), &options) else { return Ok(()) };
        prop_assert!(!swapped.changes.is_empty());
        let after = pods(&swapped.template);
        let planned = plan(&after[0], namespace.as_ref());
        let Ok(Wanted::Redirect(plan)) = planned else { return Err(TestCaseError::fail(format!("{planned:?}"))) };
        prop_assert_eq!(plan.to_annotation(), swapped.plan.to_annotation());
        let again = swap(&after[0], namespace.as_ref(), &options);
        let idempotent = matches!(again, Ok(Swapped::Unchanged(Unchanged::Already { .. })));
        prop_assert!(idempotent, "{:?}", again);
    }

    #[test]
    fn any_document_is_searched_for_pods(document in junk()) {
        prop_assert!(pods(&document).is_empty());
    }
}

/// The generator would prove nothing if its pods never got past the first check.
#[test]
fn generated_pods_reach_every_kind_of_verdict() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut redirect, mut nothing, mut wrong, mut swapped) = (0, 0, 0, 0);
    for _ in 0..4096 {
        let pod = pod().new_tree(&mut runner).expect("a pod").current();
        match plan(&pods(&pod)[0], None) {
            Ok(Wanted::Redirect(_)) => redirect += 1,
            Ok(Wanted::Nothing(_)) => nothing += 1,
            Err(_) => wrong += 1,
        }
        if let Ok(Swapped::Changed(_)) = swap(&pods(&pod)[0], None, &SwapOptions::default()) {
            swapped += 1;
        }
    }
    assert!(redirect > 20 && nothing > 20 && wrong > 20, "{redirect} {nothing} {wrong}");
    assert!(swapped > 20, "{swapped}");
}
