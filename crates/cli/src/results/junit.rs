//! JUnit XML, for the servers of continuous integration: one suite a file, one case a verdict. What could not be read
//! is an erring case, so that a broken file never looks like a green one.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Listed, Problem, Results, Status, Verdict};

pub(super) fn render(results: &Results) -> String {
    let mut report = Report::new(format!("meshward {}", results.verb));
    let mut suites: Vec<TestSuite> = Vec::new();
    for (listed, verdict) in results.verdicts() {
        suite(&mut suites, &listed.object.file).add_test_case(case(listed, verdict));
    }
    for problem in &results.problems {
        suite(&mut suites, &problem.file).add_test_case(erring(problem));
    }
    report.add_test_suites(suites);
    // Writing to memory cannot fail, and the texts are checked when they are made.
    report.to_string().unwrap_or_default()
}

/// The suite of a file; those of one file follow each other nearly always.
fn suite<'s>(suites: &'s mut Vec<TestSuite>, file: &str) -> &'s mut TestSuite {
    let name = if file.is_empty() { "cluster" } else { file };
    let index = suites.iter().rposition(|suite| suite.name.as_str() == name).unwrap_or_else(|| {
        suites.push(TestSuite::new(name));
        suites.len() - 1
    });
    &mut suites[index]
}

fn case(listed: &Listed, verdict: &Verdict) -> TestCase {
    let mut status = match verdict.status {
        Status::Pass | Status::Warn => TestCaseStatus::success(),
        Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Skip => TestCaseStatus::skipped(),
    };
    status.set_message(verdict.message.as_str()).set_type(verdict.status.as_str());
    status.set_description(description(listed, verdict));
    let mut case = TestCase::new(verdict.title(), status);
    case.set_classname(listed.object.title());
    // A case that warns has to pass; the word is all that JUnit can be told.
    if verdict.status == Status::Warn {
        case.add_property(("status", "warn")).set_system_out(format!("warning: {}", verdict.message));
    }
    case
}

/// Each value with its place.
fn description(listed: &Listed, verdict: &Verdict) -> String {
    let mut text = String::new();
    for field in &verdict.fields {
        let place = match field.position {
            Some(position) => format!("{}:{}:{}: ", listed.object.file, position.line, position.column),
            None => String::new(),
        };
        text += &format!("{place}{}: {}\n", field.path, field.remark);
    }
    if text.is_empty() { listed.object.place() } else { text }
}

fn erring(problem: &Problem) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(problem.message.as_str()).set_type("input");
    let place = problem.position.map(|position| format!("{}:{}", position.line, position.column));
    status.set_description(place.unwrap_or_default());
    TestCase::new("input", status)
}
