//! Pods larger than any honest one: an error that says so, in bounded time and memory.

use meshward_mesh::{LONGEST_ANNOTATION, MOST_ENTRIES, PlanError, Wanted, plan, pods};
use serde_json::{Map, Value, json};

fn istio(annotations: Value, init: Value) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations}, "spec": {
        "initContainers": init,
        "containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
    }})
}

fn verdict(pod: &Value) -> Result<Wanted, PlanError> {
    plan(&pods(pod)[0], None)
}

fn error(pod: &Value) -> String {
    verdict(pod).expect_err("too large").to_string()
}

#[test]
fn annotations() {
    let of = |length| json!({"proxy.istio.io/config": " ".repeat(length), "sidecar.istio.io/status": ""});
    assert!(verdict(&istio(of(LONGEST_ANNOTATION), json!([]))).is_ok());
    let text = error(&istio(of(LONGEST_ANNOTATION + 1), json!([])));
    assert!(
        text.contains(
            "262145 bytes in annotation proxy.istio.io/config of the pod, accepted: at most 262144"
        ),
        "{text}"
    );
    let many: Map<String, Value> =
        (0..=MOST_ENTRIES).map(|n| (format!("example.com/{n}"), "".into())).collect();
    assert!(error(&istio(many.into(), json!([]))).contains("1025 entries in /metadata/annotations"));
}

#[test]
fn containers_arguments_and_variables() {
    let of = |field: &str, entry: Value| json!([{"name": "setup", field: vec![entry; MOST_ENTRIES + 1]}]);
    assert!(
        error(&istio(json!({}), json!(vec![json!({"name": "app"}); MOST_ENTRIES + 1])))
            .contains("1025 entries in /spec/initContainers")
    );
    for (field, entry) in
        [("args", json!("-p")), ("command", json!("sh")), ("env", json!({"name": "A", "value": "1"}))]
    {
        let text = error(&istio(json!({}), of(field, entry)));
        assert!(text.contains(&format!("1025 entries in spec.initContainers[setup].{field}")), "{text}");
    }
}

#[test]
fn lists_of_options() {
    let ports = vec!["80"; 1025].join(",");
    let text =
        error(&istio(json!({}), json!([{"name": "istio-init", "args": ["istio-iptables", "-b", ports]}])));
    assert!(text.contains("found 1025 elements, accepted: at most 1024"), "{text}");
}

/// Each variable is made of a thousand of the one before it.
#[test]
fn variables_of_variables() {
    let mut variables = vec![json!({"name": "V0", "value": "x".repeat(1000)})];
    variables.extend(
        (1..100).map(|n| json!({"name": format!("V{n}"), "value": format!("$(V{})", n - 1).repeat(1000)})),
    );
    let args: Vec<String> = std::iter::once("istio-iptables".to_string())
        .chain((0..1000).map(|_| "$(V0)$(V1)".repeat(100)))
        .collect();
    let text = error(&istio(json!({}), json!([{"name": "istio-init", "args": args, "env": variables}])));
    assert!(text.len() < 2000 && text.contains("istio-init"), "{text}");
}

#[test]
fn arguments_of_long_variables() {
    let args: Vec<&str> = std::iter::once("istio-iptables").chain((0..1000).map(|_| "$(V)$(V)")).collect();
    let text = error(&istio(
        json!({}),
        json!([{"name": "istio-init", "args": args, "env": [{"name": "V", "value": "x".repeat(1000)}]}]),
    ));
    assert!(text.contains("arguments of container istio-init with more than 1048576 bytes"), "{text}");
}

#[test]
fn documents() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]\n";
    for text in [bomb.to_string(), "[".repeat(10_000), "- ".repeat(10_000)] {
        let annotations =
            json!({"kuma.io/sidecar-injected": "true", "traffic.kuma.io/transparent-proxy-config": text});
        let pod = json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations}, "spec": {"containers": [{"name": "kuma-sidecar"}]}});
        let text = error(&pod);
        assert!(
            text.len() < 2000
                && text.contains("annotation traffic.kuma.io/transparent-proxy-config of the pod"),
            "{text}"
        );
    }
}
