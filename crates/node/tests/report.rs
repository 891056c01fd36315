//! From what the engine reports to what people see: Events, the pod's annotation and condition, metrics. All of it pure,
//! driven by a recorded stream.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use meshward_kit::events::{EventAction, EventPlan, Severity};
use meshward_manifest::{Documents, Options};
use meshward_mesh::PodRecord;
use meshward_node::report::{Display, EventPlanner, Happened, Metrics, Report, Shown};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

struct Step {
    at: i64,
    says: String,
    report: Report,
}

fn steps() -> Vec<Step> {
    let text = include_bytes!("report/stream.yaml");
    let document =
        Documents::new(text, Options::default()).next().expect("as written").expect("as written").value;
    let mut pod = document["pod"].clone();
    let steps = document["steps"].as_array().expect("as written").iter();
    steps
        .map(|step| {
            for (key, value) in step["set"].as_object().into_iter().flatten() {
                pod[key] = value.clone();
            }
            for key in step["clear"].as_array().into_iter().flatten() {
                pod.as_object_mut().expect("as written").remove(key.as_str().expect("as written"));
            }
            let record: PodRecord = serde_json::from_value(pod.clone()).expect("as written");
            Step {
                at: step["at"].as_i64().expect("as written"),
                says: step["says"].as_str().expect("as written").into(),
                report: Report {
                    record: Arc::new(record),
                    happened: step.get("happened").map(happened),
                    gone: step["gone"] == json!(true),
                },
            }
        })
        .collect()
}

fn happened(value: &Value) -> Happened {
    let took = |value: &Value| Duration::from_secs_f64(value.as_f64().expect("as written"));
    match value {
        Value::String(name) => match name.as_str() {
            "refused" => Happened::Refused,
            "failed" => Happened::Failed,
            "unredirected" => Happened::Unredirected,
            "gate-taken" => Happened::GateTaken,
            "removed" => Happened::Removed,
            "waits" => Happened::Waits,
            other => unreachable!("{other}"),
        },
        value => {
            let (name, value) = value.as_object().expect("as written").iter().next().expect("as written");
            match name.as_str() {
                "programmed" => Happened::Programmed { took: took(value) },
                "reconfigured" => Happened::Reconfigured { took: took(value) },
                "adopted" => Happened::Adopted { took: took(value) },
                "repaired" => Happened::Repaired {
                    by: value["by"].as_str().map(String::from),
                    what: value["what"].as_str().expect("as written").into(),
                },
                other => unreachable!("{other}"),
            }
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    "2026-11-21T10:00:00Z".parse::<Timestamp>().expect("as written") + SignedDuration::from_secs(seconds)
}

#[test]
fn events_and_patches() {
    let mut planner = EventPlanner::new(at(0));
    let mut shown = std::collections::HashMap::<String, Shown>::new();
    let mut text = String::new();
    for Step { at: seconds, says, report } in steps() {
        writeln!(text, "{seconds}s {says}").unwrap();
        if let Some(action) = planner.plan(&report, at(seconds)) {
            writeln!(text, "  {}", line(&action)).unwrap();
        }
        let display = Display::of(&report.record, true);
        let shown = shown.entry(report.record.uid.clone()).or_default();
        if !report.gone && display.is_worth(shown) && !display.is_shown(shown) {
            let patch = display.patch(&report.record.uid, shown, &at(seconds).to_string());
            writeln!(text, "  patch {patch}").unwrap();
            *shown = display.shown(shown);
            assert!(display.is_shown(shown), "written once");
        }
    }
    insta::assert_snapshot!(text);
}

fn line(action: &EventAction) -> String {
    let told = |event: &EventPlan| {
        let severity = if event.severity == Severity::Normal { "Normal" } else { "Warning" };
        format!("{severity} {} ({}): {}", event.reason, event.action, event.note)
    };
    match action {
        EventAction::Create { name, event } => format!("event {name} {}", told(event)),
        EventAction::Count { name, count, event } => format!("event {name} x{count} {}", told(event)),
        EventAction::Held => "event held".into(),
        EventAction::Dropped(reason) => format!("event dropped: {reason}"),
    }
}

#[test]
fn metrics() {
    let mut registry = Registry::with_prefix("meshward");
    let metrics = Metrics::register(&mut registry, "0.1.0");
    for step in steps() {
        metrics.observe(&step.report);
    }
    metrics.gate_opened(Duration::from_millis(3));
    let text = meshward_kit::admin::openmetrics(&registry).unwrap();
    // Families keep no order.
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.contains("_bucket")).collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_pod_that_is_fought_over_cannot_fill_the_cluster() {
    let mut planner = EventPlanner::new(at(0));
    let steps = steps();
    let fought = &steps[4].report;
    let mut counts = [0, 0];
    for nth in 0..1000 {
        let happened = Happened::Repaired { by: Some(format!("nft (pid {nth})")), what: "x".into() };
        let report = Report { happened: Some(happened), ..fought.clone() };
        match planner.plan(&report, at(nth / 100)) {
            Some(EventAction::Create { .. }) => counts[0] += 1,
            Some(EventAction::Dropped("RulesRepaired")) => counts[1] += 1,
            other => unreachable!("{other:?}"),
        }
    }
    assert_eq!(counts, [10, 990]);
}

#[test]
fn what_matters_is_told_however_busy_the_node_is() {
    let mut planner = EventPlanner::new(at(0));
    let steps = steps();
    let mut told = 0;
    let report = |planner: &mut EventPlanner, uid: usize, happened| {
        let mut record = PodRecord::clone(&steps[0].report.record);
        record.uid = uid.to_string();
        let report = Report { record: Arc::new(record), happened: Some(happened), gone: false };
        planner.plan(&report, at(0))
    };
    for uid in 0..500 {
        let action = report(&mut planner, uid, Happened::Programmed { took: Duration::ZERO });
        told += usize::from(matches!(action, Some(EventAction::Create { .. })));
    }
    assert_eq!(told, 200);
    for uid in 0..500 {
        let action = report(&mut planner, uid, Happened::Unredirected);
        assert!(matches!(action, Some(EventAction::Create { .. })), "{uid}: {action:?}");
    }
}

#[test]
fn what_a_pod_shows_is_read_back() {
    let record = &steps()[1].report.record;
    let display = Display::of(record, true);
    let mut pod = display.patch(&record.uid, &Shown::default(), "2026-11-21T10:00:01Z");
    pod["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "Ready", "status": "True"}));
    let pod: Pod = serde_json::from_value(pod).unwrap();
    assert_eq!(Shown::of(&pod), display.shown(&Shown::default()));
    assert!(display.is_shown(&Shown::of(&pod)));

    let empty: Pod = serde_json::from_value(json!({})).unwrap();
    assert!(Shown::of(&empty).is_empty());
    let text = json!({"metadata": {"annotations": {"meshward.dev/status": "{\"phase\":\"golden\"}"}}});
    let forged: Pod = serde_json::from_value(text).unwrap();
    assert!(Shown::of(&forged).status.is_none(), "what cannot be read is written anew");
}
