//! One table a check: what it says about a pod at every version.

use std::{collections::BTreeMap, fs, path::Path};

use meshward_policy::pss::{CHECKS, CheckId, CheckResult, Level, NEWEST, Pod, Version, evaluate};
use serde_json::{Value, json};

use crate::cases::{read, rows, text};

#[test]
fn every_check_says_what_its_table_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/pss");
    let mut covered = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let table = read(&path);
        let id: CheckId =
            text(&table, "check").parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(id.as_str()));
        let cases = rows(&table, "cases");
        for case in cases {
            judge(id, case);
        }
        covered.insert(id, cases.len());
    }
    assert_eq!(covered.len(), CHECKS.len(), "{covered:?}");
}

fn judge(id: CheckId, case: &Value) {
    let name = format!("{id}: {}", text(case, "name"));
    let annotations = case.get("annotations").cloned().unwrap_or_default();
    let object = json!({"metadata": {"name": "x", "annotations": annotations}, "spec": case["spec"]});
    let pod = Pod::new(&object);
    assert!(pod.malformed(&object).is_empty(), "{name}");
    let level = match text(case, "level") {
        "" => id.check().unwrap().level,
        level => level.parse::<Level>().unwrap(),
    };
    let versions = (0..=NEWEST + 1).map(Version::Minor).chain([Version::Latest]);
    for version in versions {
        let minor = if let Version::Minor(minor) = version { minor } else { u64::MAX };
        let rows = rows(case, "expect");
        let expected = rows.iter().rfind(|row| row["from"].as_u64().is_some_and(|from| from <= minor));
        let expected = expected.unwrap_or_else(|| panic!("{name}: nothing expected at {version}"));
        let results = evaluate(level, version, &pod);
        let result = results.iter().find(|result| result.check.id == id);
        compare(&format!("{name} at {version}"), expected, result);
    }
}

fn compare(name: &str, expected: &Value, result: Option<&CheckResult<'_>>) {
    assert_eq!(result.is_none(), expected["absent"] == true, "{name}");
    let Some(result) = result else { return };
    assert_eq!(result.allowed(), expected["allowed"] == true, "{name}: {:?}", result.text());
    if let Some((reason, detail)) = result.text() {
        assert_eq!((reason, detail.as_str()), (text(expected, "reason"), text(expected, "detail")), "{name}");
    }
    if let Some(fields) = expected.get("fields") {
        let found: Vec<Value> = result.findings.iter().map(describe).collect();
        assert_eq!(fields, &Value::Array(found), "{name}");
    }
}

fn describe(finding: &meshward_policy::pss::Finding<'_>) -> Value {
    let mut row = json!({
        "path": finding.path(),
        "restricted": finding.restricted_field(),
        "pointer": finding.pointer(),
    });
    if let Some(container) = finding.container() {
        row["container"] = json!(format!("{} {}", container.kind.as_str(), container.name));
    }
    if let Some(value) = finding.value {
        row["value"] = value.clone();
    }
    row
}

/// What an exemption takes out, the sentence no longer says; what it leaves, the sentence says then.
#[test]
fn sentences_speak_of_what_exemptions_leave() {
    let object = json!({"spec": {
        "initContainers": [{"name": "init", "securityContext": {
            "runAsNonRoot": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW", "SYS_TIME"], "drop": ["ALL"]},
        }}],
        "containers": [{"name": "app"}],
    }});
    let mut results = evaluate(Level::Restricted, Version::Latest, &Pod::new(&object));
    for result in &mut results {
        result.retain(|finding| {
            let init = finding.container().is_some_and(|container| container.name == "init");
            let granted = matches!(finding.value_text().as_ref(), "NET_ADMIN" | "NET_RAW" | "false");
            !(init && granted)
        });
    }
    let detail =
        |id: CheckId| results.iter().find(|result| result.check.id == id).and_then(CheckResult::detail);
    assert_eq!(
        detail(CheckId::CapabilitiesRestricted).as_deref(),
        Some(
            r#"container "app" must set securityContext.capabilities.drop=["ALL"]; container "init" must not include "SYS_TIME" in securityContext.capabilities.add"#
        )
    );
    assert_eq!(
        detail(CheckId::RunAsNonRoot).as_deref(),
        Some(r#"pod or container "app" must set securityContext.runAsNonRoot=true"#)
    );
}
