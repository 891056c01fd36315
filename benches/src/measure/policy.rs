//! Verdicts on one pod that is parsed already: what an admission review costs beside its transport.

mod apply;
mod library;
mod weigh;

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_policy::exemption::{self, Exemption, Who};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Offline;
use meshward_policy::kyverno::policy::{Input, Policy, Status};
use meshward_policy::kyverno::quirk::Quirks;
use meshward_policy::pss::{Level, Pod, Version, evaluate};
use serde_json::{Value, json};

use super::Scale;

pub(crate) use apply::{measure as measure_apply, start_up};
pub(crate) use weigh::run as weigh;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let pod = library::large_pod();
    let service =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "shop"}});
    let bytes = pod.to_string().len();
    let (seventeen, fifty) = (compiled(&library::seventeen())?, compiled(&library::fifty())?);
    let input = |object| Input::created(object, &Offline);
    // A rule that only fails to be evaluated would look fast.
    for result in seventeen.iter().flat_map(|policy| policy.evaluate(&input(&pod))) {
        ensure!(result.status != Status::Error, "{}: {}", result.rule, result.message);
    }
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
    let section = |name: &str, call: &dyn Fn()| {
        let series = [("meshward".to_string(), time(name, scale.rounds * 5, call))];
        Section::new(name, note.as_str(), "µs", &series)
    };
    let mut sections: Vec<Section> =
        rows.iter().map(|(name, limit, aim, call)| section(name, call).at_most(*limit, *aim)).collect();
    for excluded in [false, true] {
        let policies = compiled(&[library::pod_security(excluded)])?;
        for (mode, quirks) in [("kyverno", Quirks::KYVERNO), ("strict", Quirks::STRICT)] {
            let exclusion = if excluded { "one exclusion" } else { "no exclusion" };
            let name = format!("podSecurity at restricted, {exclusion}, {mode}");
            sections.push(section(&name, &|| {
                drop(black_box(policies[0].evaluate_with(&input(black_box(&pod)), quirks)));
            }));
        }
    }
    let exemption = Exemption::parse(&library::exemption())
        .map_err(|errors| anyhow!("the exemption of the bench: {errors:?}"))?;
    let many = vec![exemption; 50];
    for (name, exemptions) in [("one exemption", &many[..1]), ("50 exemptions", &many[..])] {
        sections.push(section(&format!("restricted, {name}"), &|| exempted(black_box(&pod), exemptions)));
    }
    Ok(sections)
}

fn exempted(object: &Value, exemptions: &[Exemption]) {
    let now = Moment { seconds: 1_760_000_000, nanoseconds: 0, offset: 0 };
    let pod = Pod::new(object);
    let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
    black_box(exemption::apply(&mut results, &pod, &Who::of(&pod, "shop"), exemptions, now));
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
