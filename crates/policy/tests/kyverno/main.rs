//! Kyverno's own suites through the library.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its suite has failed")]

mod suite;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use suite::{Outcome, run};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("test-fail") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.file_name().is_some_and(|name| name == "kyverno-test.yaml") {
            found.push(path);
        }
    }
}

/// Every expectation that a rule of ours answers holds. Suites that are made to fail are about the command line.
#[test]
fn expectations_of_the_suites_hold() {
    let root = match env::var_os("MESHWARD_SUITES") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
    };
    let folders = ["kyverno-cli", "kyverno-policies"].map(|name| root.join(name));
    if !folders.iter().all(|folder| folder.is_dir()) {
        println!("skipped: no suites at {}", root.display());
        return;
    }
    let mut suites = Vec::new();
    folders.iter().for_each(|folder| files(folder, &mut suites));
    suites.sort();
    let (mut held, mut silent, mut broken) = (0, 0, Vec::new());
    for path in &suites {
        let mut failures = Vec::new();
        for (expectation, outcome) in run(path) {
            match outcome {
                Outcome::Held => held += 1,
                Outcome::NoResult => silent += 1,
                Outcome::Broken(found) => {
                    failures.push(format!("{}: {expectation}: {found}", path.display()))
                }
            }
        }
        broken.extend(failures);
    }
    println!("{} suites: {held} expectations hold, {silent} have no result", suites.len());
    assert!(held > 0);
    assert!(broken.is_empty(), "{} broken:\n{}", broken.len(), broken.join("\n"));
}
