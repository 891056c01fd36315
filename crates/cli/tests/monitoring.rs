//! The examples for Prometheus and Grafana, held to what the programs register and to what the documentation says: an
//! alert on a metric that nobody writes never fires, and nobody notices.

#![allow(clippy::panic, reason = "a test that cannot read its input has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use meshward_manifest::{Documents, Options};
use serde_json::Value;

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(workspace(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rules() -> Vec<Value> {
    let document = Documents::new(text("examples/monitoring/rules.yaml").as_bytes(), Options::default())
        .next()
        .expect("a document")
        .expect("YAML");
    let groups = document.value["spec"]["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&text("examples/monitoring/dashboard.json")).expect("JSON");
    dashboard["panels"].as_array().expect("panels").clone()
}

/// The words that begin as our metrics do.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("meshward_"));
    words.filter(|word| word.len() > "meshward_".len()).map(str::to_owned).collect()
}

/// Every text literal of the programs' sources.
fn sources() -> String {
    let mut all = String::new();
    let mut folders =
        vec![workspace("crates/control/src"), workspace("crates/kit/src"), workspace("crates/node/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.push_str(&std::fs::read_to_string(&path).expect("a source")),
            }
        }
    }
    all
}

/// As OpenMetrics names it, without what the encoder puts behind.
fn registered(metric: &str) -> &str {
    let name = metric.strip_prefix("meshward_").unwrap_or(metric);
    let name = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let name = name.strip_suffix("_total").unwrap_or(name);
    name.strip_suffix("_seconds").or_else(|| name.strip_suffix("_info")).unwrap_or(name)
}

#[test]
fn every_metric_that_is_named_is_registered() {
    let sources = sources();
    for file in ["examples/monitoring/rules.yaml", "examples/monitoring/dashboard.json", "docs/metrics.md"] {
        let named = metrics(&text(file));
        assert!(named.len() > 5, "{file} names {named:?}");
        for metric in named {
            let name = registered(&metric);
            let whole = metric.trim_start_matches("meshward_");
            let is_there = [name, whole].iter().any(|name| sources.contains(&format!("\"{name}\"")));
            assert!(is_there, "{file}: {metric} is registered by nobody");
        }
    }
}

#[test]
fn the_page_tells_of_every_alert() {
    let page = text("docs/metrics.md");
    let rules = rules();
    assert!(rules.len() > 5);
    for rule in &rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(page.contains(&format!("`{name}`")), "docs/metrics.md does not tell of {name}");
        for field in ["expr", "labels", "annotations"] {
            assert!(!rule[field].is_null(), "{name} has no {field}");
        }
    }
    let alerts: BTreeSet<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    assert_eq!(alerts.len(), rules.len(), "two alerts have one name");
    let told = page.split('`').filter(|word| word.starts_with("Meshward") && !word.contains(' '));
    told.for_each(|name| {
        assert!(alerts.contains(name), "docs/metrics.md tells of {name}, which is no alert")
    });
}

#[test]
fn panels_have_queries_and_do_not_overlap() {
    let mut taken = BTreeSet::new();
    for panel in panels() {
        let title = panel["title"].as_str().expect("a title");
        let targets = panel["targets"].as_array().expect("targets");
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{title}");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{title} is too wide");
        for (x, y) in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert((x, y)), "{title} lies on another one");
        }
    }
}
