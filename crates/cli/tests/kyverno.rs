//! Kyverno's own suites through the command: what each of them declares holds, and what is declared wrongly fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its suite has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MESHWARD: &str = env!("CARGO_BIN_EXE_meshward");

/// The test files of the suites; `None`, and said, where there are none.
fn suites() -> Option<Vec<PathBuf>> {
    let root = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    let folders = ["kyverno-cli", "kyverno-policies"].map(|name| root.join(name));
    if !folders.iter().all(|folder| folder.is_dir()) {
        meshward_netlab::skipped("no suites of the peers here");
        return None;
    }
    let mut files = Vec::new();
    folders.iter().for_each(|folder| find(folder, &mut files));
    files.sort();
    Some(files)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.file_name().is_some_and(|name| name == "kyverno-test.yaml") {
            files.push(path);
        }
    }
}

fn run(file: &Path, more: &[&str]) -> Output {
    Command::new(MESHWARD).arg("test").arg(file).args(more).output().unwrap()
}

/// The files that a test file names and that are not there.
fn missing(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let files = names.filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    let folder = file.parent().unwrap();
    files.filter(|name| !folder.join(name).exists()).map(str::to_owned).collect()
}

/// `test-fail/invalid-ns-deprecated` is among them: what it declares is so, with Kyverno 1.19.1 too, whose own checks run
/// only other suites of that folder (a policy, a rule, an object that is missing).
#[test]
fn suites_give_what_they_declare() {
    let Some(files) = suites() else { return };
    let (mut held, mut incomplete) = (0, 0);
    for file in &files {
        let output = run(file, &[]);
        let (told, printed) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        let missing = missing(file);
        if missing.is_empty() {
            assert_eq!(output.status.code(), Some(0), "{}\n{printed}{told}", file.display());
            assert!(printed.contains(" tests passed and 0 tests failed\n"), "{printed}");
            held += 1;
        } else {
            // A suite without its objects proves nothing, and says what it lacks.
            assert_eq!(output.status.code(), Some(2), "{}\n{printed}{told}", file.display());
            assert!(missing.iter().all(|name| told.contains(name.as_str())), "{told}");
            incomplete += 1;
        }
    }
    println!("{held} suites hold, {incomplete} are incomplete");
    assert!(held > 0);
}

/// Every expectation of every suite with another result than the declared one.
#[test]
fn wrong_expectations_fail() {
    let Some(files) = suites() else { return };
    let mut wrong = 0;
    for file in files.iter().filter(|file| missing(file).is_empty()) {
        let text = fs::read_to_string(file).unwrap();
        let other = |line: &str| match line.trim_start().trim_start_matches("- ") {
            "result: pass" => line.replace("pass", "fail"),
            "result: fail" | "result: skip" | "result: warn" => {
                line.replace("fail", "pass").replace("skip", "pass").replace("warn", "pass")
            }
            _ => line.to_owned(),
        };
        let lines: Vec<String> = text.lines().map(other).collect();
        // Beside the original, because it names its files relative to itself.
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("suite");
        let depth = file.ancestors().nth(3).unwrap();
        copy_folder(depth, &copy);
        let inside = copy.join(file.strip_prefix(depth).unwrap());
        fs::write(&inside, lines.join("\n")).unwrap();
        let output = run(&inside, &[]);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{}\n{printed}", file.display());
        assert!(printed.contains("Test Summary: 0 tests passed and "), "{}\n{printed}", file.display());
        wrong += 1;
    }
    assert!(wrong > 0);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Ten thousand objects are handed over in their order, whichever thread was faster, and cost little memory.
#[test]
fn objects_stream_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let objects: String = (0..2000)
        .map(|index| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: pod-{index}}}\nspec: {{containers: []}}\n"
            )
        })
        .collect();
    let path = folder.path().join("pods.yaml");
    fs::write(&path, objects).unwrap();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd/apply.in/labels.yaml");
    let output = Command::new(MESHWARD).arg("apply").arg(policy).arg("-r").arg(&path).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("to 2000 resource(s)...\n"), "{}", &printed[..200]);
    let names: Vec<&str> =
        printed.lines().filter_map(|line| line.strip_prefix("policy labels -> resource ")).collect();
    let expected: Vec<String> = (0..2000).map(|index| format!("default/Pod/pod-{index} failed:")).collect();
    assert_eq!(names, expected);
    assert!(printed.ends_with("\npass: 0, fail: 2000, warn: 0, error: 0, skip: 0 \n"));
}
