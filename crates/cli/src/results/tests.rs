//! All renderers say the same: the same objects, the same statuses, the same counts.

use meshward_manifest::{Documents, Options};
use proptest::prelude::*;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::{Value, json};

use super::*;

const STATUSES: [Status; 5] = [Status::Pass, Status::Fail, Status::Warn, Status::Error, Status::Skip];

const PLAIN: Screen = Screen { width: 110, colours: false };

/// One row: which object and what about it.
type Row = (String, String, Status);

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9-]{0,12}",
        1 => "[ -~]{1,20}",
        1 => "\\PC{1,12}",
        1 => "[\\x00-\\x1f|<>&\\\\`*_\u{202e}\u{1b}a]{1,12}",
    ]
}

prop_compose! {
    fn field()(path in text(), value in prop_oneof![Just(Value::Null), text().prop_map(Value::from)],
               remark in text(), line in 1u32..5) -> FieldValue {
        let place = Position { line, column: 1, end_line: line, end_column: 3, offset: (line - 1) * 4, end: (line - 1) * 4 + 2 };
        FieldValue { path, value, position: Some(place), remark }
    }
}

prop_compose! {
    fn verdict()(policy in text(), rule in text(), status in prop::sample::select(&STATUSES[..]), message in text(),
                 fields in prop::collection::vec(field(), 0..3), control in any::<bool>(),
                 severity in prop::option::of(prop::sample::select(&Severity::ALL[..]))) -> Verdict {
        let control = control.then_some("Capabilities");
        Verdict { fields, control, severity, ..Verdict::new(policy, rule, status, message) }
    }
}

prop_compose! {
    fn listed()(file in text(), kind in text(), namespace in prop_oneof![Just(String::new()), text()], name in text(),
                line in 1u32..5, verdicts in prop::collection::vec(verdict(), 0..4), headline in prop::option::of(text()),
                lines in any::<bool>()) -> Listed {
        let source = Source::whole(b"a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n");
        let place = Position { line, column: 1, end_line: line, end_column: 2, offset: 0, end: 1 };
        let positions: Vec<_> = verdicts.iter().flat_map(|v| &v.fields).filter_map(|f| f.position).collect();
        let excerpt = if lines { source.excerpt(positions.into_iter()) } else { None };
        let object = ObjectReference { file: file.into(), position: Some(place), kind, namespace, name, ..Default::default() };
        Listed { object, verdicts, headline, excerpt }
    }
}

prop_compose! {
    fn results()(objects in prop::collection::vec(listed(), 0..4), problems in prop::collection::vec(text(), 0..2)) -> Results {
        let problem = |message| Problem { file: "broken.yaml".into(), message, ..Default::default() };
        Results { verb: "check", objects, problems: problems.into_iter().map(problem).collect() }
    }
}

fn status(word: &str) -> Status {
    *STATUSES.iter().find(|status| status.as_str() == word).unwrap_or_else(|| panic!("no status {word:?}"))
}

fn expected(results: &Results) -> Vec<Row> {
    let row =
        |(listed, verdict): (&Listed, &Verdict)| (listed.object.title(), verdict.title(), verdict.status);
    results.verdicts().map(row).collect()
}

fn of_value(value: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    for object in value.as_array().unwrap() {
        let reference = ObjectReference {
            kind: text(object, "kind"),
            namespace: text(object, "namespace"),
            name: text(object, "name"),
            ..Default::default()
        };
        for result in object["results"].as_array().unwrap() {
            let verdict = Verdict::new(
                text(result, "policy"),
                text(result, "rule"),
                status(&text(result, "status")),
                text(result, "message"),
            );
            rows.push((reference.title(), verdict.title(), verdict.status));
        }
    }
    rows
}

fn of_junit(text: &str) -> (Vec<Row>, usize) {
    let report = Report::deserialize_from_str(text).unwrap();
    let (mut rows, mut problems) = (Vec::new(), 0);
    for case in report.test_suites.iter().flat_map(|suite| &suite.test_cases) {
        let warns = case.properties.iter().any(|property| property.value.as_str() == "warn");
        let status = match &case.status {
            TestCaseStatus::Success { .. } if warns => Status::Warn,
            TestCaseStatus::Success { .. } => Status::Pass,
            TestCaseStatus::NonSuccess { ty, .. } if ty.as_ref().is_some_and(|ty| ty.as_str() == "input") => {
                problems += 1;
                continue;
            }
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => Status::Fail,
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => Status::Error,
            TestCaseStatus::Skipped { .. } => Status::Skip,
        };
        let class = case.classname.as_ref().unwrap().as_str().to_owned();
        rows.push((class, case.name.as_str().to_owned(), status));
    }
    (rows, problems)
}

