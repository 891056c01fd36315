//! Verdicts on one pod that is parsed already: what an admission review costs beside its transport.

mod apply;
mod library;
mod weigh;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow};
use meshward_policy::jmespath::Offline;
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Input, NoLookup, Policy};
use meshward_policy::kyverno::quirk::Quirks;
use meshward_policy::pss::{Level, Pod, Version, evaluate};
use serde_json::{Value, json};

use super::Scale;
use crate::report::Section;
use crate::rounds::progress;
use crate::series::Series;

pub(crate) use apply::{measure as measure_apply, start_up};
pub(crate) use weigh::run as weigh;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let pod = library::large_pod();
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "shop"}});
    let bytes = pod.to_string().len();
    let (seventeen, fifty) = (compiled(&library::seventeen())?, compiled(&library::fifty())?);
    let user = UserInfo::default();
    let input = |object| Input {
        object,
        old_object: &Value::Null,
        operation: "CREATE",
        gvk: None,
        subresource: "",
        namespace_labels: &Value::Null,
        user: &user,
        variables: &[],
        exceptions: &[],
        lookup: &NoLookup,
        environment: &Offline,
    };
    let all = |policies: &[Policy]| {
        policies.iter().for_each(|policy| drop(black_box(policy.evaluate(&input(black_box(&pod))))))
    };
    let rows: [(&str, f64, &str, &dyn Fn()); 4] = [
        ("Pod Security Standards, restricted", 20.0, "at most 20 µs", &|| {
            black_box(evaluate(Level::Restricted, Version::Latest, &Pod::new(black_box(&pod))));
        }),
        ("17 policies, one control each", 150.0, "at most 150 µs", &|| all(&seventeen)),
        ("50 policies", 450.0, "at most three times as much as 17", &|| all(&fifty)),
        ("an object that a policy is not about", 1.0, "at most 1 µs", &|| {
            drop(black_box(seventeen[1].evaluate(&input(black_box(&service)))));
        }),
    ];
    let note = format!("one pod of {bytes} bytes, parsed already, on one core; a run is 20 calls");
    let sections = rows.map(|(name, limit, aim, call)| {
        let series = [("meshward".to_string(), time(name, scale.rounds * 5, call))];
        Section::new(name, note.as_str(), "µs", &series).at_most(limit, aim)
    });
    Ok(sections.into())
}

fn compiled(documents: &[Value]) -> Result<Vec<Policy>> {
    let compile = |document| {
        Policy::compile_with(document, Quirks::KYVERNO)
            .map_err(|errors| anyhow!("a policy of the bench: {errors:?}"))
    };
    documents.iter().map(compile).collect()
}

/// Microseconds a call, by rounds.
fn time(label: &str, rounds: usize, call: &dyn Fn()) -> Series {
    const CALLS: u32 = 20;
    let mut series = Series::default();
    for round in 0..=rounds {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        if round > 0 {
            series.push_value(start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
        }
    }
    progress(label, rounds, rounds);
    series
}
