//! `meshward test`: Kyverno's test files. Kyverno counts an expectation as passed when no rule had anything to say; here
//! it fails, because a test that cannot fail tests nothing. `--kyverno-lenient` brings Kyverno's way back.

mod expectation;
mod render;
mod selector;
mod suite;

use std::path::{Path, PathBuf};

use clap::Args;

use self::expectation::{Outcome as Judged, Row};
use self::render::{Form, Printer};
use self::selector::Selector;
use self::suite::Suite;
use crate::exit::{Failure, Outcome};
use crate::kyverno::flags;
use crate::kyverno::problem::{Problem, Problems};

const EXAMPLES: &str = "\
Examples:
  meshward test .
  meshward test policies/ --fail-only --detailed-results
  meshward test . -t 'policy=disallow-latest-tag, rule=require-image-tag'
  meshward test . -o junit > results.xml

An expectation that no rule reached fails, unless it expects `skip` of a rule that exists. Rules that are not supported
(mutate, generate, verifyImages, CEL) are listed as not judged.

Exit codes: 1 when a test failed, 2 when a file cannot be read or is not what it should be, 3 when no test could be judged";

/// Run Kyverno test files: do policies say what they are expected to say?
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folders with test files, searched to any depth, or test files
    #[arg(value_name = "DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Name of test files
    #[arg(short, long, value_name = "NAME", default_value = "kyverno-test.yaml")]
    file_name: String,
    /// Only tests of these, each with wildcards
    #[arg(
        short,
        long,
        value_name = "policy=P,rule=R,resource=O",
        default_value = "policy=*,rule=*,resource=*"
    )]
    test_case_selector: String,
    /// Form of the output, one document for all tests; a table for each test file without it
    #[arg(short, long, value_enum, value_name = "FORM")]
    output_format: Option<Form>,
    /// Show the tests that failed, and no others
    #[arg(long)]
    fail_only: bool,
    /// No colours, not even on a terminal
    #[arg(long)]
    remove_color: bool,
    /// Show the message of each result too
    #[arg(long)]
    detailed_results: bool,
    /// Fail when there are no tests
    #[arg(long)]
    require_tests: bool,
    /// Judge as Kyverno does: an expectation that no rule reached passes
    #[arg(long)]
    kyverno_lenient: bool,
    /// Policies are read from files; Git repositories are not fetched
    #[arg(short = 'b', long, value_name = "BRANCH", hide_short_help = true)]
    git_branch: Option<String>,
    /// Image registries are not asked; ignored with a warning
    #[arg(long, hide_short_help = true)]
    registry: bool,
    #[arg(short, long, hide = true)]
    v: Option<String>,
    /// Kyverno's deprecations are none here; ignored with a warning
    #[arg(long, hide_short_help = true)]
    warnings_as_errors: bool,
}

/// What has become of all tests.
#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    not_judged: Vec<String>,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    flags::refuse_or_warn(
        &flags::TEST,
        &[
            ("git-branch", arguments.git_branch.is_some()),
            ("registry", arguments.registry),
            ("v", arguments.v.is_some()),
            ("warnings-as-errors", arguments.warnings_as_errors),
        ],
    )?;
    let selector = Selector::parse(&arguments.test_case_selector).map_err(Failure::input)?;
    let mut problems = Problems::default();
    let files = test_files(&arguments.paths, &arguments.file_name, &mut problems);
    let mut printer = Printer::new(
        arguments.output_format,
        arguments.detailed_results,
        arguments.fail_only,
        arguments.remove_color,
    );
    let mut counts = Counts::default();
    let mut found = 0;
    for file in &files {
        let suites = Suite::read(file, &mut problems);
        found += suites.len();
        for suite in suites {
            let rows = suite.judge(&selector, arguments.kyverno_lenient, &printer, &mut problems);
            let Some(rows) = rows else { continue };
            counts.add(&rows);
            printer.suite(&suite.path, rows);
        }
    }
    finish(&arguments, printer, &counts, found, &problems)
}

impl Counts {
    fn add(&mut self, rows: &[Row]) {
        for row in rows {
            match &row.outcome {
                Judged::Held => self.passed += 1,
                Judged::Broken => self.failed += 1,
                Judged::NotJudged(what) => self.not_judged.push(what.clone()),
            }
        }
    }
}

fn finish(
    arguments: &Arguments,
    printer: Printer,
    counts: &Counts,
    found: usize,
    problems: &Problems,
) -> Outcome {
    if found == 0 && problems.is_empty() {
        printer.say("\nNo test yamls available");
        if arguments.require_tests {
            return Err(Failure::input("no tests found, accepted with --require-tests: at least one"));
        }
        return Ok(());
    }
    printer.finish(counts);
    if !problems.is_empty() {
        return Err(Failure::Told);
    }
    if counts.failed > 0 {
        eprintln!("Error: {} tests failed", counts.failed);
        return Err(Failure::Found);
    }
    if counts.passed == 0 && !counts.not_judged.is_empty() {
        return Err(Failure::impossible("none of the tests is about a rule that is supported here"));
    }
    Ok(())
}

/// The test files below these paths, in alphabetical order. A file may be named itself.
fn test_files(paths: &[PathBuf], name: &str, problems: &mut Problems) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_file() {
            files.push(path.clone());
        } else if path.to_string_lossy().contains("://") {
            let text = format!("{}: found an address, accepted: files and folders", path.display());
            problems.tell(Problem::of_file(&path.display().to_string(), text));
        } else {
            search(path, name, &mut files, problems);
        }
    }
    files
}

/// Hidden folders too: Kyverno's own library keeps its tests in `.kyverno-test`.
fn search(folder: &Path, name: &str, files: &mut Vec<PathBuf>, problems: &mut Problems) {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            let folder = folder.display().to_string();
            problems.tell(Problem::of_file(&folder, format!("cannot read {folder}: {error}")));
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder above would never end.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&path, name, files, problems);
        } else if entry.file_name() == name && path.is_file() {
            files.push(path);
        }
    }
}