fn statuses(rows: &[Row]) -> Vec<Status> {
    rows.iter().map(|row| row.2).collect()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| (&a.0, &a.1, a.2.as_str()).cmp(&(&b.0, &b.1, b.2.as_str())));
    rows
}

/// XML cannot hold every character; what it cannot is left out of texts.
fn in_xml(rows: Vec<Row>) -> Vec<Row> {
    let xml = |text: String| quick_junit::XmlString::new(text).as_str().to_owned();
    rows.into_iter().map(|(object, rule, status)| (xml(object), xml(rule), status)).collect()
}

fn table_statuses(text: &str) -> Vec<Status> {
    let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("RESULT ")).skip(1);
    let words = rows.take_while(|line| !line.is_empty()).filter_map(|line| {
        let line = line.strip_prefix(' ')?;
        STATUSES.into_iter().find(|status| line.split(' ').next() == Some(status.as_str()))
    });
    words.collect()
}

proptest! {
    #[test]
    fn renderers_agree(results in results()) {
        let rows = expected(&results);
        let totals = results.totals();
        let value: Value = serde_json::from_str(&render(&results, Form::Json, PLAIN)).unwrap();
        prop_assert_eq!(&of_value(&value), &rows);

        for form in [Form::Json, Form::Yaml] {
            let mut entries = Entries::of(form).unwrap();
            let mut text: String = results.objects.iter().map(|listed| entries.entry(listed)).collect();
            text.push_str(entries.end());
            prop_assert_eq!(text, render(&results, form, PLAIN));
        }

        let yaml = render(&results, Form::Yaml, PLAIN);
        let read = Documents::new(yaml.as_bytes(), Options::default()).next();
        if let Some(document) = read {
            prop_assert_eq!(&of_value(&document.unwrap().value), &rows);
        } else {
            prop_assert!(results.objects.is_empty());
        }

        let (junit, problems) = of_junit(&render(&results, Form::Junit, PLAIN));
        prop_assert_eq!(sorted(junit), sorted(in_xml(rows.clone())));
        prop_assert_eq!(problems, results.problems.len());

        let sarif: Value = serde_json::from_str(&render(&results, Form::Sarif, PLAIN)).unwrap();
        let run = &sarif["runs"][0];
        prop_assert_eq!(&run["properties"]["totals"], &json!(totals));
        let findings = statuses(&rows).into_iter().filter(|s| !matches!(s, Status::Pass | Status::Skip));
        let listed = run["results"].as_array().unwrap().iter();
        prop_assert_eq!(findings.collect::<Vec<_>>(),
            listed.map(|result| status(result["properties"]["status"].as_str().unwrap())).collect::<Vec<_>>());
        prop_assert_eq!(run["invocations"][0]["executionSuccessful"] == true, results.problems.is_empty());

        let markdown = render(&results, Form::Markdown, PLAIN);
        let cells = markdown.lines().skip(2).take_while(|line| line.starts_with('|'));
        let words = cells.map(|line| status(line.split(' ').nth(1).unwrap().trim_matches('*')));
        prop_assert_eq!(words.collect::<Vec<_>>(), statuses(&rows));
        prop_assert!(markdown.contains(&totals.to_string()));

        let table = render(&results, Form::Table, PLAIN);
        prop_assert!(table.contains(&totals.to_string()));
        if !rows.is_empty() {
            prop_assert!(table_statuses(&table).len() >= rows.len());
        }

        let reports = policy_reports(&results, 0);
        let count = |key: &str| reports.iter().map(|r| r["summary"][key].as_u64().unwrap() as usize).sum::<usize>();
        prop_assert_eq!(Totals { pass: count("pass"), fail: count("fail"), warn: count("warn"),
            error: count("error"), skip: count("skip") }, totals);
    }

    #[test]
    fn nothing_steers_a_terminal(results in results()) {
        let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        for form in [Form::Table, Form::Markdown] {
            let text = render(&results, form, PLAIN);
            prop_assert!(!text.chars().any(steers), "{:?}", text);
        }
    }
}
