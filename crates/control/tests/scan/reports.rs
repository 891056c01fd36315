//! Whatever results there are, their report is bounded, says how much it leaves out, and is the same every time.

use meshward_control::observed::Subject;
use meshward_control::report::{Bounds, Content, Form, Held, Line, TRUNCATED, render};
use proptest::prelude::*;
use serde_json::Value;

fn subject() -> Subject {
    Subject {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: "shop".into(),
        name: "web".into(),
        uid: "aaaaaaaa-0000-0000-0000-000000000001".into(),
    }
}

prop_compose! {
    fn line()(
        policy in "[a-d]{1,2}", rule in "[a-e]{0,2}", result in prop::sample::select(vec!["pass", "fail", "warn", "error", "skip"]),
        message in ".{0,40}", times in 0_usize..400, scored: bool,
        properties in prop::collection::btree_map("[a-z]{1,6}", ".{0,30}", 0..40), seconds in 0_i64..1_000_000,
    ) -> Line {
        Line {
            source: "kyverno".into(), policy, rule, result: result.into(), scored,
            message: message.repeat(times), properties,
            timestamp: Some(serde_json::from_value(serde_json::json!({"seconds": seconds})).unwrap()),
            ..Line::default()
        }.bounded()
    }
}

proptest! {
    #[test]
    fn reports_are_bounded_and_deterministic(
        lines in prop::collection::vec(line(), 0..60), most in 1_usize..20, bytes in 600_usize..60_000, turn in 0_usize..60,
    ) {
        let bounds = Bounds { results: most, bytes };
        let mut content = Content::new(lines.clone(), &bounds);
        let mut turned = lines.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(Content::new(turned, &bounds).hash(), content.hash());
        prop_assert!(content.lines().len() <= most);

        let told = content.lines().len() + content.left_out();
        let summary = content.summary();
        prop_assert_eq!(told, summary.pass + summary.fail + summary.warn + summary.error + summary.skip);
        let mut identities: Vec<_> = lines.iter().map(Line::identity).collect();
        identities.sort_unstable();
        identities.dedup();
        prop_assert_eq!(told, identities.len(), "each rule once");

        content.date(&[], 7);
        let hash = content.hash();
        let report = render(&subject(), &content, &hash, Form::PolicyReport);
        prop_assert!(report["results"].to_string().len() <= bytes + 2 + content.lines().len());
        let annotated = report.pointer("/metadata/annotations").unwrap().get(TRUNCATED);
        prop_assert_eq!(annotated.is_some(), content.left_out() > 0);

        // What was written is known again, and nothing of it is new.
        let held = Held::of(&report);
        prop_assert_eq!(&held.scan, &hash);
        prop_assert_eq!(&held.lines[..], content.lines());
        let mut again = Content::new(lines, &bounds);
        let news = again.date(&held.lines, 8);
        prop_assert!(news.is_empty(), "{:?}", news);
        prop_assert_eq!(&again, &content);
    }

    /// What others wrote, or somebody damaged, is read without harm.
    #[test]
    fn any_report_is_read(results in prop::collection::vec(prop_oneof![
        Just(Value::Null), Just(serde_json::json!({"policy": 7})), Just(serde_json::json!({"policy": "a", "severity": "x"})),
        Just(serde_json::json!({"policy": "a", "result": "pass", "resources": [{}]})), Just(serde_json::json!([])),
    ], 0..6)) {
        let readable = results.iter().filter(|one| one.get("resources").is_some()).count();
        let report = serde_json::json!({"results": results, "metadata": {"annotations": {"meshward.dev/content": "x"}}});
        let held = Held::of(&report);
        prop_assert_eq!((held.lines.len(), held.scan.as_str()), (readable, ""));
    }
}

#[test]
fn failures_are_told_before_passes() {
    let line = |rule: usize, result: &str| Line {
        policy: "p".into(),
        rule: format!("{rule:03}"),
        result: result.into(),
        ..Line::default()
    };
    let lines: Vec<Line> =
        (0..100).map(|rule| line(rule, if rule % 10 == 9 { "fail" } else { "pass" })).collect();
    let content = Content::new(lines, &Bounds { results: 12, ..Bounds::default() });
    let told: Vec<_> =
        content.lines().iter().map(|line| (line.rule.as_str(), line.result.as_str())).collect();
    assert_eq!(told.iter().filter(|(_, result)| *result == "fail").count(), 10);
    assert_eq!((told.len(), content.left_out(), content.summary().pass), (12, 88, 90));
    assert!(told.is_sorted(), "{told:?}");
}
