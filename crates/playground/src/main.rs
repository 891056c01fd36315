//! The whole engine from bytes to verdicts, in the way that every shell of it works: a policy and an object as JSON, the
//! Pod Security Standards, Kyverno's rules, a JMESPath query. `cargo xtask wasm` builds it for the browser and weighs
//! it, so that what the crate needs there cannot grow unseen.
//!
//! `black_box` stands for input that is not known when this is compiled: nothing can be computed beforehand and left
//! out.
#![allow(clippy::print_stdout, reason = "its output is its result")]

use std::error::Error;
use std::hint::black_box;

use meshward_policy::jmespath::{Context, Dialect, Expression, Offline};
use meshward_policy::kyverno::policy::{Input, Policy};
use meshward_policy::pss::{self, Level, Version};
use serde_json::Value;

const POLICY: &[u8] = br#"{"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "labels"},
"spec": {"rules": [{"name": "team", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {
"message": "{{ request.object.metadata.name }} needs a team", "pattern": {"metadata": {"labels": {"team": "?*"}}}}}]}}"#;

const POD: &[u8] = br#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
"spec": {"containers": [{"name": "web", "image": "web", "securityContext": {"privileged": true}}]}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let policy: Value = serde_json::from_slice(black_box(POLICY))?;
    let pod: Value = serde_json::from_slice(black_box(POD))?;

    if let Some(template) = pss::extract(&pod)? {
        for result in pss::evaluate(Level::Restricted, Version::Latest, &template) {
            if let Some((reason, detail)) = result.text() {
                println!("{reason}: {detail}");
            }
        }
    }

    let policy = Policy::compile(&policy).map_err(|errors| format!("{errors:?}"))?;
    let input = Input::created(&pod, &Offline);
    for result in policy.evaluate(&input) {
        println!("{} {}: {} {}", result.policy, result.rule, result.status.as_str(), result.message);
    }

    let query = Expression::parse(black_box("spec.containers[].to_upper(name)"), Dialect::Kyverno)?;
    println!("{}", query.search(&pod, &Context::default())?);
    Ok(())
}
