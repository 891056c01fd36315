//! Times of parsing and evaluating expressions on a pod, in microseconds.

use meshward_policy::jmespath::{Context, Dialect, Expression};
use serde_json::{Value, json};
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

const EXPRESSIONS: [&str; 8] = [
    "metadata.labels.app",
    "request.object.metadata.labels.app || 'none'",
    "spec.containers[].image",
    "spec.containers[*].securityContext.capabilities.drop[] | contains(@, 'ALL')",
    "spec.[containers, initContainers, ephemeralContainers][].securityContext.privileged",
    "spec.containers[?missing]",
    "spec.containers[?!contains(securityContext.capabilities.drop[], 'ALL')].name",
    "spec.containers[?regex_match('^ghcr.io/.*', image)].name",
];

/// A pod of about 10 KB.
fn pod() -> Value {
    let container = |index: usize| {
        json!({
            "name": format!("container-{index}"),
            "image": format!("ghcr.io/example/app-{index}:v1.2.{index}"),
            "args": (0..12).map(|n| format!("--flag-{n}=value-{n}")).collect::<Vec<_>>(),
            "env": (0..8).map(|n| json!({"name": format!("NAME_{n}"), "value": format!("value {n}")})).collect::<Vec<_>>(),
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "containers": (0..8).map(container).collect::<Vec<_>>(),
            "initContainers": [container(8), container(9)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    })
}

/// The median of 15 runs of a twentieth of a second, for one call.
fn median(mut call: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..15)
        .map(|_| {
            let (start, mut calls) = (Instant::now(), 0u32);
            while start.elapsed() < Duration::from_millis(20) {
                for _ in 0..100 {
                    call();
                }
                calls += 100;
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (pod, context, mut out) = (pod(), Context::default(), io::stdout().lock());
    writeln!(out, "{:>9} {:>9}  µs, pod of {} bytes", "parse", "search", pod.to_string().len())?;
    for text in EXPRESSIONS {
        let expression = Expression::parse(text, Dialect::Kyverno)?;
        let parse = median(|| {
            let _ = black_box(Expression::parse(black_box(text), Dialect::Kyverno));
        });
        let search = median(|| {
            let _ = black_box(expression.search(black_box(&pod), &context));
        });
        writeln!(out, "{parse:9.3} {search:9.3}  {text}")?;
    }
    Ok(())
}
