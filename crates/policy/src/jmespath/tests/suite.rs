//! The compliance suite of jmespath.org, where it is there.

use super::*;
use std::path::PathBuf;

fn suites() -> Option<PathBuf> {
    let folder = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    Some(folder.join("jmespath")).filter(|folder| folder.is_dir())
}

/// The suite's name for an error.
fn kind(outcome: &Result<Result<Value, SearchError>, ParseError>) -> &'static str {
    match outcome {
        Err(_) => "syntax",
        Ok(Ok(_)) => "none",
        Ok(Err(SearchError::UnknownFunction { .. })) => "unknown-function",
        Ok(Err(SearchError::Arity { .. })) => "invalid-arity",
        Ok(Err(SearchError::ArgumentType { .. })) => "invalid-type",
        Ok(Err(_)) => "invalid-value",
    }
}

fn holds(given: &Value, case: &Value) -> Result<(), String> {
    let text = case["expression"].as_str().unwrap();
    let outcome = Expression::parse(text, Dialect::Standard)
        .map(|expression| expression.search(given, &Context::default()).map(Cow::into_owned));
    let expected = match case.get("error") {
        Some(error) => return check(kind(&outcome) == error, text, &outcome, error),
        None => &case["result"],
    };
    let equal = matches!(&outcome, Ok(Ok(found)) if super::super::item::values_equal(found, expected))
        || case.get("bench").is_some() && matches!(outcome, Ok(Ok(_)));
    check(equal, text, &outcome, expected)
}

fn check(
    holds: bool,
    text: &str,
    outcome: &Result<Result<Value, SearchError>, ParseError>,
    expected: &Value,
) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{text}: expected {expected}, found {outcome:?}")) }
}

#[test]
fn compliance() {
    let Some(folder) = suites() else {
        meshward_netlab::skipped("no suites of the peers here");
        return;
    };
    let (mut count, mut failures) = (0, Vec::new());
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let groups: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for group in &groups {
            for case in group["cases"].as_array().unwrap() {
                count += 1;
                if let Err(failure) = holds(&group["given"], case) {
                    failures.push(format!("{}: {failure}", path.display()));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 900, "only {count} cases found");
}
