//! Policies: the small languages that stand in them, and the whole way from a document to a verdict.

use meshward_manifest::{Documents, Limits, Options};
use meshward_policy::duration::Duration;
use meshward_policy::exemption::{Exemption, Who, apply, near_misses};
use meshward_policy::fields;
use meshward_policy::go::time::Moment;
use meshward_policy::image::ImagePattern;
use meshward_policy::jmespath::{Context, Dialect, Expression, Offline};
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Exception, Input, NoLookup, Policy};
use meshward_policy::kyverno::quirk::Quirks;
use meshward_policy::pss::{Level, Version, evaluate, extract};
use meshward_policy::quantity::Quantity;
use meshward_policy::{kyverno, wildcard};
use serde_json::Value;
use std::str::from_utf8;

const LIMITS: Limits = Limits { bytes: 1 << 18, depth: 64, nodes: 5000, repeated_nodes: 1024 };
const NOW: Moment = Moment { seconds: 1_760_000_000, nanoseconds: 0, offset: 0 };

fn documents(data: &[u8]) -> Vec<Value> {
    let options = Options { limits: LIMITS, spans: false, strict: false };
    Documents::new(data, options).filter_map(Result::ok).map(|document| document.value).take(8).collect()
}

/// The text up to the first line end, and the rest.
fn two(data: &[u8]) -> Option<(&str, &str)> {
    from_utf8(data).ok()?.split_once('\n')
}

/// A pattern and a text: a pattern matches itself where it has no wildcards, and adding a star never unmatches.
pub fn wildcard(data: &[u8]) {
    let Some((pattern, text)) = two(data).filter(|(pattern, text)| pattern.len() * text.len() < 1 << 20)
    else {
        return;
    };
    let matched = wildcard::matches(pattern, text);
    assert!(wildcard::is_pattern(pattern) || matched == (pattern == text));
    assert!(!matched || wildcard::matches(&format!("{pattern}*"), text));
    if let Ok(pattern) = ImagePattern::parse(pattern) {
        let _ = pattern.matches(text);
        assert_eq!(ImagePattern::parse(&pattern.to_string()), Ok(pattern));
    }
}

/// What a quantity prints, it reads as the same. Not beyond `E`, the last suffix: there upstream prints none, so that
/// `1000E` becomes `1`, and so do we.
pub fn quantity(data: &[u8]) {
    const ZETTA: f64 = 1e21;
    let Some(quantity) = from_utf8(data).ok().and_then(|text| Quantity::parse(text).ok()) else { return };
    let again = Quantity::parse(&quantity.to_string());
    if quantity.approximate().abs() >= ZETTA {
        return;
    }
    assert_eq!(again.as_ref(), Ok(&quantity));
}

/// What a duration prints, it reads as the same.
pub fn duration(data: &[u8]) {
    let Some(duration) = from_utf8(data).ok().and_then(|text| Duration::parse(text).ok()) else { return };
    assert_eq!(Duration::parse(&duration.to_string()), Ok(duration));
}

/// An expression, and the document that it is asked about.
pub fn jmespath(data: &[u8]) {
    let Some((expression, document)) = two(data) else { return };
    let document = documents(document.as_bytes()).into_iter().next().unwrap_or_default();
    for dialect in [Dialect::Standard, Dialect::Kyverno] {
        let Ok(expression) = Expression::parse(expression, dialect) else { continue };
        let _ = (expression.tree(), expression.unknown_functions());
        let _ = expression.search(&document, &Context::default());
    }
}

/// A pattern and an object, as two documents.
pub fn pattern(data: &[u8]) {
    if let [pattern, object, ..] = documents(data).as_slice()
        && let Err(mismatch) = kyverno::pattern::Pattern::new(pattern).check(object)
    {
        assert!(!mismatch.skip || mismatch.path.is_empty());
    }
}

/// A policy, exceptions and objects, in any order: every policy is asked about every object in every way.
pub fn policy(data: &[u8]) {
    let documents = documents(data);
    documents.iter().for_each(|document| drop(fields::check(document)));
    let exceptions: Vec<Exception> = documents.iter().filter_map(|d| Exception::parse(d).ok()).collect();
    let user = UserInfo { username: "system:serviceaccount:a:b".to_owned(), ..UserInfo::default() };
    for quirks in [Quirks::KYVERNO, Quirks::STRICT] {
        let policies = documents.iter().filter_map(|document| Policy::compile_with(document, quirks).ok());
        for policy in policies {
            let _ = policy.quirks_touched();
            for object in &documents {
                for operation in ["CREATE", "UPDATE", "DELETE"] {
                    let input = Input {
                        object: if operation == "DELETE" { &Value::Null } else { object },
                        old_object: if operation == "CREATE" { &Value::Null } else { object },
                        operation,
                        gvk: None,
                        subresource: "",
                        namespace_labels: &Value::Null,
                        user: &user,
                        request: &Value::Null,
                        variables: &[],
                        exceptions: &exceptions,
                        lookup: &NoLookup,
                        environment: &Offline,
                    };
                    assert_eq!(policy.evaluate(&input), policy.evaluate_with(&input, quirks));
                }
            }
        }
    }
}

/// Exemptions and pods: what is left was there before, and whatever is left has a reason.
pub fn exemption(data: &[u8]) {
    let documents = documents(data);
    let exemptions: Vec<Exemption> = documents.iter().filter_map(|d| Exemption::parse(d).ok()).collect();
    for object in &documents {
        let Ok(Some(pod)) = extract(object) else { continue };
        let who = Who::of(&pod, "shop");
        let mut results = evaluate(Level::Restricted, Version::Latest, &pod);
        let count = |results: &[meshward_policy::pss::CheckResult<'_>]| -> usize {
            results.iter().map(|result| result.findings.len()).sum()
        };
        let before = count(&results);
        let removed = apply(&mut results, &pod, &who, &exemptions, NOW);
        assert_eq!(before, count(&results) + removed.len());
        for result in &results {
            for finding in result.findings.iter().take(8) {
                let near = near_misses(result.check, finding, &pod, &who, &exemptions, NOW);
                assert!(near.iter().all(|near| !near.misses.is_empty()));
            }
        }
    }
}
