//! How long one pod takes, parsed already: `cargo bench -p meshward-policy --bench pod_security`.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its result")]

use std::{hint::black_box, time::Instant};

use meshward_policy::pss::{Aggregate, Level, Pod, Version, evaluate};
use serde_json::{Value, json};

/// A pod of a mesh: an init container, the proxy, an application, and the volumes an injector adds.
fn pod(security: &Value) -> Value {
    let environment: Vec<Value> =
        (0..40).map(|n| json!({"name": format!("KEY_{n}"), "value": "x".repeat(40)})).collect();
    let container = |name: &str| {
        json!({
            "name": name, "image": format!("registry.example.com/{name}:1.2.3"), "env": environment,
            "ports": [{"containerPort": 8080}, {"containerPort": 15090}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 15021}}, "securityContext": security,
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "annotations": {"sidecar.istio.io/status": "{}", "prometheus.io/scrape": "true"}},
        "spec": {
            "initContainers": [container("istio-init")],
            "containers": [container("istio-proxy"), container("app")],
            "securityContext": {"fsGroup": 1337},
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "token", "projected": {"sources": []}}, {"name": "cm", "configMap": {"name": "x"}}],
        },
    })
}

fn main() {
    let good = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 1337,
        "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let bad = json!({"runAsUser": 0, "privileged": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}});
    for (name, security) in [("passes", good), ("violates", bad)] {
        let pod = pod(&security);
        let bytes = pod.to_string().len();
        for level in [Level::Baseline, Level::Restricted] {
            let verdict = measure(|| {
                black_box(evaluate(level, Version::Latest, &Pod::new(black_box(&pod))));
            });
            let text = measure(|| {
                let results = evaluate(level, Version::Latest, &Pod::new(black_box(&pod)));
                black_box(Aggregate::new(&results).detail());
            });
            println!(
                "{name:9} {level:10} {bytes} bytes: findings {verdict:.2} µs, findings and sentence {text:.2} µs"
            );
        }
    }
}

/// Microseconds a call, the best of some rounds.
fn measure(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let round = |_| {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    (0..7).map(round).fold(f64::INFINITY, f64::min)
}
